//! K-means in stages: cells first, then each cell split into clusters, then a few passes in which points may go over to
//! clusters of the cells around theirs. A point is compared with some tens of centroids instead of all, so a segment costs
//! O(n sqrt(n)) and a layer is linear in its tokens.
//!
//! A cell is split into as many clusters as its share of the inertia asks for: by its share of the points, the loose ones
//! stay too large, and with them the worst errors of the answers (a quarter more at the 99th percentile). Plain Euclidean
//! distance lost nothing that could be measured on real keys (RESEARCH.md).
//!
//! Deterministic: the same points, sizes and seed give the same clusters on every CPU, because points are integers. The
//! work is cut into steps of a millisecond or so, between which it may rest or be thrown away.

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{AddPoints, Kernels, Matrix, Points, Quantise, ShapeError, Sums};

use super::cells::{self, Cell, Exchange};
use super::clusters::Clusters;
use super::lloyd::Lloyd;
use super::strays;

/// Below this many clusters one stage is cheaper than two.
const ONE_STAGE_CLUSTERS: usize = 16;
/// Passes of the last stage.
const EXCHANGES: u32 = 3;
/// A cluster that is too large is split into at most as many at once.
const MOST_PARTS: usize = 64;

/// What the clustering is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::index) struct Clustering {
    /// Points of a cluster, on average.
    pub(in crate::index) mean_size: usize,
    /// No cluster is larger.
    pub(in crate::index) max_size: usize,
    /// Passes of each of the first two stages.
    pub(in crate::index) iterations: u32,
    /// Of the initial centroids.
    pub(in crate::index) seed: u64,
}

/// Groups `points` into clusters: the rows of each, ascending, similar clusters next to each other.
///
/// # Errors
/// [`ShapeError`] when there are more points than [`wavekv_kernels::points::MOST_POINTS`].
#[cfg(any(test, feature = "faiss"))]
pub(in crate::index) fn cluster(
    kernels: Kernels,
    points: Matrix<'_>,
    wanted: Clustering,
) -> Result<Clusters, ShapeError> {
    let mut base = vec![0.0; points.cols()];
    kernels.mean(wavekv_kernels::Mean::new(points, &mut base)?);
    let mut run = KMeans::new(wanted);
    run.begin(kernels, points, &base, wanted)?;
    while !run.step(kernels)? {}
    Ok(run.clusters)
}

/// A clustering in progress, and room for the next one.
#[derive(Debug)]
pub(super) struct KMeans {
    wanted: Clustering,
    rng: Pcg64Mcg,
    stage: Stage,
    points: Points,
    lengths: Vec<f32>,
    lloyd: Lloyd,
    /// Rows of the points of each cell.
    members: Clusters,
    cells: Vec<Cell>,
    /// How many clusters each cell is to be split into.
    parts: Vec<usize>,
    /// Of the clusters, those of a cell side by side.
    centroids: Points,
    exchange: Exchange,
    sums: Sums,
    /// Cluster of each point.
    nearest: Vec<u32>,
    clusters: Clusters,
}

/// What the next step does.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Pass of the first stage.
    Cells(u32),
    /// Splits a cell.
    Split(usize),
    /// Pass of the last stage, and which cell.
    Exchange(u32, usize),
    Bound,
    Done,
}

impl KMeans {
    pub(super) fn new(wanted: Clustering) -> Self {
        Self {
            wanted,
            rng: Pcg64Mcg::seed_from_u64(wanted.seed),
            stage: Stage::Done,
            points: Points::default(),
            lengths: vec![],
            lloyd: Lloyd::default(),
            members: Clusters::default(),
            cells: vec![],
            parts: vec![],
            centroids: Points::default(),
            exchange: Exchange::default(),
            sums: Sums::default(),
            nearest: vec![],
            clusters: Clusters::default(),
        }
    }

    /// Begins to cluster what `points` are beside `base`.
    ///
    /// # Errors
    /// [`ShapeError`] when there are too many, or the base is not as long as a point.
    pub(super) fn begin(
        &mut self,
        kernels: Kernels,
        points: Matrix<'_>,
        base: &[f32],
        wanted: Clustering,
    ) -> Result<(), ShapeError> {
        self.wanted = wanted;
        self.rng = Pcg64Mcg::seed_from_u64(wanted.seed);
        let quantise = Quantise::new(points, base, &mut self.lengths, &mut self.points)?;
        kernels.quantise(quantise);
        self.clusters.clear();
        let none = self.points.rows() == 0;
        self.stage = if none { Stage::Done } else { Stage::Cells(0) };
        Ok(())
    }

    /// What was made.
    pub(super) fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Does a millisecond of the work or so; whether it was the last.
    ///
    /// # Errors
    /// Never: the shapes are made here.
    pub(super) fn step(&mut self, kernels: Kernels) -> Result<bool, ShapeError> {
        self.stage = match self.stage {
            Stage::Cells(pass) => self.pass_of_cells(kernels, pass)?,
            Stage::Split(cell) => self.split(kernels, cell)?,
            Stage::Exchange(pass, cell) => self.exchange(kernels, pass, cell)?,
            Stage::Bound => self.bound(kernels)?,
            Stage::Done => Stage::Done,
        };
        Ok(matches!(self.stage, Stage::Done))
    }

    fn pass_of_cells(&mut self, kernels: Kernels, pass: u32) -> Result<Stage, ShapeError> {
        let fine = self.points.rows().div_ceil(self.wanted.mean_size);
        if fine <= ONE_STAGE_CLUSTERS {
            self.lloyd.begin(&self.points, 1, &mut self.rng)?;
            self.lloyd.assign(kernels)?;
            return self.make_cells(kernels, fine);
        }
        if pass == 0 {
            let cells = (fine as f64).sqrt().round() as usize;
            self.lloyd.begin(&self.points, cells, &mut self.rng)?;
        }
        if self.lloyd.pass(kernels, &self.points)? && pass + 1 < self.wanted.iterations {
            return Ok(Stage::Cells(pass + 1));
        }
        self.lloyd.assign(kernels)?;
        self.make_cells(kernels, fine)
    }

    /// Deals the points out to their cells, and `fine` clusters by the inertia of cells.
    fn make_cells(&mut self, kernels: Kernels, fine: usize) -> Result<Stage, ShapeError> {
        let (points, dim) = (&self.points, self.points.dim());
        self.members
            .assign(&self.lloyd.nearest, self.lloyd.centroids.rows());
        self.cells.resize_with(self.members.len(), Cell::default);
        self.nearest.resize(points.rows(), 0);
        for (at, (cell, rows)) in (0..).zip(self.cells.iter_mut().zip(self.members.iter())) {
            cell.points.clear(dim);
            cell.points.take(points, rows)?;
            for row in rows {
                self.nearest[*row as usize] = at;
            }
        }
        self.sums.clear(self.cells.len(), dim);
        kernels.add_points(AddPoints::new(points, &self.nearest, &mut self.sums)?);
        let inertia = |(at, cell): (usize, &Cell)| {
            let squares = (0..cell.points.rows()).map(|row| f64::from(cell.points.square(row)));
            (squares.sum::<f64>() - self.sums.square_of_mean(at)).max(0.0)
        };
        let inertias: Vec<f64> = self.cells.iter().enumerate().map(inertia).collect();
        let whole: f64 = inertias.iter().sum();
        let parts = |inertia: f64| {
            let share = if whole > 0.0 { inertia / whole } else { 0.0 };
            ((fine as f64 * share).round() as usize).max(1)
        };
        self.parts.clear();
        self.parts.extend(inertias.into_iter().map(parts));
        self.centroids.resize(self.cells.len(), dim);
        self.sums.move_centroids(&mut self.centroids)?;
        cells::find_neighbours(&mut self.cells, &self.centroids);
        self.centroids.clear(dim);
        Ok(Stage::Split(0))
    }

    fn split(&mut self, kernels: Kernels, at: usize) -> Result<Stage, ShapeError> {
        let alone = self.cells.len() == 1;
        let Some(cell) = self.cells.get_mut(at) else {
            self.sums.clear(self.centroids.rows(), self.points.dim());
            return Ok(if alone {
                Stage::Bound
            } else {
                Stage::Exchange(0, 0)
            });
        };
        self.lloyd
            .begin(&cell.points, self.parts[at], &mut self.rng)?;
        self.lloyd
            .run(kernels, &cell.points, self.wanted.iterations)?;
        if alone {
            self.lloyd.assign(kernels)?;
        }
        self.lloyd.swap_blocks(&mut cell.blocks);
        let first = self.centroids.rows() as u32;
        let all: Vec<u32> = (0..self.lloyd.centroids.rows() as u32).collect();
        self.centroids.take(&self.lloyd.centroids, &all)?;
        cell.clusters = first..self.centroids.rows() as u32;
        if alone {
            // Nothing assigns its points again.
            self.nearest.clone_from(&self.lloyd.nearest);
        }
        Ok(Stage::Split(at + 1))
    }

    fn exchange(&mut self, kernels: Kernels, pass: u32, at: usize) -> Result<Stage, ShapeError> {
        if at == self.cells.len() {
            if pass + 1 >= EXCHANGES {
                return Ok(Stage::Bound);
            }
            self.sums.move_centroids(&mut self.centroids)?;
            self.sums.clear(self.centroids.rows(), self.points.dim());
            return Ok(Stage::Exchange(pass + 1, 0));
        }
        let centroids = &self.centroids;
        self.exchange
            .pass(kernels, &self.cells, at, centroids, &mut self.sums)?;
        let rows = self.members.iter().nth(at).unwrap_or_default();
        for (row, nearest) in rows.iter().zip(&self.exchange.nearest) {
            self.nearest[*row as usize] = *nearest;
        }
        Ok(Stage::Exchange(pass, at + 1))
    }

    /// Splits the clusters that are too large until their parts fit, and takes apart what is like none of its cluster.
    fn bound(&mut self, kernels: Kernels) -> Result<Stage, ShapeError> {
        let mut made = std::mem::take(&mut self.members);
        made.assign(&self.nearest, self.centroids.rows());
        self.clusters.clear();
        for rows in made.iter() {
            if rows.len() <= self.wanted.max_size {
                self.clusters.push(rows);
            } else {
                self.bounded(kernels, rows)?;
            }
        }
        self.members = made;
        strays::take_apart(&self.points, &mut self.clusters);
        Ok(Stage::Done)
    }

    fn bounded(&mut self, kernels: Kernels, rows: &[u32]) -> Result<(), ShapeError> {
        let mut waiting = vec![rows.to_vec()];
        let (mut points, mut parts) = (Points::default(), Clusters::default());
        while let Some(rows) = waiting.pop() {
            if rows.len() <= self.wanted.max_size {
                self.clusters.push(&rows);
                continue;
            }
            points.clear(self.points.dim());
            points.take(&self.points, &rows)?;
            let count = rows.len().div_ceil(self.wanted.mean_size).min(MOST_PARTS);
            self.lloyd.begin(&points, count, &mut self.rng)?;
            self.lloyd.run(kernels, &points, self.wanted.iterations)?;
            self.lloyd.assign(kernels)?;
            parts.assign(&self.lloyd.nearest, count);
            if parts.len() == 1 {
                // Equal points cannot be told apart: neighbours in position stay together.
                rows.chunks(self.wanted.mean_size)
                    .for_each(|chunk| self.clusters.push(chunk));
                continue;
            }
            let start = waiting.len();
            let of_part = |part: &[u32]| part.iter().map(|at| rows[*at as usize]).collect();
            waiting.extend(parts.iter().map(of_part));
            waiting[start..].reverse();
        }
        Ok(())
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

    fn matrix(points: &[f32], dim: usize) -> Matrix<'_> {
        Matrix::from_f32(points, points.len() / dim, dim).unwrap()
    }

    proptest! {
        #[test]
        fn every_point_is_in_exactly_one_bounded_cluster(
            n in 0usize..600, distinct in 1u32..50, seed in any::<u64>(),
        ) {
            let points: Vec<f32> = (0..n as u32 * 3).map(|i| (i.wrapping_mul(2_654_435_761) % distinct) as f32).collect();
            let wanted = Clustering { seed, ..WANTED };
            let clusters = cluster(Kernels::detect(), matrix(&points, 3), wanted).unwrap();
            let mut rows = clusters.rows().to_vec();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..n as u32).collect::<Vec<_>>());
            for cluster in clusters.iter() {
                prop_assert!((1..=32).contains(&cluster.len()));
                prop_assert!(cluster.is_sorted());
            }
            for kernels in Kernels::available() {
                prop_assert_eq!(&clusters, &super::cluster(kernels, matrix(&points, 3), wanted).unwrap());
            }
        }
    }

    /// Sum of squared distances of points from the mean of their cluster.
    fn inertia<'a>(points: &[f32], dim: usize, clusters: impl Iterator<Item = &'a [u32]>) -> f64 {
        let point = |row: &u32| &points[*row as usize * dim..][..dim];
        let of_cluster = |rows: &[u32]| {
            let of_dim = |at: usize| {
                let numbers = || rows.iter().map(|row| f64::from(point(row)[at]));
                let mean = numbers().sum::<f64>() / rows.len() as f64;
                numbers().map(|x| (x - mean).powi(2)).sum::<f64>()
            };
            (0..dim).map(of_dim).sum::<f64>()
        };
        clusters.map(of_cluster).sum()
    }

    #[test]
    fn stages_are_nearly_as_good_as_one_and_far_better_than_neighbours_in_position() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let blobs: Vec<[f32; 4]> = (0..100).map(|_| rng.random()).collect();
        let points: Vec<f32> = (0..1600_usize)
            .flat_map(|i| blobs[i % 100].map(|x| 10.0 * x + rng.random::<f32>()))
            .collect();
        let kernels = Kernels::detect();
        let staged = cluster(kernels, matrix(&points, 4), WANTED).unwrap();
        let (mut whole, mut lloyd) = (Points::default(), Lloyd::default());
        let mut lengths = vec![];
        let quantise = Quantise::new(matrix(&points, 4), &[5.0; 4], &mut lengths, &mut whole);
        kernels.quantise(quantise.unwrap());
        lloyd.begin(&whole, staged.len(), &mut rng).unwrap();
        lloyd.run(kernels, &whole, 25).unwrap();
        lloyd.assign(kernels).unwrap();
        let mut one_stage = Clusters::default();
        one_stage.assign(&lloyd.nearest, staged.len());
        let pages: Vec<Vec<u32>> = (0..200).map(|i| (i * 8..i * 8 + 8).collect()).collect();
        let staged = inertia(&points, 4, staged.iter());
        let one = inertia(&points, 4, one_stage.iter());
        let pages = inertia(&points, 4, pages.iter().map(Vec::as_slice));
        assert!(staged < 1.1 * one, "{staged} in stages, {one} of one");
        assert!(
            staged < pages / 10.0,
            "{staged} of clusters, {pages} of pages"
        );
    }
}
