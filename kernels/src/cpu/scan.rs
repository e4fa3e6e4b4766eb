//! Scores: every query row against every centroid.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{BYTES, FOUR, LANES, Simd, Task, in_fours, load_first, prefetch_next};
use super::{BAND, TILE};
use crate::codes8::{Codes8, Queries8};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// `scores[r * n + j] = q_r . c_j` over `n` centroids. The same bits on every level.
#[derive(Debug)]
pub struct Scan<'a> {
    queries: &'a Queries8,
    offsets: &'a [f32],
    centroids: Codes8<'a>,
    scores: &'a mut [f32],
}

impl<'a> Scan<'a> {
    /// Scores of `queries` over `centroids`, to be written to `scores`; `offsets` are the products of
    /// each query row with the base of the centroids.
    ///
    /// # Errors
    /// Where the dimensions differ, `offsets` is not one number a row or `scores` is not one a pair.
    pub fn new(
        queries: &'a Queries8,
        offsets: &'a [f32],
        centroids: Codes8<'a>,
        scores: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        expect_equal(
            "dimension of the centroids",
            centroids.cols(),
            queries.dim(),
        )?;
        expect_equal("number of offsets", offsets.len(), queries.rows())?;
        expect_area(
            "length of the scores",
            scores.len(),
            queries.rows(),
            centroids.rows(),
        )?;
        Ok(Self {
            queries,
            offsets,
            centroids,
            scores,
        })
    }
}

impl Task for Scan<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.queries.rows();
        let mut band = Band {
            queries: self.queries,
            offsets: self.offsets,
            first: 0,
        };
        while band.first < rows {
            let to = &mut self.scores[band.first * self.centroids.rows()..];
            match rows - band.first {
                1 => band.scan::<S, 1>(simd, self.centroids, to),
                2 => band.scan::<S, 2>(simd, self.centroids, to),
                3 => band.scan::<S, 3>(simd, self.centroids, to),
                _ => band.scan::<S, BAND>(simd, self.centroids, to),
            }
            band.first += BAND;
        }
    }
}

/// Query rows from `first` on.
struct Band<'a> {
    queries: &'a Queries8,
    offsets: &'a [f32],
    first: usize,
}

impl Band<'_> {
    #[inline(always)]
    fn scan<S: Simd, const ROWS: usize>(&self, simd: S, centroids: Codes8<'_>, scores: &mut [f32]) {
        let (dim, count) = (centroids.cols(), centroids.rows());
        let rows = self.first..self.first + ROWS;
        let factors = simd.load(&in_fours(&self.queries.factors[rows.clone()]));
        let offsets = simd.load(&in_fours(&self.offsets[rows.clone()]));
        let mut biases = in_fours(&self.queries.sums[rows]);
        for bias in &mut biases {
            *bias *= S::BIAS;
        }
        let biases = simd.load_sums(&biases);
        let mut sums = [simd.no_ints(); LANES];
        for first in (0..count).step_by(FOUR) {
            let four = FOUR.min(count - first);
            let mut scales = [0.0; LANES];
            let mut t = 0;
            while t < four {
                prefetch_next(simd, centroids.row(first + t), TILE * dim);
                let left = four - t;
                if S::WIDE && left >= 2 {
                    prefetch_next(simd, centroids.row(first + t + 1), TILE * dim);
                    self.multiply::<S, ROWS, 2>(simd, centroids, (first, t), &mut sums);
                    t += 2;
                } else {
                    self.multiply::<S, ROWS, 1>(simd, centroids, (first, t), &mut sums);
                    t += 1;
                }
            }
            for of_row in scales.as_chunks_mut::<FOUR>().0 {
                copy_four(&centroids.scales()[first..first + four], of_row);
            }
            let products = simd.sub_sums(simd.sums_of_ints(&sums), biases);
            let steps = simd.mul(factors, simd.load(&scales));
            let products = simd.mul(steps, simd.sums_as_lanes(products));
            let mut all = [0.0; LANES];
            simd.store(simd.add(offsets, products), &mut all);
            for r in 0..ROWS {
                copy_four(&all[FOUR * r..][..four], &mut scores[r * count + first..]);
            }
        }
    }

    /// Products of a band of query rows with neighbouring centroids from the `t`-th behind the first on, that of row `r` to
    /// place `4 r + t`.
    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize, const SOME: usize>(
        &self,
        simd: S,
        centroids: Codes8<'_>,
        (first, t): (usize, usize),
        sums: &mut [S::Ints; LANES],
    ) {
        let mut of_rows = [[[simd.no_ints(); 2]; SOME]; ROWS];
        for chunk in 0..self.queries.chunks() {
            let mut codes = [simd.signed(simd.no_bytes()); SOME];
            for (c, codes) in codes.iter_mut().enumerate() {
                let row: &[u8] = bytemuck::cast_slice(centroids.row(first + t + c));
                *codes = simd.signed(load_first(simd, &row[chunk * BYTES..]));
            }
            for (r, of_row) in of_rows.iter_mut().enumerate() {
                let at = (self.first + r) * self.queries.chunks() + chunk;
                let high = simd.load_bytes(&self.queries.high[at]);
                let low = simd.load_bytes(&self.queries.low[at]);
                for ([of_high, of_low], codes) in of_row.iter_mut().zip(codes) {
                    *of_high = simd.add_signed_products(*of_high, codes, high);
                    *of_low = simd.add_signed_products(*of_low, codes, low);
                }
            }
        }
        for (r, of_row) in of_rows.iter().enumerate() {
            for (c, [high, low]) in of_row.iter().enumerate() {
                sums[FOUR * r + t + c] = simd.join_ints(*high, *low);
            }
        }
    }
}

/// Copies up to four numbers: whole ones by a register, since a copy of any length is a call that takes longer.
#[inline(always)]
fn copy_four(from: &[f32], to: &mut [f32]) {
    match (from.first_chunk::<FOUR>(), to.first_chunk_mut::<FOUR>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => to[..from.len()].copy_from_slice(from),
    }
}
