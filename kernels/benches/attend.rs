//! Exact attention at the geometry of Llama-3 8B: a group of 4 query heads, 32K tokens of one KV
//! head, dimension 128, `bf16`; against reading the same bytes.

use divan::Bencher;
use divan::counter::BytesCount;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{
    Accumulator, Attend, AttendInput, Dtype, Isa, Kernels, Matrix, Queries, Visibility, convert,
};

const TOKENS: usize = 32 * 1024;
const DIM: usize = 128;

fn main() {
    divan::main();
}

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0)).collect()
}

fn bytes(seed: u64, dtype: Dtype) -> Vec<u32> {
    let mut words = vec![0; TOKENS * DIM * dtype.size_of() / 4];
    let values = numbers(seed, TOKENS * DIM);
    convert::write(&values, dtype, bytemuck::cast_slice_mut(&mut words)).unwrap_or_default();
    words
}

/// A sum that takes no time beside its reads.
fn sum(words: &[u32]) -> u32 {
    let mut sums = [0_u32; 32];
    for words in words.as_chunks::<32>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum |= word;
        }
    }
    sums.iter().fold(0, |all, sum| all | sum)
}

/// What no kernel beats: one core reading keys and values.
#[divan::bench]
fn read_bandwidth(bencher: Bencher<'_, '_>) {
    let (keys, values) = (bytes(1, Dtype::Bf16), bytes(2, Dtype::Bf16));
    let count = BytesCount::of_many::<u32>(keys.len() + values.len());
    bencher
        .counter(count)
        .bench_local(|| (sum(&keys), sum(&values)));
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512], consts = [1, 4, 8])]
fn bf16<const GROUP: usize>(bencher: Bencher<'_, '_>, isa: Isa) {
    attend(bencher, isa, GROUP, Dtype::Bf16);
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn f16_group_4(bencher: Bencher<'_, '_>, isa: Isa) {
    attend(bencher, isa, 4, Dtype::F16);
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn f32_group_4(bencher: Bencher<'_, '_>, isa: Isa) {
    attend(bencher, isa, 4, Dtype::F32);
}

fn attend(bencher: Bencher<'_, '_>, isa: Isa, group: usize, dtype: Dtype) {
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let (queries, keys, values) = (numbers(3, group * DIM), bytes(1, dtype), bytes(2, dtype));
    let matrix = |words| Matrix::new(bytemuck::cast_slice(words), dtype, TOKENS, DIM);
    let (Ok(queries), Ok(keys), Ok(values)) = (
        Queries::new(&queries, group, DIM),
        matrix(&keys),
        matrix(&values),
    ) else {
        return;
    };
    let input = AttendInput {
        queries,
        keys,
        values,
        visible: Visibility::All,
        scale: 0.088,
        softcap: None,
    };
    let mut acc = Accumulator::new(group, DIM);
    let count = BytesCount::new(2 * TOKENS * DIM * dtype.size_of());
    bencher.counter(count).bench_local(|| {
        acc.reset();
        if let Ok(attend) = Attend::new(input, &mut acc) {
            kernels.attend(attend);
        }
        acc.log_sum(0)
    });
}
