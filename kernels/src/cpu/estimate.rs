//! Entries of a given log mass and a value each, as clusters that are estimated are.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{Simd, Task};
use super::weigh::add_tile;
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::tensor::{Matrix, ShapeError, expect_area, expect_equal};

/// Entries to be added to an accumulator: entry `j` of row `r` has the mass
/// `exp(log_mass[r * n + j])` and the value `values[j]`. A log mass of minus infinity is an absent
/// entry, as that of a cluster which is read exactly is.
#[derive(Debug)]
pub struct Estimate<'a> {
    log_mass: &'a [f32],
    values: Matrix<'a>,
    acc: &'a mut Accumulator,
}

impl<'a> Estimate<'a> {
    /// Entries of mass `log_mass` and `values`, to be added to every row of `acc`.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(
        log_mass: &'a [f32],
        values: Matrix<'a>,
        acc: &'a mut Accumulator,
    ) -> Result<Self, ShapeError> {
        expect_equal(
            "value dimension of the accumulator",
            acc.value_dim(),
            values.cols(),
        )?;
        expect_area(
            "length of the log masses",
            log_mass.len(),
            acc.rows(),
            values.rows(),
        )?;
        Ok(Self {
            log_mass,
            values,
            acc,
        })
    }
}

impl Task for Estimate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut scores: Tile = [[0.0; TILE]; BAND];
        let (count, rows) = (self.values.rows(), self.acc.rows());
        let mut start = 0;
        for values in self.values.tiles(TILE) {
            let mut row = 0;
            while row < rows {
                let band = BAND.min(rows - row);
                for (r, scores) in scores[..band].iter_mut().enumerate() {
                    let from = &self.log_mass[(row + r) * count + start..][..values.rows()];
                    scores[..from.len()].copy_from_slice(from);
                }
                add_tile(simd, &mut scores, band, values, self.acc, row);
                row += band;
            }
            start += values.rows();
        }
    }
}
