//! From rows of a tensor to points of a k-means: their mean, and what they are beside it in integers.
//!
//! Hot path: no allocation, no lock, no log.

use super::TILE;
use super::lanes::{Element, LANES, Simd, Task};
use crate::points::{LONGEST, Points, expect_at_most};
use crate::tensor::{Elements, Matrix, ShapeError, expect_equal};

/// How much longer than the average a point may be and keep its length: a longer one is shortened, so that one key of
/// another kind does not take the others' digits away.
const OUTSTANDING: f32 = 64.0;

/// The mean of the rows of a matrix; zeros where there is none.
#[derive(Debug)]
pub struct Mean<'a> {
    rows: Matrix<'a>,
    mean: &'a mut [f32],
}

impl<'a> Mean<'a> {
    /// The mean of `rows`, to be written to `mean`.
    ///
    /// # Errors
    /// Where `mean` is not as long as a row.
    pub fn new(rows: Matrix<'a>, mean: &'a mut [f32]) -> Result<Self, ShapeError> {
        expect_equal("length of the mean", mean.len(), rows.cols())?;
        Ok(Self { rows, mean })
    }
}

impl Task for Mean<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.rows.elements() {
            Elements::Bf16(rows) => mean_of(simd, rows, self.mean),
            Elements::F16(rows) => mean_of(simd, rows, self.mean),
            Elements::F32(rows) => mean_of(simd, rows, self.mean),
        }
    }
}

/// Sums of a tile of rows in lanes, sums of tiles in `f64`.
#[inline(always)]
fn mean_of<S: Simd, E: Element>(simd: S, rows: &[E], mean: &mut [f32]) {
    let dim = mean.len();
    let inverse = 1.0 / (rows.len() / dim).max(1) as f64;
    let mut at = 0;
    while at < dim {
        let width = LANES.min(dim - at);
        let mut all = [0.0_f64; LANES];
        for tile in rows.chunks(TILE * dim) {
            let mut sums = simd.splat(0.0);
            for row in tile.chunks_exact(dim) {
                sums = simd.add(sums, E::load_first(simd, &row[at..]));
            }
            let mut lanes = [0.0; LANES];
            simd.store(sums, &mut lanes);
            for (all, lane) in all.iter_mut().zip(lanes) {
                *all += f64::from(lane);
            }
        }
        for (mean, sum) in mean[at..at + width].iter_mut().zip(all) {
            *mean = (sum * inverse) as f32;
        }
        at += LANES;
    }
}

/// The rows of a matrix beside a base, as points of a k-means.
#[derive(Debug)]
pub struct Quantise<'a> {
    rows: Matrix<'a>,
    base: &'a [f32],
    lengths: &'a mut Vec<f32>,
    points: &'a mut Points,
}

impl<'a> Quantise<'a> {
    /// What `rows` are beside `base`, to be written to `points`, all at the scale that suits their lengths; `lengths` is
    /// room for one number a row.
    ///
    /// # Errors
    /// Where the base is not as long as a row, or there are too many rows.
    pub fn new(
        rows: Matrix<'a>,
        base: &'a [f32],
        lengths: &'a mut Vec<f32>,
        points: &'a mut Points,
    ) -> Result<Self, ShapeError> {
        expect_equal("length of the base", base.len(), rows.cols())?;
        expect_at_most("number of points", rows.rows())?;
        points.resize(rows.rows(), rows.cols());
        lengths.clear();
        lengths.resize(rows.rows(), 0.0);
        Ok(Self {
            rows,
            base,
            lengths,
            points,
        })
    }
}

impl Task for Quantise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.rows.elements() {
            Elements::Bf16(rows) => quantise(simd, rows, self.base, self.lengths, self.points),
            Elements::F16(rows) => quantise(simd, rows, self.base, self.lengths, self.points),
            Elements::F32(rows) => quantise(simd, rows, self.base, self.lengths, self.points),
        }
    }
}

#[inline(always)]
fn quantise<S: Simd, E: Element>(
    simd: S,
    rows: &[E],
    base: &[f32],
    lengths: &mut [f32],
    points: &mut Points,
) {
    let dim = base.len();
    for (row, length) in rows.chunks_exact(dim).zip(lengths.iter_mut()) {
        let mut squares = simd.splat(0.0);
        let mut at = 0;
        while at < dim {
            let x = simd.sub(
                E::load_first(simd, &row[at..]),
                f32::load_first(simd, &base[at..]),
            );
            squares = simd.mul_add(x, x, squares);
            at += LANES;
        }
        *length = simd.sum(squares).sqrt();
    }
    let longest = lengths
        .iter()
        .fold(0.0_f32, |most, length| most.max(*length));
    let sum: f64 = lengths.iter().map(|length| f64::from(*length)).sum();
    let mean = (sum / lengths.len().max(1) as f64) as f32;
    let limit = longest.min(OUTSTANDING * mean);
    let pairs = points.pairs();
    let points = points.numbers.chunks_exact_mut(pairs);
    for ((row, point), length) in rows.chunks_exact(dim).zip(points).zip(lengths) {
        let length = length.max(limit);
        let scale = if length > 0.0 { LONGEST / length } else { 0.0 };
        let (scale, point) = (simd.splat(scale), point.as_flattened_mut());
        let mut at = 0;
        while at < dim {
            let x = simd.sub(
                E::load_first(simd, &row[at..]),
                f32::load_first(simd, &base[at..]),
            );
            let x = simd.mul(x, scale);
            if let Some(to) = point[at..].first_chunk_mut() {
                simd.store_i16(x, to);
            } else {
                let mut padded = [0; LANES];
                simd.store_i16(x, &mut padded);
                let rest = &mut point[at..];
                rest.copy_from_slice(&padded[..rest.len()]);
            }
            at += LANES;
        }
    }
}
