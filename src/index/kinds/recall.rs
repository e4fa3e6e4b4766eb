//! Both searches beside looking at every key.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::Kernels;

use super::{HeadKeys, KeySearch, build};
use crate::model::{IndexKind, IndexParameters};

const KINDS: [IndexKind; 2] = [IndexKind::Ivf, IndexKind::Hnsw];

fn normal(rng: &mut Pcg64Mcg, numbers: usize) -> Vec<f32> {
    StandardNormal.sample_iter(rng).take(numbers).collect()
}

/// Keys around topics, all of them far from zero, as keys of models are.
fn keys(tokens: usize, dim: usize, rng: &mut Pcg64Mcg) -> Vec<f32> {
    let topics = normal(rng, tokens.div_ceil(40) * dim);
    let mut keys = vec![];
    for _ in 0..tokens {
        let topic = rng.random_range(0..topics.len() / dim) * dim;
        let noise = normal(rng, dim);
        let topic = &topics[topic..][..dim];
        keys.extend(topic.iter().zip(noise).map(|(x, y)| 3.0 + x + 0.5 * y));
    }
    keys
}

/// Asserts that `footprint`, of tokens and their dimension, counts what an index holds: what `write` has FAISS put into a
/// file of the index of some keys, without the room between.
pub(super) fn assert_footprint(
    write: impl FnOnce(HeadKeys<'_>, &str) -> faiss::error::Result<()>,
    footprint: impl FnOnce(usize, usize) -> u64,
) {
    const DIM: usize = 64;
    const TOKENS: usize = 4096;
    let keys = keys(TOKENS, DIM, &mut Pcg64Mcg::seed_from_u64(9));
    let keys = HeadKeys {
        keys: &keys,
        dim: DIM,
        seed: 1,
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index");
    write(keys, file.to_str().unwrap()).unwrap();
    let counted = footprint(TOKENS, DIM);
    let (counted, written) = (counted as f64, fs_err::metadata(file).unwrap().len() as f64);
    assert!(
        counted > 0.98 * written && counted < 1.1 * written,
        "{counted} counted, {written} written"
    );
}

fn index(kind: IndexKind, keys: &[f32], dim: usize) -> Box<dyn KeySearch> {
    let parameters = IndexParameters::DEFAULT.of_kind(kind);
    let keys = HeadKeys { keys, dim, seed: 1 };
    build(Kernels::detect(), &parameters, keys).unwrap()
}

fn products(keys: &[f32], query: &[f32]) -> Vec<f32> {
    let keys = keys.chunks_exact(query.len());
    keys.map(|key| key.iter().zip(query).map(|(k, q)| k * q).sum())
        .collect()
}

#[test]
fn most_of_the_best_keys_are_found() {
    const DIM: usize = 32;
    let mut rng = Pcg64Mcg::seed_from_u64(5);
    let keys = keys(6000, DIM, &mut rng);
    for (kind, least) in [(IndexKind::Ivf, 0.8), (IndexKind::Hnsw, 0.85)] {
        let index = index(kind, &keys, DIM);
        let mut found = 0;
        for _ in 0..20 {
            let query = normal(&mut rng, DIM);
            let products = products(&keys, &query);
            let mut best: Vec<usize> = (0..products.len()).collect();
            best.sort_by(|a, b| products[*b].total_cmp(&products[*a]));
            let hits = index.search(&query, 100).unwrap();
            let hit = |row: &&usize| hits.iter().any(|hit| hit.row as usize == **row);
            found += best[..100].iter().filter(hit).count();
        }
        let recall = f64::from(found as u32) / 2000.0;
        assert!(recall > least, "{recall} of {kind}");
        assert!(index.bytes_read(100) < (keys.len() * size_of::<f32>()) as u64);
    }
}

proptest! {
    #[test]
    fn what_is_found_is_there_once_and_in_order(
        tokens in 1usize..200, dim in 1usize..20, most in 1usize..250, seed in any::<u64>(), same in any::<bool>(),
    ) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let keys = if same { vec![0.5; tokens * dim] } else { keys(tokens, dim, &mut rng) };
        let query = normal(&mut rng, dim);
        let products = products(&keys, &query);
        for kind in KINDS {
            let hits = index(kind, &keys, dim).search(&query, most).unwrap();
            prop_assert!(!hits.is_empty() && hits.len() <= most.min(tokens));
            prop_assert!(hits.is_sorted_by(|a, b| a.product >= b.product));
            let mut rows: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), hits.len());
            for hit in hits {
                let expected = products[hit.row as usize];
                let size = 1e-4 * (1.0 + keys.len() as f32).sqrt();
                prop_assert!((hit.product - expected).abs() < size, "{} for {}", hit.product, expected);
            }
        }
    }
}
