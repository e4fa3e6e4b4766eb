//! What an answer is worth that ignores the tokens which were not retrieved.
//!
//! Their weight is estimated from the ranks of those that were found; what a search should have found and did not, nobody
//! knows. The error is that weight's share of all, times how far the mean value is from the answer.

use wavekv_kernels::{Accumulator, ShapeError};

use super::retrieval::Retrieval;
use super::tail::Ranks;
use crate::index::error_estimate::Answer;

/// The share of the weight that is ignored is an error of about this many times as much, before V is read: what is ignored
/// and the answer are as far from each other as two vectors of one length at a right angle.
pub(super) const DISTANCE: f32 = std::f32::consts::SQRT_2;

/// What an answer without the ignored tokens is worth, of each query head.
#[derive(Clone, Debug, Default)]
pub struct Appraised {
    /// The share of the mass that was computed exactly.
    pub exact_mass: Vec<f32>,
    /// The estimated `|out - exact| / |exact|`.
    pub errors: Vec<f32>,
    /// How far what is ignored is thought to be from the answer, in lengths of the answer.
    pub(super) distances: Vec<f32>,
}

impl Retrieval {
    /// What the answer `exact` of the tokens that were read is worth.
    ///
    /// # Errors
    /// [`ShapeError`] when `exact` is not `[group, value_dim]`.
    pub fn appraise(&self, exact: &Accumulator) -> Result<Appraised, ShapeError> {
        let answer = Answer::of(exact)?;
        let rows = self.rows.iter().flatten();
        let left = self.tokens - rows.map(Vec::len).sum::<usize>();
        let mut appraised = Appraised::default();
        for (row, (lse, norm)) in answer.lse.iter().zip(&answer.norms).enumerate() {
            let ranks = self.ranks.get(row);
            let ignored = ranks.map_or(0.0, |ranks| weight(ranks, self.steady[row], *lse, left));
            let share = 1.0 / (1.0 + ignored);
            let distance = (self.value_mean_norm.hypot(*norm) / norm).max(DISTANCE);
            appraised.exact_mass.push(share);
            appraised.errors.push((1.0 - share) * distance);
            appraised.distances.push(distance);
        }
        Ok(appraised)
    }
}

/// The estimated weight of `left` tokens that were not read, in units of what was computed. Other query heads' tokens
/// are among those read: all that is beyond what was found for this head takes from its rest.
pub(super) fn weight(ranks: &Ranks, steady: f32, computed: f32, left: usize) -> f32 {
    let of = |logarithm: f32| f64::from(logarithm - computed).exp();
    let unread = of(ranks.all()) + of(steady) - 1.0;
    // Those that are left were not found, and weigh about as much as any that were not.
    let least = of(ranks.rest) * left as f64 / ranks.left.max(1) as f64;
    unread.max(least.min(of(ranks.rest))) as f32
}
