//! Lloyd's k-means of some points: every point goes to its nearest centroid, every centroid to the mean of its points.

use rand::seq::index;
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{AddPoints, Assign, Kernels, PointBlocks, Points, ShapeError, Sums};

/// A k-means in progress, and room for the next one.
#[derive(Debug, Default)]
pub(super) struct Lloyd {
    /// Of the clusters.
    pub(super) centroids: Points,
    /// Cluster of each point.
    pub(super) nearest: Vec<u32>,
    before: Vec<u32>,
    blocks: PointBlocks,
    half_squares: Vec<i32>,
    sums: Sums,
}

impl Lloyd {
    /// Begins with `k` of `points` as centroids, or all where there are fewer.
    pub(super) fn begin(
        &mut self,
        points: &Points,
        k: usize,
        rng: &mut Pcg64Mcg,
    ) -> Result<(), ShapeError> {
        let rows = points.rows();
        let mut first = index::sample(rng, rows, k.min(rows)).into_vec();
        first.sort_unstable();
        let first: Vec<u32> = first.into_iter().map(|row| row as u32).collect();
        self.centroids.clear(points.dim());
        self.centroids.take(points, &first)?;
        self.blocks.fill(points);
        self.nearest.clear();
        self.nearest.resize(rows, u32::MAX);
        Ok(())
    }

    /// One pass over the points that it began with; whether any of them went to another cluster.
    pub(super) fn pass(&mut self, kernels: Kernels, points: &Points) -> Result<bool, ShapeError> {
        std::mem::swap(&mut self.nearest, &mut self.before);
        self.assign(kernels)?;
        if self.nearest == self.before {
            return Ok(false);
        }
        self.sums.clear(self.centroids.rows(), points.dim());
        kernels.add_points(AddPoints::new(points, &self.nearest, &mut self.sums)?);
        self.sums.move_centroids(&mut self.centroids)?;
        Ok(true)
    }

    /// Every point to its nearest centroid.
    pub(super) fn assign(&mut self, kernels: Kernels) -> Result<(), ShapeError> {
        half_squares(&self.centroids, &mut self.half_squares);
        self.nearest.resize(self.blocks.rows(), 0);
        kernels.assign(Assign::new(
            &self.blocks,
            &self.centroids,
            &self.half_squares,
            &mut self.nearest,
        )?);
        Ok(())
    }

    /// All passes; the points have yet to go to where the centroids are then.
    pub(super) fn run(
        &mut self,
        kernels: Kernels,
        points: &Points,
        passes: u32,
    ) -> Result<(), ShapeError> {
        for _ in 0..passes {
            if !self.pass(kernels, points)? {
                break;
            }
        }
        Ok(())
    }

    /// The points that it began with, as kernels take them.
    pub(super) fn swap_blocks(&mut self, blocks: &mut PointBlocks) {
        std::mem::swap(&mut self.blocks, blocks);
    }
}

/// Half the square of each centroid, rounded down.
pub(super) fn half_squares(centroids: &Points, halves: &mut Vec<i32>) {
    halves.clear();
    halves.extend((0..centroids.rows()).map(|row| centroids.square(row) / 2));
}
