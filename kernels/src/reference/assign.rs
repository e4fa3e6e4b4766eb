//! The nearest centroid of a point.

use super::scan;
use crate::tensor::{Matrix, Queries};

/// For each point the centroid that minimises `|p - c|^2`, ties to the lowest index, with its
/// `p.c - |c|^2 / 2` (which is largest where the distance is smallest).
pub fn assign(points: Queries<'_>, centroids: Matrix<'_>, half_norms: &[f32]) -> Vec<(usize, f64)> {
    let nearest = |scores: Vec<f64>| {
        let gains = scores
            .iter()
            .zip(half_norms)
            .map(|(score, half)| score - f64::from(*half));
        gains
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (index, gain)| {
                if gain > best.1 { (index, gain) } else { best }
            })
    };
    scan(points, centroids, 1.0)
        .into_iter()
        .map(nearest)
        .collect()
}
