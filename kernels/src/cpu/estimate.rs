//! Clusters of a given log mass and their mean values, as those that are estimated are.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{Element as _, LANES, Simd, Task};
use super::weigh::weigh;
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::codes8::Codes8;
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Entries to be added to an accumulator: entry `j` has the mass `exp(log_mass[r * entries + j])` in row `r`
/// and the value `values[picks[j]]`, or the base of the values where the pick is [`Estimate::BASE`].
#[derive(Debug)]
pub struct Estimate<'a> {
    log_mass: &'a [f32],
    picks: &'a [u32],
    values: Codes8<'a>,
    acc: &'a mut Accumulator,
}

impl<'a> Estimate<'a> {
    /// Picks the base of the values: that of clusters too light for their own to be read.
    pub const BASE: u32 = u32::MAX;

    /// Entries of `log_mass` (`[rows, picks]`; minus infinity: none) and the picked values, to be added to
    /// `acc`.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, or a pick is no row.
    pub fn new(
        log_mass: &'a [f32],
        picks: &'a [u32],
        values: Codes8<'a>,
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
            picks.len(),
            acc.rows(),
        )?;
        let wrong = |pick: &&u32| **pick != Self::BASE && **pick as usize >= values.rows();
        if let Some(pick) = picks.iter().find(wrong) {
            return Err(ShapeError {
                what: "pick",
                given: *pick as usize,
                expected: values.rows(),
            });
        }
        Ok(Self {
            log_mass,
            picks,
            values,
            acc,
        })
    }
}

impl Task for Estimate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.acc.rows();
        let mut start = 0;
        for picks in self.picks.chunks(TILE) {
            let mut row = 0;
            while row < rows {
                let band = BAND.min(rows - row);
                let mut tile: Tile = [[f32::NEG_INFINITY; TILE]; BAND];
                for (r, to) in tile[..band].iter_mut().enumerate() {
                    let from = &self.log_mass[(row + r) * self.picks.len() + start..];
                    to[..picks.len()].copy_from_slice(&from[..picks.len()]);
                }
                match band {
                    1 => add_band::<S, 1>(simd, picks, self.values, &mut tile, self.acc, row),
                    2 => add_band::<S, 2>(simd, picks, self.values, &mut tile, self.acc, row),
                    3 => add_band::<S, 3>(simd, picks, self.values, &mut tile, self.acc, row),
                    _ => add_band::<S, BAND>(simd, picks, self.values, &mut tile, self.acc, row),
                }
                row += band;
            }
            start += picks.len();
        }
    }
}

/// Adds a tile of entries to a band of rows from `row` on.
#[inline(always)]
fn add_band<S: Simd, const ROWS: usize>(
    simd: S,
    picks: &[u32],
    values: Codes8<'_>,
    tile: &mut Tile,
    acc: &mut Accumulator,
    row: usize,
) {
    let vectors = acc.vectors();
    let mut factors = [1.0; ROWS];
    let mut totals = [0.0; ROWS];
    for r in 0..ROWS {
        (factors[r], totals[r]) = weigh(
            simd,
            &mut tile[r],
            &mut acc.max[row + r],
            &mut acc.sum[row + r],
        );
    }
    // Entries with a value of their own, their weights times the scales of the codes.
    let mut own = [(0_u32, [0.0; ROWS]); TILE];
    let mut count = 0;
    for (entry, pick) in picks.iter().enumerate() {
        if *pick != Estimate::BASE {
            let scale = values.scales()[*pick as usize];
            own[count].0 = *pick;
            for (to, weights) in own[count].1.iter_mut().zip(&*tile) {
                *to = weights[entry] * scale;
            }
            count += 1;
        }
    }
    let dim = values.cols();
    for vector in 0..vectors {
        let at = vector * LANES;
        let base = f32::load_first(simd, &values.base()[at..]);
        let mut sums = [simd.splat(0.0); ROWS];
        for r in 0..ROWS {
            let old = simd.load(&acc.out[(row + r) * vectors + vector]);
            let old = simd.mul(old, simd.splat(factors[r]));
            sums[r] = simd.mul_add(base, simd.splat(totals[r]), old);
        }
        for (pick, weights) in &own[..count] {
            let codes = &values.row(*pick as usize)[at..dim.min(at + LANES)];
            let lanes = i8::load_first(simd, codes);
            for r in 0..ROWS {
                sums[r] = simd.mul_add(simd.splat(weights[r]), lanes, sums[r]);
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            simd.store(sum, &mut acc.out[(row + r) * vectors + vector]);
        }
    }
}
