//! What the weights of tokens say about which of them are worth reading.
//!
//! Hot path: no allocation, no lock, no log.

use std::ops::Range;

use super::BAND;
use super::code_keys::Run;
use super::lanes::{Element as _, LANES, Simd, Task};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Weighed tokens, and what each may be wrong by where it is not read: its weight for a row times the run's
/// error for that row.
#[derive(Clone, Copy, Debug)]
pub struct WeighedTokens<'a> {
    /// Of the tokens, in order.
    pub runs: &'a [Run],
    /// `[rows, tokens]`.
    pub weights: &'a [f32],
    /// `[runs, rows]`: errors of a weight of 1 with the mean value of the run.
    pub by_mean: &'a [f32],
    /// `[runs, rows]`: with the token's codes.
    pub by_codes: &'a [f32],
    /// An error `e` that is one of many counts `e (e + linear)`.
    pub linear: f32,
    /// A token whose codes are worth less than this has its run's mean value.
    pub least_value: f32,
    /// A token that is worth this or more is read exactly, and in no doubt.
    pub least_exact: f32,
}

/// What comes of it.
#[derive(Debug)]
pub struct Judgement<'a> {
    /// One a token: the sum over the rows of `e (e + linear)` with its mean value.
    pub values: &'a mut [f32],
    /// One a token: the sum over the rows of `e^2` with its codes.
    pub exacts: &'a mut [f32],
    /// `[runs, rows]`: the sum of the weights of the tokens that are not exact.
    pub left: &'a mut [f32],
    /// One a row: the sum of the squares of the errors that stay.
    pub squares: &'a mut [f32],
    /// One a row: the sum of the errors with mean values that stay.
    pub sums: &'a mut [f32],
}

/// [`WeighedTokens`] to be judged.
#[derive(Debug)]
pub struct Judge<'a> {
    tokens: WeighedTokens<'a>,
    to: Judgement<'a>,
}

impl<'a> Judge<'a> {
    /// The judgement on `tokens`, to be written to `to`.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(tokens: WeighedTokens<'a>, to: Judgement<'a>) -> Result<Self, ShapeError> {
        let rows = to.squares.len();
        let runs = tokens.runs.len();
        let count = tokens.runs.iter().map(|run| run.count as usize).sum();
        expect_equal("number of sums", to.sums.len(), rows)?;
        expect_area("number of weights", tokens.weights.len(), rows, count)?;
        expect_area("number of errors by mean", tokens.by_mean.len(), runs, rows)?;
        expect_area(
            "number of errors by codes",
            tokens.by_codes.len(),
            runs,
            rows,
        )?;
        expect_area("number of weights left", to.left.len(), runs, rows)?;
        expect_equal("number of values", to.values.len(), count)?;
        expect_equal("number of exacts", to.exacts.len(), count)?;
        Ok(Self { tokens, to })
    }
}

impl Task for Judge<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tokens, to } = self;
        let rows = to.squares.len();
        to.squares.fill(0.0);
        to.sums.fill(0.0);
        to.left.fill(0.0);
        let mut first = 0;
        for (index, run) in tokens.runs.iter().enumerate() {
            let of_run = index * rows..(index + 1) * rows;
            let part = Part {
                weights: tokens.weights,
                stride: to.values.len(),
                by_mean: &tokens.by_mean[of_run.clone()],
                by_codes: &tokens.by_codes[of_run.clone()],
                linear: simd.splat(tokens.linear),
                least: [
                    simd.splat(tokens.least_value),
                    simd.splat(tokens.least_exact),
                ],
            };
            let end = first + run.count as usize;
            while first < end {
                let count = LANES.min(end - first);
                let [value, exact] = part.worths(simd, first, count);
                // What is written past the run's end is of the next, and written again.
                simd.store_first(value, &mut to.values[first..]);
                simd.store_first(exact, &mut to.exacts[first..]);
                let mut row = 0;
                while row < rows {
                    let band = row..rows.min(row + BAND);
                    let [left, squares, sums] =
                        part.stay(simd, first, count, band.clone(), [value, exact]);
                    for (r, row) in band.enumerate() {
                        to.left[of_run.start + row] += left[r];
                        to.squares[row] += squares[r];
                        to.sums[row] += sums[r];
                    }
                    row += BAND;
                }
                first += count;
            }
        }
    }
}

/// The tokens of one run.
struct Part<'a, L> {
    /// `[rows, stride]`, of all runs.
    weights: &'a [f32],
    stride: usize,
    by_mean: &'a [f32],
    by_codes: &'a [f32],
    linear: L,
    least: [L; 2],
}

impl<L: Copy> Part<'_, L> {
    /// Weights of `count` tokens from `first` on, zeros after them.
    #[inline(always)]
    fn weights<S: Simd<Lanes = L>>(&self, simd: S, row: usize, first: usize, count: usize) -> L {
        let from = &self.weights[row * self.stride + first..];
        let loaded = f32::load_first(simd, from);
        if count == LANES {
            return loaded;
        }
        // What follows are weights of another run, or of another row.
        let last = simd.splat(count as f32 - 1.0);
        simd.where_ge(last, simd.load(&INDICES), loaded)
    }

    /// What at most a vector of tokens is worth: their values, and all of them.
    #[inline(always)]
    fn worths<S: Simd<Lanes = L>>(&self, simd: S, first: usize, count: usize) -> [L; 2] {
        let (mut value, mut exact) = (simd.splat(0.0), simd.splat(0.0));
        for row in 0..self.by_mean.len() {
            let weight = self.weights(simd, row, first, count);
            let by_mean = simd.mul(weight, simd.splat(self.by_mean[row]));
            let by_codes = simd.mul(weight, simd.splat(self.by_codes[row]));
            value = simd.mul_add(by_mean, simd.add(by_mean, self.linear), value);
            exact = simd.mul_add(by_codes, by_codes, exact);
        }
        [value, exact]
    }

    /// Sums of a band of rows over the tokens that are not exact: of weights, of squared errors, and of errors with the
    /// mean value.
    #[inline(always)]
    fn stay<S: Simd<Lanes = L>>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        band: Range<usize>,
        [value, exact]: [L; 2],
    ) -> [[f32; BAND]; 3] {
        let zero = simd.splat(0.0);
        let (mut left, mut squares, mut sums) = ([zero; BAND], [zero; BAND], [zero; BAND]);
        for (r, row) in band.enumerate() {
            let weight = self.weights(simd, row, first, count);
            let weight = simd.sub(weight, simd.where_ge(exact, self.least[1], weight));
            let mean = simd.sub(weight, simd.where_ge(value, self.least[0], weight));
            let by_mean = simd.mul(mean, simd.splat(self.by_mean[row]));
            let by_codes = simd.mul(weight, simd.splat(self.by_codes[row]));
            left[r] = weight;
            squares[r] = simd.mul_add(by_codes, by_codes, simd.mul(by_mean, by_mean));
            sums[r] = by_mean;
        }
        [simd.sums(left), simd.sums(squares), simd.sums(sums)]
    }
}

/// The place of each lane.
const INDICES: [f32; LANES] = {
    let mut indices = [0.0; LANES];
    let mut lane = 0;
    while lane < LANES {
        indices[lane] = lane as f32;
        lane += 1;
    }
    indices
};
