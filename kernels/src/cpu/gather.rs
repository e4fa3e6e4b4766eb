//! Rows from anywhere, side by side: tokens that are read by themselves, for a kernel that takes many at once.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{Simd, Task, prefetch_bytes};
use crate::tensor::{Matrix, ShapeError, expect_area};

/// Rows that are asked for ahead of the one that is copied. Each is a cache miss of its own; some ten of them at once
/// are what a core keeps under way.
const AHEAD: usize = 8;

/// Copies row `picks[i]` of a matrix to place `i`.
#[derive(Debug)]
pub struct Gather<'a> {
    rows: Matrix<'a>,
    picks: &'a [u32],
    to: &'a mut [u8],
}

impl<'a> Gather<'a> {
    /// The picked rows of `rows`, to be written to `to` as bytes, `[picks, row bytes]`.
    ///
    /// # Errors
    /// Where a pick is no row, or `to` is not as long as all of them.
    pub fn new(rows: Matrix<'a>, picks: &'a [u32], to: &'a mut [u8]) -> Result<Self, ShapeError> {
        let bytes = rows.cols() * rows.dtype().size_of();
        expect_area("bytes of the rows", to.len(), picks.len(), bytes)?;
        if let Some(pick) = picks.iter().find(|pick| **pick as usize >= rows.rows()) {
            return Err(ShapeError {
                what: "pick",
                given: *pick as usize,
                expected: rows.rows(),
            });
        }
        Ok(Self { rows, picks, to })
    }
}

impl Task for Gather<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let from = self.rows.bytes();
        let bytes = self.rows.cols() * self.rows.dtype().size_of();
        if bytes == 0 {
            return;
        }
        for (at, to) in self.to.chunks_exact_mut(bytes).enumerate() {
            if let Some(next) = self.picks.get(at + AHEAD) {
                let next = from.as_ptr().wrapping_add(*next as usize * bytes);
                prefetch_bytes(simd, next, bytes);
            }
            to.copy_from_slice(&from[self.picks[at] as usize * bytes..][..bytes]);
        }
    }
}
