//! What is kept of the rows of a cluster: their mean and spread, and the codes of each beside the mean.
//!
//! Hot path: no allocation, no lock, no log.

use half::f16;

use super::lanes::{Element, LANES, Simd, Task};
use crate::codes4::{Codes4, LARGEST_SCALE, MIDDLE};
use crate::tensor::{Elements, Matrix, ShapeError, expect_area, expect_equal};

/// Some rows of a matrix, each less a base.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    matrix: Matrix<'a>,
    base: &'a [f32],
    rows: &'a [u32],
}

impl<'a> Members<'a> {
    /// These `rows` of a matrix, beside `base`.
    ///
    /// # Errors
    /// Where the base is not as long as a row, or there is no such row.
    pub fn new(matrix: Matrix<'a>, base: &'a [f32], rows: &'a [u32]) -> Result<Self, ShapeError> {
        expect_equal("length of the base", base.len(), matrix.cols())?;
        let last = rows.iter().copied().max().unwrap_or(0) as usize;
        if !rows.is_empty() && last >= matrix.rows() {
            return Err(ShapeError {
                what: "row of a member",
                given: last,
                expected: matrix.rows(),
            });
        }
        Ok(Self { matrix, base, rows })
    }
}

/// The mean of some rows, and the sums of squares of what they are beside it.
#[derive(Debug)]
pub struct Summarise<'a> {
    members: Members<'a>,
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl<'a> Summarise<'a> {
    /// Of `members`, the mean to be written to `mean` and the sum of squares of each dimension to `squares`.
    ///
    /// # Errors
    /// Where these are not as long as a row.
    pub fn new(
        members: Members<'a>,
        mean: &'a mut [f32],
        squares: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        expect_equal("length of the mean", mean.len(), members.base.len())?;
        expect_equal("length of the squares", squares.len(), members.base.len())?;
        Ok(Self {
            members,
            mean,
            squares,
        })
    }
}

impl Task for Summarise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.members.matrix.elements() {
            Elements::Bf16(rows) => self.of(simd, rows),
            Elements::F16(rows) => self.of(simd, rows),
            Elements::F32(rows) => self.of(simd, rows),
        }
    }
}

impl Summarise<'_> {
    #[inline(always)]
    fn of<S: Simd, E: Element>(self, simd: S, all: &[E]) {
        let Members { base, rows, .. } = self.members;
        let dim = base.len();
        let inverse = simd.splat(1.0 / rows.len().max(1) as f32);
        let mut at = 0;
        while at < dim {
            let base = f32::load_first(simd, &base[at..]);
            let mut sums = simd.splat(0.0);
            for row in rows {
                let row = *row as usize * dim;
                let x = E::load_first(simd, &all[row + at..row + dim]);
                sums = simd.add(sums, simd.sub(x, base));
            }
            let mean = simd.mul(sums, inverse);
            let mut squares = simd.splat(0.0);
            for row in rows {
                let row = *row as usize * dim;
                let x = E::load_first(simd, &all[row + at..row + dim]);
                let beside = simd.sub(simd.sub(x, base), mean);
                squares = simd.mul_add(beside, beside, squares);
            }
            let end = dim.min(at + LANES);
            simd.store_first(mean, &mut self.mean[at..end]);
            simd.store_first(squares, &mut self.squares[at..end]);
            at += LANES;
        }
    }
}

/// Sums over what was encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CodeErrors {
    /// Of the squares of what was encoded.
    pub size: f64,
    /// Of the squares of what the codes are off by.
    pub error: f64,
}

/// [`Codes4`] of some rows: the bits of [`Codes4::encode`], row by row.
#[derive(Debug)]
pub struct Encode<'a> {
    members: Members<'a>,
    profiles: [&'a [f32]; 2],
    codes: &'a mut [u8],
    scales: &'a mut [f16],
    errors: &'a mut CodeErrors,
}

impl<'a> Encode<'a> {
    /// The codes of `members`, whose base is the mean of their cluster, to be written to `codes` and `scales`; what they
    /// are off by is added to `errors`. The profiles are the usual size of each dimension, and one over it (or zero).
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(
        members: Members<'a>,
        profiles: [&'a [f32]; 2],
        codes: &'a mut [u8],
        scales: &'a mut [f16],
        errors: &'a mut CodeErrors,
    ) -> Result<Self, ShapeError> {
        let (rows, dim) = (members.rows.len(), members.base.len());
        expect_equal("length of the profile", profiles[0].len(), dim)?;
        expect_equal("length of the inverse profile", profiles[1].len(), dim)?;
        let bytes = Codes4::code_bytes(dim);
        expect_area("bytes of codes", codes.len(), rows, bytes)?;
        expect_equal("number of scales", scales.len(), rows)?;
        Ok(Self {
            members,
            profiles,
            codes,
            scales,
            errors,
        })
    }
}

impl Task for Encode<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.members.matrix.elements() {
            Elements::Bf16(rows) => self.of(simd, rows),
            Elements::F16(rows) => self.of(simd, rows),
            Elements::F32(rows) => self.of(simd, rows),
        }
    }
}

impl Encode<'_> {
    #[inline(always)]
    fn of<S: Simd, E: Element>(self, simd: S, all: &[E]) {
        let Members { base, rows, .. } = self.members;
        let dim = base.len();
        let bytes = Codes4::code_bytes(dim);
        let (mut sizes, mut errors) = (simd.splat(0.0), simd.splat(0.0));
        let out = self.codes.chunks_exact_mut(bytes).zip(self.scales);
        for (row, (codes, scale)) in rows.iter().zip(out) {
            let row = &all[*row as usize * dim..][..dim];
            let beside = Beside {
                row,
                base,
                profiles: self.profiles,
            };
            let mut largest = simd.splat(0.0);
            let mut at = 0;
            while at < dim {
                let [_, x, _] = beside.vector(simd, at);
                largest = simd.max(largest, simd.max(x, simd.sub(simd.splat(0.0), x)));
                at += LANES;
            }
            *scale = f16::from_f32((simd.largest(largest) / MIDDLE).min(LARGEST_SCALE));
            let step = scale.to_f32();
            let of_step = simd.splat(if step > 0.0 { step.recip() } else { 0.0 });
            for (vector, to) in codes.as_chunks_mut().0.iter_mut().enumerate() {
                let mut halves = [[simd.splat(0.0); 3]; 2];
                let mut places = [simd.splat(0.0); 2];
                for half in 0..2 {
                    let at = vector * LANES + half * bytes;
                    if at < dim {
                        halves[half] = beside.vector(simd, at);
                    }
                    let place = simd.add(simd.mul(halves[half][1], of_step), simd.splat(8.0));
                    let place = simd.max(place, simd.splat(0.0));
                    places[half] = simd.min(place, simd.splat(15.0));
                }
                simd.store_nibbles(places[0], places[1], to);
                let nibbles = simd.load_nibbles(to);
                for half in 0..2 {
                    let [rest, _, profile] = halves[half];
                    let level = simd.sub(nibbles[half], simd.splat(MIDDLE));
                    let back = simd.mul(simd.mul(simd.splat(step), profile), level);
                    let off = simd.sub(rest, back);
                    sizes = simd.mul_add(rest, rest, sizes);
                    errors = simd.mul_add(off, off, errors);
                }
            }
        }
        self.errors.size += f64::from(simd.sum(sizes));
        self.errors.error += f64::from(simd.sum(errors));
    }
}

/// A row beside the mean of its cluster.
#[derive(Clone, Copy)]
struct Beside<'a, E> {
    row: &'a [E],
    base: &'a [f32],
    profiles: [&'a [f32]; 2],
}

impl<E: Element> Beside<'_, E> {
    /// From element `at` on: what it is, the same over the profile, and the profile.
    #[inline(always)]
    fn vector<S: Simd>(&self, simd: S, at: usize) -> [S::Lanes; 3] {
        let x = E::load_first(simd, &self.row[at..]);
        let rest = simd.sub(x, f32::load_first(simd, &self.base[at..]));
        let inverse = f32::load_first(simd, &self.profiles[1][at..]);
        let profile = f32::load_first(simd, &self.profiles[0][at..]);
        [rest, simd.mul(rest, inverse), profile]
    }
}
