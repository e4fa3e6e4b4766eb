//! Nearest centroids.

use proptest::prelude::*;
use wavekv_kernels::{Assign, Kernels, Matrix, reference};

use crate::inputs::{dims, numbers, queries, rows};

type Nearest = (Vec<u32>, Vec<f32>);

fn assign(kernels: Kernels, points: &[f32], centroids: &[f32], dim: usize) -> Nearest {
    let (n, k) = (points.len() / dim, centroids.len() / dim);
    let (mut nearest, mut gains) = (vec![u32::MAX; n], vec![f32::NAN; n]);
    let halves = half_norms(centroids, dim);
    let matrix = Matrix::from_f32(centroids, k, dim).unwrap();
    let points = queries(points, dim);
    kernels.assign(Assign::new(points, matrix, &halves, &mut nearest, &mut gains).unwrap());
    (nearest, gains)
}

fn half_norms(centroids: &[f32], dim: usize) -> Vec<f32> {
    centroids
        .chunks(dim)
        .map(|c| c.iter().map(|x| x * x).sum::<f32>() / 2.0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_nearest_centroid_is_the_references_and_the_same_on_every_level(
        points in rows(), dim in dims(), count in 1..150_usize, seed: u64,
    ) {
        let points = numbers(seed, points * dim);
        let centroids = numbers(seed ^ 1, count * dim);
        let halves = half_norms(&centroids, dim);
        let matrix = Matrix::from_f32(&centroids, count, dim).unwrap();
        let truth = reference::assign(queries(&points, dim), matrix, &halves);
        let expected = assign(Kernels::available().next().unwrap(), &points, &centroids, dim);
        for (gain, truth) in expected.1.iter().zip(&truth) {
            // Two centroids may be as near as rounding: the gain must agree, not the choice.
            prop_assert!((f64::from(*gain) - truth.1).abs() < 4e-6 * dim as f64, "{gain} {truth:?}");
        }
        for kernels in Kernels::available().skip(1) {
            let got = assign(kernels, &points, &centroids, dim);
            prop_assert_eq!(&got, &expected, "{}", kernels.isa());
        }
    }
}

#[test]
fn a_tie_goes_to_the_first() {
    let centroid = numbers(3, 24);
    let centroids = centroid.repeat(130);
    for kernels in Kernels::available() {
        assert_eq!(assign(kernels, &centroids[..48], &centroids, 24).0, [0, 0]);
    }
}

#[test]
fn no_centroids_is_no_shape() {
    let centroids = Matrix::from_f32(&[], 0, 4).unwrap();
    let (mut nearest, mut gains) = ([0], [0.0]);
    let made = Assign::new(
        queries(&[0.0; 4], 4),
        centroids,
        &[],
        &mut nearest,
        &mut gains,
    );
    assert!(made.is_err());
}
