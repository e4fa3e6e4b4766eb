//! Scores of a group of 4 query heads over the centroids of 512K tokens (16 a cluster), dimension
//! 128; against reading the same bytes. And the assignment of k-means, which is the same loop with
//! many rows.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{Assign, Dtype, Isa, Kernels, Matrix, Queries, Scan, convert};

const CENTROIDS: usize = 32 * 1024;
const DIM: usize = 128;
const GROUP: usize = 4;

fn main() {
    divan::main();
}

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0)).collect()
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

/// What no scan beats: one core reading the centroids.
#[divan::bench(args = [Dtype::Bf16, Dtype::F32])]
fn read_bandwidth(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let words = vec![1_u32; CENTROIDS * DIM * dtype.size_of() / 4];
    bencher
        .counter(BytesCount::of_many::<u32>(words.len()))
        .bench_local(|| sum(&words));
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn bf16(bencher: Bencher<'_, '_>, isa: Isa) {
    scan(bencher, isa, Dtype::Bf16);
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn f32(bencher: Bencher<'_, '_>, isa: Isa) {
    scan(bencher, isa, Dtype::F32);
}

fn scan(bencher: Bencher<'_, '_>, isa: Isa, dtype: Dtype) {
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let mut words = vec![0_u32; CENTROIDS * DIM * dtype.size_of() / 4];
    let bytes = bytemuck::cast_slice_mut(&mut words);
    convert::write(&numbers(1, CENTROIDS * DIM), dtype, bytes).unwrap_or_default();
    let queries = numbers(2, GROUP * DIM);
    let (Ok(queries), Ok(centroids)) = (
        Queries::new(&queries, GROUP, DIM),
        Matrix::new(bytes, dtype, CENTROIDS, DIM),
    ) else {
        return;
    };
    let mut scores = vec![0.0; GROUP * CENTROIDS];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| {
            if let Ok(scan) = Scan::new(queries, centroids, 0.088, &mut scores) {
                kernels.scan(scan);
            }
            scores[0]
        });
}

/// A segment's tokens against the centroids of its first stage; items are multiply-adds.
#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn assign(bencher: Bencher<'_, '_>, isa: Isa) {
    const POINTS: usize = 1024;
    const MEANS: usize = 512;
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let (points, means) = (numbers(1, POINTS * DIM), numbers(2, MEANS * DIM));
    let (Ok(points), Ok(means)) = (
        Queries::new(&points, POINTS, DIM),
        Matrix::from_f32(&means, MEANS, DIM),
    ) else {
        return;
    };
    let (mut nearest, mut gains) = (vec![0; POINTS], vec![0.0; POINTS]);
    bencher
        .counter(ItemsCount::new(POINTS * MEANS * DIM))
        .bench_local(|| {
            let made = Assign::new(points, means, &[0.0; MEANS], &mut nearest, &mut gains);
            if let Ok(assign) = made {
                kernels.assign(assign);
            }
            nearest[0]
        });
}
