//! `adaptive`: the clusters whose reading gains most per byte, until the estimated error of every query head of the
//! group is at the target. A flat head reads more, a sharp one less.

use std::collections::BinaryHeap;

use wavekv_kernels::{Accumulator, ShapeError};

use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// A cluster by its gain a token, best first; equal gains in order of place.
#[derive(Debug, PartialEq)]
struct Candidate {
    gain_per_token: f32,
    place: Place,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_gain = self.gain_per_token.total_cmp(&other.gain_per_token);
        by_gain.then_with(|| other.place.cmp(&self.place))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Survey<'_> {
    pub(super) fn choose_adaptive(
        &mut self,
        target_error: f32,
        steady: &Accumulator,
    ) -> Result<(), ShapeError> {
        let mut estimated = steady.clone();
        self.estimate(&mut estimated)?;
        let gains = self.gains(&estimated)?;
        let mut errors = gains.totals(self);
        let rows = 0..self.group;
        let candidates = self.places(Zone::Estimation).map(|place| {
            let gain: f32 = rows
                .clone()
                .map(|row| gains.squared(self, row, place))
                .sum();
            Candidate {
                gain_per_token: gain / self.tokens_at(place) as f32,
                place,
            }
        });
        let mut candidates: BinaryHeap<Candidate> = candidates.collect();
        let allowed = target_error * target_error;
        while errors.iter().any(|error| *error > allowed) {
            let Some(Candidate { place, .. }) = candidates.pop() else {
                break;
            };
            for (row, error) in errors.iter_mut().enumerate() {
                *error -= gains.squared(self, row, place);
            }
            let ordinal = self.ordinal(place);
            self.zones[ordinal] = Zone::Retrieval;
        }
        Ok(())
    }
}
