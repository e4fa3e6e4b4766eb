//! What reading clusters would gain: the terms of the error identity, for many clusters at once.
//!
//! Hot path: no allocation, no lock, no log.

use super::exp::exp;
use super::lanes::{Element as _, LANES, Simd, Task};
use super::log_mass::Spreads;
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Above this variance the log-normal form of the mass error says nothing any more.
const LARGEST_VARIANCE: f32 = 8.0;

/// What is known of clusters that are not read, and of the answer that they are part of.
#[derive(Clone, Copy, Debug)]
pub struct Clusters<'a> {
    /// `[rows, clusters]`; minus infinity where a cluster is no matter.
    pub log_mass: &'a [f32],
    /// Of the scores inside clusters.
    pub spreads: Spreads<'a>,
    /// Root mean square distance of values from their mean, one a cluster.
    pub value_spreads: &'a [f32],
    /// Length of the mean value, one a cluster.
    pub value_norms: &'a [f32],
    /// Log-sum-exp of the whole answer, one a row.
    pub lse: &'a [f32],
    /// Length of the answer, one a row; above zero.
    pub norms: &'a [f32],
    /// A gain `g` that is one of many counts `g (g + linear)`.
    pub linear: f32,
}

/// Writes the gain `g` of reading cluster `j` for row `r`, as a share of the answer's length:
///
/// `share ((1 + doubt) spread / 2 + doubt sqrt(value_norm^2 + norm^2)) / norm`
///
/// with `share = exp(log_mass - lse)` and `doubt = (exp(min(var, 8) / 2) - 1) / (2 + var)`, how wrong the
/// mass may be as a share of it. The root stands for the distance of the mean value from the answer: values
/// and answer taken as orthogonal, so that no mean value need be read for it. And what that is worth for all
/// rows together: the sum of `g (g + linear)`.
#[derive(Debug)]
pub struct Appraise<'a> {
    clusters: Clusters<'a>,
    gains: &'a mut [f32],
    worths: &'a mut [f32],
}

impl<'a> Appraise<'a> {
    /// Gains of `clusters`, to be written to `gains`: `[rows, clusters]`, and what they are worth, to `worths`: one
    /// a cluster.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(
        clusters: Clusters<'a>,
        gains: &'a mut [f32],
        worths: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        let (rows, count) = (clusters.lse.len(), clusters.value_spreads.len());
        expect_equal("number of norms", clusters.norms.len(), rows)?;
        expect_equal(
            "number of row spreads",
            clusters.spreads.of_rows.len(),
            rows,
        )?;
        expect_equal(
            "number of cluster spreads",
            clusters.spreads.of_clusters.len(),
            count,
        )?;
        expect_equal("number of value norms", clusters.value_norms.len(), count)?;
        expect_area(
            "length of the log masses",
            clusters.log_mass.len(),
            rows,
            count,
        )?;
        expect_area("length of the gains", gains.len(), rows, count)?;
        expect_equal("number of worths", worths.len(), count)?;
        Ok(Self {
            clusters,
            gains,
            worths,
        })
    }
}

impl Task for Appraise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Clusters {
            lse,
            norms,
            spreads,
            ..
        } = self.clusters;
        let count = self.clusters.value_spreads.len();
        if count == 0 {
            return;
        }
        self.worths.fill(0.0);
        for (row, gains) in self.gains.chunks_exact_mut(count).enumerate() {
            let answer = Answer {
                lse: simd.splat(lse[row]),
                square: simd.splat(norms[row] * norms[row]),
                inverse: simd.splat(norms[row].recip()),
                spread: simd.splat(spreads.of_rows[row]),
                linear: simd.splat(self.clusters.linear),
            };
            let log_mass = &self.clusters.log_mass[row * count..][..count];
            let mut first = 0;
            for (gains, worths) in gains.chunks_mut(LANES).zip(self.worths.chunks_mut(LANES)) {
                let part = first..first + gains.len();
                let four = [
                    &log_mass[part.clone()],
                    &spreads.of_clusters[part.clone()],
                    &self.clusters.value_spreads[part.clone()],
                    &self.clusters.value_norms[part],
                ];
                appraise(simd, &answer, four, gains, worths);
                first += LANES;
            }
        }
    }
}

/// What a row's answer is, in every lane.
struct Answer<L> {
    lse: L,
    square: L,
    inverse: L,
    spread: L,
    linear: L,
}

#[inline(always)]
fn appraise<S: Simd>(
    simd: S,
    answer: &Answer<S::Lanes>,
    [log_mass, spreads, value_spreads, value_norms]: [&[f32]; 4],
    gains: &mut [f32],
    worths: &mut [f32],
) {
    let load = [log_mass, spreads, value_spreads, value_norms];
    let mut lanes = [answer.lse; 4];
    for (lanes, from) in lanes.iter_mut().zip(load) {
        *lanes = f32::load_first(simd, from);
    }
    let [log_mass, spread, value_spread, value_norm] = lanes;
    let (one, half) = (simd.splat(1.0), simd.splat(0.5));
    let share = exp(simd, simd.sub(log_mass, answer.lse));
    let variance = simd.mul(spread, answer.spread);
    let capped = simd.min(variance, simd.splat(LARGEST_VARIANCE));
    let excess = simd.sub(exp(simd, simd.mul(capped, half)), one);
    let doubt = simd.div(excess, simd.add(variance, simd.splat(2.0)));
    let distance = simd.sqrt(simd.mul_add(value_norm, value_norm, answer.square));
    let inside = simd.mul(simd.mul(value_spread, half), simd.add(one, doubt));
    let gain = simd.mul(share, simd.mul_add(doubt, distance, inside));
    let gain = simd.mul(gain, answer.inverse);
    let square = simd.mul(gain, simd.add(gain, answer.linear));
    simd.store_first(gain, gains);
    let worth = simd.add(f32::load_first(simd, worths), square);
    simd.store_first(worth, worths);
}
