//! The cells of a k-means: what its first stage made, and the clusters that each was split into.

use std::ops::Range;

use wavekv_kernels::{AddPoints, Assign, Kernels, PointBlocks, Points, ShapeError, Sums};

use super::lloyd::half_squares;

/// Points of a cell are compared with the clusters of their own and of so many cells around it: with 8 of some 23 cells
/// around, three passes came within 3 % of the inertia of a full k-means on every segment of two traces, with 4 not. A
/// later pass must not look at fewer, or it would not see where a point has gone.
const NEIGHBOURS: usize = 8;

/// One cell.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Its points, row by row.
    pub(super) points: Points,
    /// The same.
    pub(super) blocks: PointBlocks,
    /// Its clusters, of all.
    pub(super) clusters: Range<u32>,
    /// Cells, itself first.
    near: Vec<u32>,
}

/// Room for the passes between cells.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    candidates: Vec<u32>,
    centroids: Points,
    half_squares: Vec<i32>,
    /// The nearest cluster of each point of the cell.
    pub(super) nearest: Vec<u32>,
}

/// Tells the cells which others are around them.
pub(super) fn find_neighbours(cells: &mut [Cell], centroids: &Points) {
    for (at, cell) in cells.iter_mut().enumerate() {
        let mut distances: Vec<(i64, u32)> = (0..centroids.rows() as u32)
            .map(|other| (distance(centroids, at, other as usize), other))
            .collect();
        // Itself first, also where another has the same centroid.
        distances
            .sort_unstable_by_key(|(distance, other)| (*distance, *other != at as u32, *other));
        cell.near.clear();
        let near = distances.iter().map(|(_, other)| *other);
        cell.near.extend(near.take(1 + NEIGHBOURS));
    }
}

fn distance(points: &Points, a: usize, b: usize) -> i64 {
    let pairs = points.row(a).as_flattened().iter();
    pairs
        .zip(points.row(b).as_flattened())
        .map(|(a, b)| i64::from(i32::from(*a) - i32::from(*b)).pow(2))
        .sum()
}

impl Exchange {
    /// The nearest of the clusters in and around a cell for each of its points, which are added to the sums of all.
    pub(super) fn pass(
        &mut self,
        kernels: Kernels,
        cells: &[Cell],
        at: usize,
        centroids: &Points,
        sums: &mut Sums,
    ) -> Result<(), ShapeError> {
        let cell = &cells[at];
        self.candidates.clear();
        for near in &cell.near {
            self.candidates
                .extend(cells[*near as usize].clusters.clone());
        }
        // So that ties go to the first cluster of all.
        self.candidates.sort_unstable();
        self.centroids.clear(centroids.dim());
        self.centroids.take(centroids, &self.candidates)?;
        half_squares(&self.centroids, &mut self.half_squares);
        self.nearest.clear();
        self.nearest.resize(cell.points.rows(), 0);
        kernels.assign(Assign::new(
            &cell.blocks,
            &self.centroids,
            &self.half_squares,
            &mut self.nearest,
        )?);
        for nearest in &mut self.nearest {
            *nearest = self.candidates[*nearest as usize];
        }
        kernels.add_points(AddPoints::new(&cell.points, &self.nearest, sums)?);
        Ok(())
    }
}
