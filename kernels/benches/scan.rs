//! Scores of a group of 4 query heads over the centroids of 512K tokens (16 a cluster), dimension
//! 128, and weights of tokens and sums of values by their codes; against reading the same bytes. And the assignment of
//! k-means.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{
    Accumulator, AddValues, Assign, CodedKeys, CodedValues, Codes4, Codes8, Isa, Kernels, Matrix,
    PointBlocks, Points, Quantise, Queries, Queries4, Queries8, Run, Scan, Weigh,
};

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
#[divan::bench]
fn read_bandwidth(bencher: Bencher<'_, '_>) {
    let words = vec![1_u32; CENTROIDS * DIM / 4];
    bencher
        .counter(BytesCount::of_many::<u32>(words.len()))
        .bench_local(|| sum(&words));
}

#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn centroids(bencher: Bencher<'_, '_>, isa: Isa) {
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let codes: Vec<i8> = (0..CENTROIDS * DIM).map(|i| (i * 31 % 255) as i8).collect();
    let (scales, base) = (vec![0.01; CENTROIDS], [0.5; DIM]);
    let queries = numbers(2, GROUP * DIM);
    let (Ok(queries), Ok(centroids)) = (
        Queries::new(&queries, GROUP, DIM),
        Codes8::new(&codes, &scales, &base),
    ) else {
        return;
    };
    let queries = Queries8::new(queries, 0.088);
    let mut scores = vec![0.0; GROUP * CENTROIDS];
    bencher
        .counter(BytesCount::new(CENTROIDS * centroids.row_bytes()))
        .bench_local(|| {
            if let Ok(scan) = Scan::new(&queries, &[0.0; GROUP], centroids, &mut scores) {
                kernels.scan(scan);
            }
            scores[0]
        });
}

/// Tokens of 2048 clusters of 16 by the codes of their keys.
#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn codes(bencher: Bencher<'_, '_>, isa: Isa) {
    const TOKENS: usize = 32 * 1024;
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let bytes = Codes4::code_bytes(DIM);
    let codes: Vec<u8> = (0..TOKENS * bytes).map(|i| (i * 31 % 251) as u8).collect();
    let (scales, profile) = (vec![f16::from_f32(0.01); TOKENS], [0.5; DIM]);
    let queries = numbers(2, GROUP * DIM);
    let Ok(queries) = Queries::new(&queries, GROUP, DIM) else {
        return;
    };
    let (Ok(queries), Ok(codes)) = (
        Queries4::new(queries, &profile, 0.088),
        Codes4::new(&codes, &scales, &profile),
    ) else {
        return;
    };
    let runs: Vec<Run> = (0..TOKENS as u32)
        .step_by(16)
        .map(|first| Run { first, count: 16 })
        .collect();
    let keys = CodedKeys {
        queries: &queries,
        codes,
        runs: &runs,
        centres: &vec![0.0; runs.len() * GROUP],
        references: &[1.0; GROUP],
    };
    let mut weights = vec![0.0; GROUP * TOKENS];
    bencher
        .counter(BytesCount::new(TOKENS * codes.row_bytes()))
        .bench_local(|| {
            if let Ok(weigh) = Weigh::new(keys, &mut weights) {
                kernels.weigh(weigh);
            }
            weights[0]
        });
}

/// Values of every second of the same tokens.
#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn coded_values(bencher: Bencher<'_, '_>, isa: Isa) {
    const TOKENS: u32 = 32 * 1024;
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let bytes = Codes4::code_bytes(DIM);
    let codes = (0..TOKENS as usize * bytes).map(|i| (i * 31 % 251) as u8);
    let codes: Vec<u8> = codes.collect();
    let (scales, profile) = (vec![f16::from_f32(0.01); TOKENS as usize], [0.5; DIM]);
    let Ok(codes) = Codes4::new(&codes, &scales, &profile) else {
        return;
    };
    let tokens: Vec<u32> = (0..TOKENS).step_by(2).collect();
    let values = CodedValues {
        codes,
        tokens: &tokens,
        weights: &vec![0.5; GROUP * tokens.len()],
        references: &[0.0; GROUP],
    };
    let mut acc = Accumulator::new(GROUP, DIM);
    bencher
        .counter(BytesCount::new(tokens.len() * codes.row_bytes()))
        .bench_local(|| {
            if let Ok(values) = AddValues::new(values, &mut acc) {
                kernels.add_values(values);
            }
        });
}

/// A cell's tokens against the centroids in and around it; items are multiply-adds.
#[divan::bench(args = [Isa::Portable, Isa::Avx2, Isa::Avx512])]
fn assign(bencher: Bencher<'_, '_>, isa: Isa) {
    const POINTS: usize = 384;
    const MEANS: usize = 192;
    let Some(kernels) = Kernels::at(isa) else {
        return;
    };
    let (numbers, mut points) = (numbers(1, POINTS * DIM), Points::default());
    let Ok(rows) = Matrix::from_f32(&numbers, POINTS, DIM) else {
        return;
    };
    if let Ok(quantise) = Quantise::new(rows, &[0.0; DIM], &mut vec![], &mut points) {
        kernels.quantise(quantise);
    }
    let first: Vec<u32> = (0..MEANS as u32).collect();
    let (mut means, mut blocks) = (Points::new(DIM), PointBlocks::default());
    if means.take(&points, &first).is_err() {
        return;
    }
    blocks.fill(&points);
    let mut nearest = vec![0; POINTS];
    bencher
        .counter(ItemsCount::new(POINTS * MEANS * DIM))
        .bench_local(|| {
            if let Ok(assign) = Assign::new(&blocks, &means, &[0; MEANS], &mut nearest) {
                kernels.assign(assign);
            }
            nearest[0]
        });
}
