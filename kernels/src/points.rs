//! Points of a k-means, in 16-bit integers at one scale.
//!
//! Integers make products exact in any order, so that clusters are the same on every CPU, and twice as many of them fit
//! a register as of `f32`. Of a point that is as long as the others, the rounding is a thousandth and less; `bf16`, which
//! keys come in, rounds by more.
//!
//! No point is longer than 32000 and a little, so a product of two and half a square more fit `i32`, and so does the sum
//! of [`MOST_POINTS`] elements.

use crate::cpu::LANES;
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// What a point is scaled to at most; rounding adds half the root of the dimension.
pub(crate) const LONGEST: f32 = 32_000.0;

/// Points of one k-means.
pub const MOST_POINTS: usize = 65_536;

/// Points or centroids: rows of integers, two side by side; of an odd dimension the last is zero.
#[derive(Clone, Debug, Default)]
pub struct Points {
    dim: usize,
    pub(crate) numbers: Vec<[i16; 2]>,
}

impl Points {
    /// No points, of dimension `dim`.
    pub const fn new(dim: usize) -> Self {
        Self {
            dim,
            numbers: Vec::new(),
        }
    }

    /// Elements of a point.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many.
    pub fn rows(&self) -> usize {
        self.numbers.len() / self.pairs().max(1)
    }

    /// One point.
    pub fn row(&self, row: usize) -> &[[i16; 2]] {
        &self.numbers[row * self.pairs()..][..self.pairs()]
    }

    /// Sum of the squares of a point.
    pub fn square(&self, row: usize) -> i32 {
        square(self.row(row))
    }

    /// Forgets all points; those that come have dimension `dim`.
    pub fn clear(&mut self, dim: usize) {
        self.dim = dim;
        self.numbers.clear();
    }

    /// Takes some rows of other points, one after the other.
    ///
    /// # Errors
    /// Where they have another dimension, or there are too many in all.
    pub fn take(&mut self, from: &Self, rows: &[u32]) -> Result<(), ShapeError> {
        expect_equal("dimension of the points", from.dim, self.dim)?;
        expect_at_most("number of points", self.rows() + rows.len())?;
        for row in rows {
            self.numbers.extend_from_slice(from.row(*row as usize));
        }
        Ok(())
    }

    pub(crate) fn pairs(&self) -> usize {
        self.dim.div_ceil(2)
    }

    /// From now on `rows` points of dimension `dim`, whatever they are.
    pub fn resize(&mut self, rows: usize, dim: usize) {
        self.dim = dim;
        self.numbers.resize(rows * self.pairs(), [0; 2]);
    }
}

pub(crate) fn square(row: &[[i16; 2]]) -> i32 {
    let squares = row.as_flattened().iter();
    squares.map(|x| i32::from(*x) * i32::from(*x)).sum()
}

pub(crate) fn expect_at_most(what: &'static str, points: usize) -> Result<(), ShapeError> {
    if points > MOST_POINTS {
        return Err(ShapeError {
            what,
            given: points,
            expected: MOST_POINTS,
        });
    }
    Ok(())
}

/// Points in blocks of sixteen, for the kernel that assigns them: a lane a point, its pairs one after the other.
///
/// ```text
/// block b, pair p: the pairs p of points 16 b, 16 b + 1, ..., 16 b + 15
/// ```
#[derive(Clone, Debug, Default)]
pub struct PointBlocks {
    pub(crate) pairs: usize,
    rows: usize,
    pub(crate) numbers: Vec<[[i16; 2]; LANES]>,
}

impl PointBlocks {
    /// Points of a block.
    pub const POINTS: usize = LANES;

    /// Takes these points in place of those before; the last block is filled with zeros.
    pub fn fill(&mut self, points: &Points) {
        self.pairs = points.pairs();
        self.rows = points.rows();
        let blocks = self.rows.div_ceil(LANES);
        self.numbers.resize(blocks * self.pairs, [[0; 2]; LANES]);
        if !self.rows.is_multiple_of(LANES) {
            self.numbers[(blocks - 1) * self.pairs..].fill([[0; 2]; LANES]);
        }
        let rows = points.numbers.chunks_exact(self.pairs.max(1));
        for (at, row) in rows.enumerate() {
            let block = &mut self.numbers[at / LANES * self.pairs..][..self.pairs];
            for (to, pair) in block.iter_mut().zip(row) {
                to[at % LANES] = *pair;
            }
        }
    }

    /// How many points.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// Sums of the points of each cluster, and with them their means.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    dim: usize,
    pub(crate) numbers: Vec<[i32; 2]>,
    pub(crate) counts: Vec<u32>,
}

impl Sums {
    /// Forgets all; from now on of `clusters` clusters of points of dimension `dim`.
    pub fn clear(&mut self, clusters: usize, dim: usize) {
        self.dim = dim;
        self.numbers.clear();
        self.numbers.resize(clusters * dim.div_ceil(2), [0; 2]);
        self.counts.clear();
        self.counts.resize(clusters, 0);
    }

    /// Points of each cluster.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    pub(crate) fn pairs(&self) -> usize {
        self.dim.div_ceil(2)
    }

    /// The square of the mean of a cluster, times its points.
    pub fn square_of_mean(&self, cluster: usize) -> f64 {
        let sums = &self.numbers[cluster * self.pairs()..][..self.pairs()];
        let squares = sums
            .as_flattened()
            .iter()
            .map(|sum| f64::from(*sum).powi(2));
        squares.sum::<f64>() / f64::from(self.counts[cluster].max(1))
    }

    /// Moves each centroid to the mean of its cluster, rounded; one without points stays.
    ///
    /// # Errors
    /// Where there are more or fewer centroids, or of another dimension.
    pub fn move_centroids(&self, centroids: &mut Points) -> Result<(), ShapeError> {
        expect_equal("dimension of the centroids", centroids.dim, self.dim)?;
        let numbers = &mut centroids.numbers;
        expect_area("centroids", numbers.len(), self.counts.len(), self.pairs())?;
        let pairs = self.pairs().max(1);
        let clusters = self.numbers.chunks_exact(pairs).zip(&self.counts);
        for (centroid, (sums, count)) in numbers.chunks_exact_mut(pairs).zip(clusters) {
            if *count > 0 {
                let inverse = 1.0 / f64::from(*count);
                let sums = sums.as_flattened();
                for (to, sum) in centroid.as_flattened_mut().iter_mut().zip(sums) {
                    *to = rounded(f64::from(*sum) * inverse);
                }
            }
        }
        Ok(())
    }
}

/// The nearest integer, ties to even, without the call that `f64::round` is where the target has no instruction for it.
fn rounded(x: f64) -> i16 {
    /// Adding it pushes the fraction of a small number out of the mantissa.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    ((x + ROUND) - ROUND) as i16
}
