//! How much of a query is computed exactly.

use crate::model::Invalid;

/// What chooses the retrieval zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Every token exactly.
    Exact,
    /// A fixed share exactly, a fixed share estimated.
    Budget(BudgetRule),
    /// As much exactly as it takes until the estimated relative error of every query head is at most this.
    Adaptive {
        /// `|out - exact| / |exact|`, above 0 and below 1.
        target_error: f32,
    },
}

/// The shares of [`Mode::Budget`] and what they are shares of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetRule {
    /// Share computed exactly, 0 to 1.
    pub retrieve_share: f32,
    /// Share of the clusters that are estimated, next in rank, 0 to 1; what is left is ignored.
    pub estimate_share: f32,
    /// Whose ranking, mass and counting.
    pub ranking: Ranking,
}

/// How `budget` ranks clusters, counts its share and estimates mass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// By estimated mass of second order; the retrieved share is of tokens.
    Mass,
    /// As RetroInfer: by softmax over the centroids summed over the group, mass of first order, and the retrieved
    /// share is of clusters.
    RetroInfer,
}

impl Mode {
    /// The rule of the RetroInfer paper: 1.8 % of the clusters exactly, the next 23.2 % estimated, the rest ignored.
    pub const RETROINFER: Self = Self::Budget(BudgetRule {
        retrieve_share: 0.018,
        estimate_share: 0.232,
        ranking: Ranking::RetroInfer,
    });

    /// `budget` with checked shares.
    ///
    /// # Errors
    /// [`Invalid`] when a share is not from 0 to 1.
    pub fn budget(retrieve_share: f32, estimate_share: f32) -> Result<Self, Invalid> {
        Invalid::unless_within("mode.budget.retrieve_share", retrieve_share, 0.0..=1.0)?;
        Invalid::unless_within("mode.budget.estimate_share", estimate_share, 0.0..=1.0)?;
        Ok(Self::Budget(BudgetRule {
            retrieve_share,
            estimate_share,
            ranking: Ranking::Mass,
        }))
    }

    /// `adaptive` with a checked target.
    ///
    /// # Errors
    /// [`Invalid`] when the target is not above 0 and below 1.
    pub fn adaptive(target_error: f32) -> Result<Self, Invalid> {
        if target_error > 0.0 && target_error < 1.0 {
            return Ok(Self::Adaptive { target_error });
        }
        Err(Invalid::new(
            "mode.adaptive.target_error",
            target_error,
            "above 0 and below 1",
        ))
    }
}
