//! The nearest centroid of a point.

use crate::points::Points;

/// For each point the centroid that minimises `|p - c|^2`, up to the rounding of half squares: the one with the largest
/// `p.c - floor(|c|^2 / 2)`, ties to the lowest index. Exact.
pub fn assign(points: &Points, centroids: &Points) -> Vec<u32> {
    let product = |a: usize, b: usize| {
        let pairs = points.row(a).as_flattened().iter();
        pairs
            .zip(centroids.row(b).as_flattened())
            .map(|(a, b)| i64::from(*a) * i64::from(*b))
            .sum::<i64>()
    };
    let half = |centroid: usize| {
        let squares = centroids.row(centroid).as_flattened().iter();
        squares.map(|x| i64::from(*x).pow(2)).sum::<i64>() / 2
    };
    let nearest = |point: usize| {
        let gains = (0..centroids.rows()).map(|centroid| product(point, centroid) - half(centroid));
        let best = gains
            .zip(0..)
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map_or(0, |(_, centroid)| centroid)
    };
    (0..points.rows()).map(nearest).collect()
}
