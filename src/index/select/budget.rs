//! `budget`: a fixed share exactly, the next in rank estimated, the rest ignored. With the ratios and the ranking of
//! RetroInfer (arXiv 2505.02922) it is the preset `retroinfer`.

use wavekv_kernels::{Kernels, LogMass, ShapeError};

use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};
use crate::model::{BudgetRule, Ranking};

impl Survey<'_> {
    pub(super) fn choose_budget(&mut self, rule: BudgetRule) -> Result<(), ShapeError> {
        let ranked = self.ranked(rule.ranking);
        let tokens: u64 = self.tokens(Zone::Estimation);
        let clusters = ranked.len();
        let estimated = share_of(clusters as u64, rule.estimate_share) as usize;
        let retrieved = match rule.ranking {
            Ranking::RetroInfer => share_of(clusters as u64, rule.retrieve_share) as usize,
            Ranking::Mass => self.clusters_holding(&ranked, share_of(tokens, rule.retrieve_share)),
        };
        for (rank, place) in ranked.into_iter().enumerate() {
            let ordinal = self.ordinal(place);
            self.zones[ordinal] = if rank < retrieved {
                Zone::Retrieval
            } else if rank - retrieved < estimated {
                Zone::Estimation
            } else {
                Zone::Ignored
            };
        }
        if rule.ranking == Ranking::RetroInfer {
            self.take_first_order_mass()
        } else {
            Ok(())
        }
    }

    /// The clusters of the estimation zone, the heaviest first; equal ones in order of place.
    fn ranked(&self, ranking: Ranking) -> Vec<Place> {
        let weights = match ranking {
            Ranking::Mass => self.shares_of(&self.log_mass),
            Ranking::RetroInfer => self.shares_of(&self.scores),
        };
        let mut places: Vec<Place> = self.places(Zone::Estimation).collect();
        places.sort_by(|a, b| weights[self.ordinal(*b)].total_cmp(&weights[self.ordinal(*a)]));
        places
    }

    /// How many of the first clusters hold at least `tokens`.
    fn clusters_holding(&self, ranked: &[Place], tokens: u64) -> usize {
        let mut held = 0;
        let enough = ranked.iter().position(|place| {
            let stop = held >= tokens;
            held += u64::from(self.tokens_at(*place));
            stop
        });
        enough.unwrap_or(ranked.len())
    }

    /// The paper's mass `n exp(a.c)`.
    fn take_first_order_mass(&mut self) -> Result<(), ShapeError> {
        self.log_mass.copy_from_slice(&self.scores);
        for segment in 0..self.segments.len() {
            let block = self.block(segment);
            let counts = self.segments[segment].counts;
            let task = LogMass::new(self.group, &mut self.log_mass[block], counts, None)?;
            Kernels::log_mass(self.kernels, task);
        }
        Ok(())
    }
}

/// A share of a whole, rounded up: a share above 0 of something is something.
fn share_of(whole: u64, share: f32) -> u64 {
    (whole as f64 * f64::from(share)).ceil() as u64
}
