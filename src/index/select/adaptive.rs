//! `adaptive`: codes of the clusters that gain most per byte, until the estimated error of every query head of the group
//! is at the target. A flat head reads more, a sharp one less.
//!
//! The choice comes down to one price, in squared error a byte: a cluster's codes are worth reading where they gain at
//! least that, and so is, once the codes have told what each token weighs, the value of a token or the token itself
//! ([`crate::index::middle`]).

use wavekv_kernels::{Accumulator, Codes4, ShapeError};

use crate::index::error_estimate::{Appraisal, COHERENCE, Doubt};
use crate::index::ladder::Ladder;
use crate::index::middle::Price;
use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// The share of the target that the clusters which are not read may be wrong by, so that the tail of the errors is near
/// the target and not their mean.
const CLUSTERS_AIM: f32 = 0.55;
/// The same with the tokens of coded clusters that are not read.
const AIM: f32 = 0.8;

/// A cluster is light at this share of the target divided by the root of the number of clusters: all light ones together
/// then change the answer by a fraction of the target even if their values are nothing like the mean.
const LIGHT: f32 = 0.25;

impl Survey<'_> {
    /// Moves clusters to the coded zone; returns the price at which, when any was.
    pub(super) fn choose_adaptive(
        &mut self,
        target_error: f32,
        steady: &Accumulator,
    ) -> Result<Option<Price>, ShapeError> {
        self.light_share = LIGHT * target_error / (self.zones.len().max(1) as f32).sqrt();
        let mut estimated = steady.clone();
        self.estimate(&mut estimated)?;
        let Appraisal { answer, gains } = self.appraise(&estimated)?;
        let aim = CLUSTERS_AIM * target_error;
        // The derivative of the squared error by a gain that is one of many: its own square, and its part in the sum.
        let linear = 2.0 * COHERENCE * aim;
        let mut ladder = Ladder::new(self.group);
        let mut worths = vec![0.0; self.zones.len()];
        for place in self.places(Zone::Estimation) {
            let of_rows = (0..self.group).map(|row| gains[self.at(row, place)]);
            let worth: f32 = of_rows.clone().map(|gain| gain * (gain + linear)).sum();
            let worth = worth / self.tokens_at(place) as f32;
            worths[self.ordinal(place)] = worth;
            ladder.add(worth, of_rows.map(|gain| [gain * gain, gain]));
        }
        let mut doubt = Doubt::none(answer);
        let least = ladder.least_worth(&doubt, aim);
        let places: Vec<Place> = self.places(Zone::Estimation).collect();
        for place in places {
            let ordinal = self.ordinal(place);
            if least.is_some_and(|least| worths[ordinal] >= least) {
                self.zones[ordinal] = Zone::Coded;
            } else {
                for row in 0..self.group {
                    doubt.add(row, gains[self.at(row, place)]);
                }
            }
        }
        let token_bytes = Codes4::code_bytes(self.query.queries.dim()) + size_of::<u16>();
        let price = least.map(|least| Price {
            square_a_byte: least / token_bytes as f32,
            linear,
            aim: AIM * target_error,
        });
        self.doubt = Some(doubt);
        Ok(price)
    }
}
