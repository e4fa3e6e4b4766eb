//! Points of a k-means: how they are made of rows, their nearest centroids, and the means of clusters.

use proptest::prelude::*;
use wavekv_kernels::points::MOST_POINTS;
use wavekv_kernels::{
    AddPoints, Assign, Dtype, Kernels, Matrix, Mean, PointBlocks, Points, Quantise, Sums, reference,
};

use crate::inputs::{Tensor, dims, dtypes, numbers};

fn points(kernels: Kernels, rows: Matrix<'_>, base: &[f32]) -> Points {
    let mut points = Points::default();
    let mut lengths = vec![];
    kernels.quantise(Quantise::new(rows, base, &mut lengths, &mut points).unwrap());
    points
}

fn assign(kernels: Kernels, points: &Points, centroids: &Points) -> Vec<u32> {
    let halves: Vec<i32> = (0..centroids.rows())
        .map(|row| centroids.square(row) / 2)
        .collect();
    let mut blocks = PointBlocks::default();
    blocks.fill(points);
    let mut nearest = vec![u32::MAX; points.rows()];
    kernels.assign(Assign::new(&blocks, centroids, &halves, &mut nearest).unwrap());
    nearest
}

/// Every `step`-th of some points.
fn some(points: &Points, step: usize) -> Points {
    let rows: Vec<u32> = (0..points.rows() as u32).step_by(step).collect();
    let mut some = Points::new(points.dim());
    some.take(points, &rows).unwrap();
    some
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nearest_centroids_and_sums_are_exact_on_every_level(
        rows in 1..120_usize, dim in dims(), step in 1..20_usize, dtype in dtypes(), seed: u64,
    ) {
        let tensor = Tensor::random(seed, dtype, rows, dim);
        let base = numbers(seed ^ 1, dim);
        let expected = points(Kernels::available().next().unwrap(), tensor.matrix(), &base);
        let centroids = some(&expected, step);
        let nearest = reference::assign(&expected, &centroids);
        for kernels in Kernels::available() {
            let points = points(kernels, tensor.matrix(), &base);
            for row in 0..rows {
                prop_assert_eq!(points.row(row), expected.row(row), "{}", kernels.isa());
            }
            prop_assert_eq!(&assign(kernels, &points, &centroids), &nearest, "{}", kernels.isa());
            let mut sums = Sums::default();
            sums.clear(centroids.rows(), dim);
            kernels.add_points(AddPoints::new(&points, &nearest, &mut sums).unwrap());
            let mut means = centroids.clone();
            sums.move_centroids(&mut means).unwrap();
            for cluster in 0..centroids.rows() {
                let members: Vec<usize> = (0..rows).filter(|row| nearest[*row] as usize == cluster).collect();
                prop_assert_eq!(sums.counts()[cluster] as usize, members.len());
                for (at, mean) in means.row(cluster).as_flattened().iter().enumerate() {
                    let sum: i32 = members.iter().map(|row| i32::from(points.row(*row).as_flattened()[at])).sum();
                    let truth = match members.len() {
                        0 => f64::from(centroids.row(cluster).as_flattened()[at]),
                        count => f64::from(sum) / count as f64,
                    };
                    prop_assert!((f64::from(*mean) - truth).abs() <= 0.5 + 1e-6, "{mean} {truth}");
                }
            }
        }
    }

    #[test]
    fn a_point_is_its_row_at_one_scale(rows in 1..60_usize, dim in dims(), dtype in dtypes(), seed: u64) {
        let tensor = Tensor::random(seed, dtype, rows, dim);
        let base = numbers(seed ^ 1, dim);
        let points = points(Kernels::detect(), tensor.matrix(), &base);
        let mut row = vec![0.0; dim];
        let beside = |at: usize, row: &mut Vec<f32>| -> Vec<f64> {
            wavekv_kernels::convert::read(tensor.matrix(), at..at + 1, row).unwrap();
            row.iter().zip(&base).map(|(x, base)| f64::from(x - base)).collect()
        };
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let lengths: Vec<f64> = (0..rows).map(|at| length(&beside(at, &mut row))).collect();
        // Random rows are about as long as each other: none is shortened.
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        for at in 0..rows {
            for (x, integer) in beside(at, &mut row).iter().zip(points.row(at).as_flattened()) {
                let expected = x / longest * 32_000.0;
                prop_assert!((expected - f64::from(*integer)).abs() <= 0.6, "{expected} {integer}");
            }
        }
    }

    #[test]
    fn the_mean_is_the_mean_and_the_same_on_every_level(rows in 0..200_usize, dim in dims(), dtype in dtypes(), seed: u64) {
        let tensor = Tensor::random(seed, dtype, rows, dim);
        let all: Vec<Vec<f32>> = Kernels::available().map(|kernels| {
            let mut mean = vec![f32::NAN; dim];
            kernels.mean(Mean::new(tensor.matrix(), &mut mean).unwrap());
            mean
        }).collect();
        let mut values = vec![0.0; rows * dim];
        wavekv_kernels::convert::read(tensor.matrix(), 0..rows, &mut values).unwrap();
        for (at, mean) in all[0].iter().enumerate() {
            let sum: f64 = values.iter().skip(at).step_by(dim).map(|x| f64::from(*x)).sum();
            // Of 64 numbers below 2 each sum is rounded by less than 2^-17 in all.
            prop_assert!((f64::from(*mean) - sum / rows.max(1) as f64).abs() < 64.0 * 1e-5, "{mean}");
        }
        for mean in &all {
            prop_assert_eq!(mean, &all[0]);
        }
    }
}

#[test]
fn an_outstanding_row_is_shortened_and_the_others_keep_their_digits() {
    let mut values = vec![0.0_f32; 200 * 2];
    for (at, x) in values.iter_mut().enumerate() {
        *x = (at % 7) as f32 - 3.0;
    }
    values[6] = 3000.0;
    values[7] = -3000.0;
    let rows = Matrix::from_f32(&values, 200, 2).unwrap();
    let points = points(Kernels::detect(), rows, &[0.0; 2]);
    let [[x, y]] = points.row(3) else { panic!() };
    assert_eq!((*x, *y), (22_627, -22_627));
    // The longest of the others is a thousandth as long: 22 steps without shortening.
    let others = (0..200)
        .filter(|row| *row != 3)
        .map(|row| points.square(row));
    assert!(others.max() > Some(60 * 60));
}

#[test]
fn a_tie_goes_to_the_first() {
    let tensor = Tensor::new(&numbers(3, 24).repeat(130), Dtype::F32, 130, 24);
    let all = points(Kernels::detect(), tensor.matrix(), &[0.0; 24]);
    for kernels in Kernels::available() {
        assert_eq!(assign(kernels, &some(&all, 60), &all), [0, 0, 0]);
    }
}

#[test]
fn what_does_not_fit_is_no_shape() {
    let (mut blocks, mut points) = (PointBlocks::default(), Points::new(4));
    let nearest = &mut [];
    assert!(Assign::new(&blocks, &points, &[], nearest).is_err());
    let zeros = vec![0.0; 4 * (MOST_POINTS + 1)];
    let too_many = Matrix::from_f32(&zeros, MOST_POINTS + 1, 4).unwrap();
    assert!(Quantise::new(too_many, &[0.0; 4], &mut vec![], &mut points).is_err());
    points.resize(2, 4);
    blocks.fill(&points);
    assert!(Assign::new(&blocks, &points, &[0; 2], &mut [0; 3]).is_err());
    assert!(Assign::new(&blocks, &points, &[0], &mut [0; 2]).is_err());
    assert!(Assign::new(&blocks, &Points::new(6), &[], &mut [0; 2]).is_err());
    let mut sums = Sums::default();
    sums.clear(1, 4);
    assert!(AddPoints::new(&points, &[0, 1], &mut sums).is_err());
    assert!(AddPoints::new(&points, &[0], &mut sums).is_err());
    assert!(sums.move_centroids(&mut points).is_err());
}
