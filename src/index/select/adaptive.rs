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
use crate::index::zones::Zone;

/// The share of the target that the clusters which are not read may be wrong by, so that the tail of the errors is near
/// the target and not their mean.
const CLUSTERS_AIM: f32 = 0.55;
/// The same with the tokens of coded clusters that are not read.
const AIM: f32 = 0.8;

/// A cluster is light at this share of the target divided by the root of the number of clusters: all light ones together
/// then change the answer by a fraction of the target even if their values are nothing like the mean.
const LIGHT: f32 = 0.25;
/// Clusters so many times heavier are light too for the estimate that the choice is made by: all that it takes from the
/// answer is its length and its mass.
const ROUGHLY: f32 = 8.0;

impl Survey<'_> {
    /// Moves clusters to the coded zone; returns the price at which, when any was.
    pub(super) fn choose_adaptive(
        &mut self,
        target_error: f32,
        steady: &Accumulator,
    ) -> Result<Option<Price>, ShapeError> {
        self.light_share = LIGHT * target_error / (self.zones.len().max(1) as f32).sqrt();
        let mut estimated = steady.clone();
        self.estimate_above(ROUGHLY * self.light_share, &mut estimated)?;
        let aim = CLUSTERS_AIM * target_error;
        // The derivative of the squared error by a gain that is one of many: its own square, and its part in the sum.
        let linear = 2.0 * COHERENCE * aim;
        let appraisal = self.appraise(&estimated, linear)?;
        let ladder = self.ladder(&appraisal);
        let mut doubt = Doubt::none(appraisal.answer);
        let least = ladder.least_worth(&mut doubt, aim);
        self.doubt = Some(doubt);
        let Some(least) = least else {
            return Ok(None);
        };
        for segment in 0..self.segments.len() {
            let clusters = self.clusters(segment);
            let counts = self.segments[segment].counts;
            let zones = self.zones[clusters.clone()].iter_mut();
            for ((zone, worth), count) in zones.zip(&appraisal.worths[clusters]).zip(counts) {
                if *zone == Zone::Estimation && *worth >= least * *count as f32 {
                    *zone = Zone::Coded;
                }
            }
        }
        let token_bytes = Codes4::code_bytes(self.query.queries.dim()) + size_of::<u16>();
        Ok(Some(Price {
            square_a_byte: least / token_bytes as f32,
            linear,
            aim: AIM * target_error,
        }))
    }

    /// The clusters of the estimation zone by what they are worth a token.
    fn ladder(&self, appraisal: &Appraisal) -> Ladder {
        let mut ladder = Ladder::new(self.group);
        for (segment, head) in self.segments.iter().enumerate() {
            let (clusters, block) = (self.clusters(segment), self.block(segment));
            let count = clusters.len();
            let (gains, chances) = (&appraisal.gains[block.clone()], &appraisal.chances[block]);
            let zones = self.zones[clusters.clone()].iter();
            let worths = appraisal.worths[clusters].iter().zip(head.counts);
            for (cluster, (zone, (worth, tokens))) in zones.zip(worths).enumerate() {
                if *zone == Zone::Estimation {
                    let of_rows = gains[cluster..].iter().zip(&chances[cluster..]);
                    let of_rows = of_rows.step_by(count);
                    let of_rows =
                        of_rows.map(|(gain, chance)| [gain * gain + chance, gain + chance]);
                    ladder.add(worth / *tokens as f32, of_rows);
                }
            }
        }
        ladder
    }
}
