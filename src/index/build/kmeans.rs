//! Two-stage k-means: coarse clusters first, then each of them split into fine ones. A point is compared with about
//! `2 sqrt(k)` centroids instead of `k`, so a segment costs O(n sqrt(n)) and a layer is linear in its tokens. The
//! stages, few passes and plain Euclidean distance lose nothing that could be measured on real keys (RESEARCH.md), as
//! long as a coarse cluster is split into as many as its share of the inertia asks for: by its share of the points, the
//! loose ones stay too large, and with them the worst errors of the answers (a quarter more at the 99th percentile).
//!
//! Deterministic: the same points, sizes and seed give the same clusters on every CPU, because the kernel's dot products
//! are bit-identical on every instruction set and means are summed in order.

use rand::SeedableRng as _;
use rand::seq::index;
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{Assign, Kernels, Matrix, Queries, ShapeError};

/// Below this many clusters one stage is cheaper than two.
const ONE_STAGE_CLUSTERS: usize = 16;

/// What the clustering is asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Clustering {
    /// Points of a cluster, on average.
    pub(in crate::index) mean_size: usize,
    /// No cluster is larger.
    pub(in crate::index) max_size: usize,
    /// Passes of each stage.
    pub(in crate::index) iterations: u32,
    /// Of the initial centroids.
    pub(in crate::index) seed: u64,
}

/// Groups `points` (`[n, dim]` f32) into clusters: the rows of each, ascending, similar clusters next to each other.
///
/// # Errors
/// [`ShapeError`] when `points` is not a whole number of rows of `dim`.
pub(in crate::index) fn cluster(
    kernels: Kernels,
    points: &[f32],
    dim: usize,
    wanted: Clustering,
) -> Result<Vec<Vec<u32>>, ShapeError> {
    let mut run = Run {
        kernels,
        points,
        dim,
        wanted,
        rng: Pcg64Mcg::seed_from_u64(wanted.seed),
    };
    let all: Vec<u32> = (0..(points.len() / dim) as u32).collect();
    let fine = all.len().div_ceil(wanted.mean_size);
    let coarse = if fine <= ONE_STAGE_CLUSTERS {
        1
    } else {
        (fine as f64).sqrt().round() as usize
    };
    let groups = run.lloyd(all, coarse)?;
    let inertias: Vec<f64> = groups.iter().map(|group| run.inertia(group)).collect();
    let whole: f64 = inertias.iter().sum();
    let mut clusters = Vec::with_capacity(fine);
    for (group, inertia) in groups.into_iter().zip(inertias) {
        let share = if whole > 0.0 { inertia / whole } else { 0.0 };
        let wanted = (fine as f64 * share).round() as usize;
        for cluster in run.lloyd(group, wanted.max(1))? {
            run.bounded(cluster, &mut clusters)?;
        }
    }
    Ok(clusters)
}

struct Run<'a> {
    kernels: Kernels,
    points: &'a [f32],
    dim: usize,
    wanted: Clustering,
    rng: Pcg64Mcg,
}

impl Run<'_> {
    fn point(&self, row: u32) -> &[f32] {
        &self.points[row as usize * self.dim..][..self.dim]
    }

    /// Lloyd's k-means of `rows` into at most `k` clusters; none is empty.
    fn lloyd(&mut self, rows: Vec<u32>, k: usize) -> Result<Vec<Vec<u32>>, ShapeError> {
        if k <= 1 || rows.len() <= 1 {
            return Ok(if rows.is_empty() { vec![] } else { vec![rows] });
        }
        let points: Vec<f32> = rows
            .iter()
            .flat_map(|row| self.point(*row))
            .copied()
            .collect();
        let mut first = index::sample(&mut self.rng, rows.len(), k.min(rows.len())).into_vec();
        first.sort_unstable();
        let mut centroids: Vec<f32> = first
            .iter()
            .flat_map(|row| &points[row * self.dim..][..self.dim])
            .copied()
            .collect();
        let mut nearest = vec![0; rows.len()];
        for _ in 0..self.wanted.iterations {
            self.assign(&points, &centroids, &mut nearest)?;
            move_to_means(&points, &nearest, &mut centroids, self.dim);
        }
        self.assign(&points, &centroids, &mut nearest)?;
        let mut clusters = vec![vec![]; first.len()];
        for (row, cluster) in rows.into_iter().zip(nearest) {
            clusters[cluster as usize].push(row);
        }
        clusters.retain(|cluster: &Vec<u32>| !cluster.is_empty());
        Ok(clusters)
    }

    /// Sum of the squared distances of some points from their mean.
    fn inertia(&self, rows: &[u32]) -> f64 {
        let mut sums = vec![0.0_f64; self.dim];
        let mut squares = 0.0;
        for row in rows {
            for (sum, x) in sums.iter_mut().zip(self.point(*row)) {
                let x = f64::from(*x);
                *sum += x;
                squares += x * x;
            }
        }
        let of_mean: f64 = sums.iter().map(|sum| sum * sum).sum();
        (squares - of_mean / rows.len().max(1) as f64).max(0.0)
    }

    fn assign(
        &self,
        points: &[f32],
        centroids: &[f32],
        nearest: &mut [u32],
    ) -> Result<(), ShapeError> {
        let half_norms: Vec<f32> = centroids
            .chunks_exact(self.dim)
            .map(|centroid| centroid.iter().map(|x| x * x).sum::<f32>() / 2.0)
            .collect();
        let queries = Queries::new(points, nearest.len(), self.dim)?;
        let centroids = Matrix::from_f32(centroids, half_norms.len(), self.dim)?;
        let mut gains = vec![0.0; nearest.len()];
        self.kernels.assign(Assign::new(
            queries,
            centroids,
            &half_norms,
            nearest,
            &mut gains,
        )?);
        Ok(())
    }

    /// Splits a cluster that is too large until its parts fit.
    fn bounded(
        &mut self,
        cluster: Vec<u32>,
        clusters: &mut Vec<Vec<u32>>,
    ) -> Result<(), ShapeError> {
        if cluster.len() <= self.wanted.max_size {
            clusters.push(cluster);
            return Ok(());
        }
        let size = cluster.len();
        let parts = self.lloyd(cluster, size.div_ceil(self.wanted.mean_size))?;
        if parts.len() == 1 {
            // Equal points cannot be told apart: neighbours in position stay together.
            let chunks = parts
                .iter()
                .flat_map(|part| part.chunks(self.wanted.mean_size));
            clusters.extend(chunks.map(<[u32]>::to_vec));
            return Ok(());
        }
        parts
            .into_iter()
            .try_for_each(|part| self.bounded(part, clusters))
    }
}

/// Moves each centroid to the mean of its points, summed in order; one without points stays.
fn move_to_means(points: &[f32], nearest: &[u32], centroids: &mut [f32], dim: usize) {
    let mut sizes = vec![0_u32; centroids.len() / dim];
    let mut sums = vec![0.0_f32; centroids.len()];
    for (point, cluster) in points.chunks_exact(dim).zip(nearest) {
        let cluster = *cluster as usize;
        sizes[cluster] += 1;
        for (sum, x) in sums[cluster * dim..][..dim].iter_mut().zip(point) {
            *sum += x;
        }
    }
    for ((centroid, sum), size) in centroids
        .chunks_exact_mut(dim)
        .zip(sums.chunks_exact(dim))
        .zip(sizes)
    {
        if size > 0 {
            let inverse = 1.0 / size as f32;
            for (x, sum) in centroid.iter_mut().zip(sum) {
                *x = sum * inverse;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: Clustering = Clustering {
        mean_size: 8,
        max_size: 32,
        iterations: 4,
        seed: 7,
    };

    proptest! {
        #[test]
        fn every_point_is_in_exactly_one_bounded_cluster(
            n in 0usize..600, distinct in 1u32..50, seed in any::<u64>(),
        ) {
            let points: Vec<f32> = (0..n as u32 * 3).map(|i| (i.wrapping_mul(2_654_435_761) % distinct) as f32).collect();
            let wanted = Clustering { seed, ..WANTED };
            let clusters = cluster(Kernels::detect(), &points, 3, wanted).unwrap();
            let mut rows: Vec<u32> = clusters.iter().flatten().copied().collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..n as u32).collect::<Vec<_>>());
            for cluster in &clusters {
                prop_assert!((1..=32).contains(&cluster.len()));
                prop_assert!(cluster.is_sorted());
            }
            for kernels in Kernels::available() {
                prop_assert_eq!(&clusters, &super::cluster(kernels, &points, 3, wanted).unwrap());
            }
        }
    }

    /// Sum of squared distances of points from the mean of their cluster.
    fn inertia(points: &[f32], dim: usize, clusters: &[Vec<u32>]) -> f64 {
        let point = |row: &u32| &points[*row as usize * dim..][..dim];
        let of_cluster = |rows: &Vec<u32>| {
            let mean = |at: usize| {
                rows.iter()
                    .map(|row| f64::from(point(row)[at]))
                    .sum::<f64>()
                    / rows.len() as f64
            };
            let of_dim = |at| {
                let mean = mean(at);
                rows.iter()
                    .map(|row| (f64::from(point(row)[at]) - mean).powi(2))
                    .sum::<f64>()
            };
            (0..dim).map(of_dim).sum::<f64>()
        };
        clusters.iter().map(of_cluster).sum()
    }

    #[test]
    fn two_stages_are_nearly_as_good_as_one_and_far_better_than_neighbours_in_position() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let blobs: Vec<[f32; 4]> = (0..100).map(|_| rng.random()).collect();
        let points: Vec<f32> = (0..1600_usize)
            .flat_map(|i| blobs[i % 100].map(|x| 10.0 * x + rng.random::<f32>()))
            .collect();
        let two_stages = cluster(Kernels::detect(), &points, 4, WANTED).unwrap();
        let mut run = Run {
            kernels: Kernels::detect(),
            points: &points,
            dim: 4,
            wanted: WANTED,
            rng: Pcg64Mcg::seed_from_u64(WANTED.seed),
        };
        let one_stage = run.lloyd((0..1600).collect(), 200).unwrap();
        let pages: Vec<Vec<u32>> = (0..200).map(|i| (i * 8..i * 8 + 8).collect()).collect();
        let [two, one, pages] =
            [&two_stages, &one_stage, &pages].map(|clusters| inertia(&points, 4, clusters));
        assert!(two < 1.2 * one, "{two} of two stages, {one} of one");
        assert!(two < pages / 10.0, "{two} of clusters, {pages} of pages");
    }
}
