//! Scores: every query row against every centroid.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{BYTES, Simd, Task, prefetch_next};
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
        for centroid in 0..count {
            let codes = centroids.row(centroid);
            prefetch_next(simd, codes, TILE * dim);
            let products = self.products::<S, ROWS>(simd, bytemuck::cast_slice(codes));
            let scale = centroids.scales()[centroid];
            for r in 0..ROWS {
                let row = self.first + r;
                let product = products[r] - S::BIAS * self.queries.sums[row];
                let product = self.queries.factors[row] * scale * product as f32;
                scores[r * count + centroid] = self.offsets[row] + product;
            }
        }
    }

    #[inline(always)]
    fn products<S: Simd, const ROWS: usize>(&self, simd: S, codes: &[u8]) -> [i32; BAND] {
        let mut sums = [[simd.no_ints(); 2]; BAND];
        let (whole, rest) = codes.as_chunks::<BYTES>();
        for (chunk, bytes) in whole.iter().enumerate() {
            self.add::<S, ROWS>(simd, chunk, bytes, &mut sums);
        }
        if !rest.is_empty() {
            let mut padded = [0; BYTES];
            padded[..rest.len()].copy_from_slice(rest);
            self.add::<S, ROWS>(simd, whole.len(), &padded, &mut sums);
        }
        let mut joined = [simd.no_ints(); BAND];
        for r in 0..ROWS {
            joined[r] = simd.join_ints(sums[r][0], sums[r][1]);
        }
        simd.sum_ints(joined)
    }

    #[inline(always)]
    fn add<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        chunk: usize,
        codes: &[u8; BYTES],
        sums: &mut [[S::Ints; 2]; BAND],
    ) {
        let codes = simd.signed(simd.load_bytes(codes));
        for (r, sums) in sums[..ROWS].iter_mut().enumerate() {
            let at = (self.first + r) * self.queries.chunks() + chunk;
            let high = simd.load_bytes(&self.queries.high[at]);
            sums[0] = simd.add_signed_products(sums[0], codes, high);
            let low = simd.load_bytes(&self.queries.low[at]);
            sums[1] = simd.add_signed_products(sums[1], codes, low);
        }
    }
}
