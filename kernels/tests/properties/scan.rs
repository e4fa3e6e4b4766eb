//! Scores of centroids.

use proptest::prelude::*;
use wavekv_kernels::{Codes8, Kernels, Queries8, Scan, reference};

use crate::inputs::{Bytes8, close, dims, lengths, numbers, queries, rows};

fn scan(kernels: Kernels, queries: &Queries8, offsets: &[f32], centroids: Codes8<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; queries.rows() * centroids.rows()];
    kernels.scan(Scan::new(queries, offsets, centroids, &mut scores).unwrap());
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scores_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), dim in dims(), length in lengths(), scale in -2.0..2.0_f32, seed: u64,
    ) {
        let values = numbers(seed, rows * dim);
        let queries = queries(&values, dim);
        let centroids = Bytes8::random(seed ^ 1, length, dim);
        let offsets: Vec<f32> = (0..rows)
            .map(|row| {
                let products = queries.row(row).iter().zip(centroids.codes().base());
                products.map(|(q, base)| scale * q * base).sum()
            })
            .collect();
        let bytes = Queries8::new(queries, scale);
        let portable = Kernels::available().next().unwrap();
        let expected = scan(portable, &bytes, &offsets, centroids.codes());
        let centres = reference::rows_of_codes8(centroids.codes());
        for (index, score) in expected.iter().enumerate() {
            let query = queries.row(index / length.max(1));
            let products = query.iter().zip(&centres[index % length]);
            let truth: f64 = products.map(|(q, c)| f64::from(scale) * f64::from(*q) * c).sum();
            // A query's integer is off by half of 1/8191 of its largest element.
            prop_assert!(close(*score, truth, 3e-4, 4.0 * (dim as f64).sqrt()), "{} {}", score, truth);
        }
        for kernels in Kernels::available().skip(1) {
            let scores = scan(kernels, &bytes, &offsets, centroids.codes());
            let same = scores.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same, "{} differs from portable", kernels.isa());
        }
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let centroids = Bytes8::random(1, 3, 4);
    let queries = |dim: usize| Queries8::new(queries(&[1.0; 12][..2 * dim], dim), 1.0);
    let fits = |dim, offsets: usize, scores: usize| {
        let (queries, mut scores) = (queries(dim), vec![0.0; scores]);
        Scan::new(
            &queries,
            &vec![0.0; offsets],
            centroids.codes(),
            &mut scores,
        )
        .is_ok()
    };
    assert!(fits(4, 2, 6));
    assert!(!fits(3, 2, 6));
    assert!(!fits(4, 1, 6));
    assert!(!fits(4, 2, 5));
}
