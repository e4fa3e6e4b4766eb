//! Scores.

use proptest::prelude::*;
use wavekv_kernels::{Kernels, Matrix, Queries, Scan, reference};

use crate::inputs::{Tensor, close, dims, dtypes, lengths, numbers, queries, rows};

fn scan(kernels: Kernels, queries: Queries<'_>, centroids: Matrix<'_>, scale: f32) -> Vec<f32> {
    let mut scores = vec![f32::NAN; queries.rows() * centroids.rows()];
    kernels.scan(Scan::new(queries, centroids, scale, &mut scores).unwrap());
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scores_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), dim in dims(), length in lengths(), dtype in dtypes(),
        scale in -2.0..2.0_f32, seed: u64,
    ) {
        let values = numbers(seed, rows * dim);
        let queries = queries(&values, dim);
        let centroids = Tensor::random(seed ^ 1, dtype, length, dim);
        let truth = reference::scan(queries, centroids.matrix(), f64::from(scale)).concat();
        let portable = Kernels::available().next().unwrap();
        let expected = scan(portable, queries, centroids.matrix(), scale);
        for (score, truth) in expected.iter().zip(&truth) {
            // Products of numbers up to 2, each sum off by a few roundings.
            prop_assert!(close(*score, *truth, 4e-7, 4.0 * dim as f64), "{} {}", score, truth);
        }
        for kernels in Kernels::available().skip(1) {
            let scores = scan(kernels, queries, centroids.matrix(), scale);
            let same = scores.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same, "{} differs from portable", kernels.isa());
        }
    }
}

#[test]
fn a_sum_is_taken_in_the_documented_order() {
    let dim = 37;
    let (query, key) = (numbers(1, dim), numbers(2, dim));
    let mut lanes = [0.0_f32; 16];
    for (index, (q, k)) in query.iter().zip(&key).enumerate() {
        lanes[index % 16] = q.mul_add(*k, lanes[index % 16]);
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    for kernels in Kernels::available() {
        let centroid = Matrix::from_f32(&key, 1, dim).unwrap();
        let scores = scan(kernels, queries(&query, dim), centroid, 1.0);
        assert_eq!(scores[0].to_bits(), lanes[0].to_bits(), "{}", kernels.isa());
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let values = [0.0; 12];
    let centroids = Matrix::from_f32(&values, 3, 4).unwrap();
    let mut scores = [0.0; 6];
    assert!(Scan::new(queries(&values[..6], 3), centroids, 1.0, &mut scores).is_err());
    assert!(Scan::new(queries(&values[..4], 4), centroids, 1.0, &mut scores).is_err());
    assert!(Scan::new(queries(&values[..8], 4), centroids, 1.0, &mut scores).is_ok());
}
