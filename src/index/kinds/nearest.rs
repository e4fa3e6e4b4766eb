//! The largest inner product as the nearest neighbour (Bachrach et al. 2014, "Speeding up the Xbox recommender system").
//!
//! Keys are centred, and given one more coordinate that makes all of them as long as the longest, `r`. A query has 0
//! there, so `|q - k|^2 = |q|^2 + r^2 - 2 q.k`: the nearest key is the one with the largest product, and distances
//! between keys mean what lists and graphs take them to mean. On two real traces a graph over inner products found 77
//! to 99 % of the mass that its best tokens have, depending on luck, and one over this space 99 %.

use crate::index::build::encode::mean;

/// A centre and a length.
#[derive(Debug)]
pub(super) struct Space {
    centre: Vec<f32>,
    length: f32,
}

/// A query in a [`Space`].
#[derive(Debug)]
pub(super) struct Lifted {
    pub(super) point: Vec<f32>,
    /// `q.k` is the product of the points divided by this, and [`Lifted::offset`].
    scale: f32,
    offset: f32,
}

impl Space {
    /// The space of keys `[tokens, dim]`, and the keys in it, `[tokens, dim + 1]`.
    pub(super) fn of(keys: &[f32], dim: usize) -> (Self, Vec<f32>) {
        let tokens = keys.len() / dim;
        let centre: Vec<f32> = mean(keys, dim).map(|x| x as f32).collect();
        let mut points = Vec::with_capacity(tokens * (dim + 1));
        for key in keys.chunks_exact(dim) {
            points.extend(key.iter().zip(&centre).map(|(x, centre)| x - centre));
            points.push(0.0);
        }
        let squares: Vec<f32> = points.chunks_exact(dim + 1).map(square).collect();
        let most = squares.iter().copied().fold(0.0, f32::max);
        for (point, square) in points.chunks_exact_mut(dim + 1).zip(squares) {
            point[dim] = (most - square).max(0.0).sqrt();
        }
        let length = most.sqrt();
        (Self { centre, length }, points)
    }

    /// A query `times` as long as the keys.
    pub(super) fn lift(&self, query: &[f32], times: f32) -> Lifted {
        let norm = square(query).sqrt();
        let scale = times * self.length / norm;
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let mut point: Vec<f32> = query.iter().map(|x| x * scale).collect();
        point.push(0.0);
        let offset = query.iter().zip(&self.centre).map(|(q, x)| q * x).sum();
        Lifted {
            point,
            scale,
            offset,
        }
    }
}

impl Lifted {
    /// `q.k` of a key, from the product of its point with the query's.
    pub(super) fn product(&self, of_points: f32) -> f32 {
        of_points / self.scale + self.offset
    }

    /// The same from the square of the distance between them.
    pub(super) fn product_at(&self, square_distance: f32, space: &Space) -> f32 {
        let squares = square(&self.point) + space.length * space.length;
        self.product((squares - square_distance) / 2.0)
    }
}

fn square(point: &[f32]) -> f32 {
    point.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn the_nearest_point_is_the_largest_product() {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        let keys: Vec<f32> = (0..50 * 8).map(|_| rng.random_range(-1.0..3.0)).collect();
        let query: Vec<f32> = (0..8).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (space, points) = Space::of(&keys, 8);
        let lifted = space.lift(&query, 2.0);
        for (key, point) in keys.chunks_exact(8).zip(points.chunks_exact(9)) {
            assert!((square(point).sqrt() - space.length).abs() < 1e-5);
            let expected: f32 = query.iter().zip(key).map(|(q, x)| q * x).sum();
            let product = lifted.point.iter().zip(point).map(|(q, x)| q * x).sum();
            let apart = lifted.point.iter().zip(point).map(|(q, x)| (q - x).powi(2));
            let distance = apart.sum();
            assert!((lifted.product(product) - expected).abs() < 1e-4);
            assert!((lifted.product_at(distance, &space) - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn keys_and_queries_of_zeros_have_a_space() {
        let (space, points) = Space::of(&[0.0; 12], 4);
        assert_eq!(points, [0.0; 15]);
        for query in [[0.0; 4], [1.0; 4]] {
            let lifted = space.lift(&query, 1.0);
            assert!(lifted.product(0.0).abs() < f32::EPSILON);
        }
    }
}
