//! Exact attention over `bf16` at every level of this CPU, in turns: one short call of each, again and again, so that
//! what else the machine does meets all of them. Rates are those of the fastest call, one thread; a table in Markdown.
//! Arguments are the sizes that are wanted.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot be set up has nothing to measure; it prints what it measured by the clock"
)]

use std::time::{Duration, Instant};

use half::bf16;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{
    Accumulator, Attend, AttendInput, Dtype, Isa, Kernels, Matrix, Queries, Visibility, convert,
};

/// Bytes of keys and values together: in the second-level cache, in the third, in memory.
const SIZES: [(&str, usize); 3] = [("L2", 512 << 10), ("L3", 8 << 20), ("RAM", 256 << 20)];
const DIMS: [usize; 3] = [64, 128, 256];
const GROUPS: [usize; 3] = [1, 4, 8];
/// For one case.
const TIME: Duration = Duration::from_secs(1);

fn main() {
    let levels: Vec<Kernels> = Kernels::available()
        .filter(|kernels| kernels.isa() != Isa::Portable)
        .collect();
    let words = words(1, SIZES[2].1 / 4);
    print!("| from | head_dim | group | queries | reading, GB/s |");
    for level in &levels {
        print!(" {}, GB/s |", level.isa());
    }
    println!("\n|{}", " --- |".repeat(5 + levels.len()));
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    for (name, bytes) in SIZES {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        for dim in DIMS {
            for group in GROUPS {
                for exact in [true, false] {
                    let case = Case { dim, group, exact };
                    let (reading, rates) = case.measure(&levels, &words[..bytes / 4]);
                    let queries = if exact { "bf16" } else { "f32" };
                    print!("| {name} | {dim} | {group} | {queries} | {reading:.1} |");
                    for rate in rates {
                        print!(" {rate:.1} |");
                    }
                    println!();
                }
            }
        }
    }
}

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0)).collect()
}

fn words(seed: u64, count: usize) -> Vec<u32> {
    let mut words = vec![0; count];
    let values = numbers(seed, 2 * count);
    let to = bytemuck::cast_slice_mut(&mut words);
    convert::write(&values, Dtype::Bf16, to).expect("as many bytes");
    words
}

/// A sum that takes no time beside its reads.
fn sum(words: &[u32]) -> u32 {
    let mut sums = [0_u32; 64];
    for words in words.as_chunks::<64>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum |= word;
        }
    }
    sums.iter().fold(0, |all, sum| all | sum)
}

struct Case {
    dim: usize,
    group: usize,
    /// Whether the queries are numbers of `bf16`.
    exact: bool,
}

impl Case {
    /// Bytes in a nanosecond: read and nothing else, and at each level.
    fn measure(&self, levels: &[Kernels], words: &[u32]) -> (f64, Vec<f64>) {
        let mut queries = numbers(2, self.group * self.dim);
        if self.exact {
            for x in &mut queries {
                *x = bf16::from_f32(*x).to_f32();
            }
        }
        let (keys, values) = words.split_at(words.len() / 2);
        let tokens = 2 * keys.len() / self.dim;
        let matrix =
            |words| Matrix::new(bytemuck::cast_slice(words), Dtype::Bf16, tokens, self.dim);
        let input = AttendInput {
            queries: Queries::new(&queries, self.group, self.dim).expect("a shape"),
            keys: matrix(keys).expect("a shape"),
            values: matrix(values).expect("a shape"),
            visible: Visibility::All,
            scale: (self.dim as f32).powf(-0.5),
            softcap: None,
        };
        let mut acc = Accumulator::new(self.group, self.dim);
        let mut best = vec![f64::INFINITY; 1 + levels.len()];
        let start = Instant::now();
        let mut turns = 0;
        while turns < 5 || start.elapsed() < TIME {
            turns += 1;
            let now = Instant::now();
            std::hint::black_box(sum(words));
            best[0] = best[0].min(now.elapsed().as_secs_f64());
            for (level, best) in levels.iter().zip(&mut best[1..]) {
                acc.reset();
                let now = Instant::now();
                level.attend(Attend::new(input, &mut acc).expect("a shape"));
                *best = best.min(now.elapsed().as_secs_f64());
            }
        }
        let bytes = size_of_val(words) as f64;
        let mut rates = best.iter().map(|seconds| bytes / seconds / 1e9);
        (rates.next().unwrap_or_default(), rates.collect())
    }
}
