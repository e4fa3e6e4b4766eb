//! The estimation zone: each cluster stands for its tokens with its estimated mass and its mean value. So does what a
//! coded cluster has left when its weightiest tokens are computed exactly.
//!
//! Mass is that of [`wavekv_kernels::LogMass`]. A cluster that is light for every query head takes the mean value of its
//! segment, which needs no reading.

use std::borrow::Cow;

use wavekv_kernels::{Accumulator, Estimate, ShapeError};

use crate::index::survey::Survey;
use crate::index::zones::Zone;

impl Survey<'_> {
    /// Adds the clusters of the estimation and the coded zone to `acc`, one row a query head of the group. Returns the
    /// bytes of mean values that were read.
    ///
    /// # Errors
    /// [`ShapeError`] when `acc` is not `[group, value_dim]`.
    pub fn estimate(&self, acc: &mut Accumulator) -> Result<u64, ShapeError> {
        self.estimate_above(self.light_share, acc)
    }

    /// The same, with another share of the mass below which a cluster is light.
    pub(super) fn estimate_above(
        &self,
        light_share: f32,
        acc: &mut Accumulator,
    ) -> Result<u64, ShapeError> {
        let mut bytes = 0;
        let mut picks = vec![];
        let least = self.least_log_mass(light_share, acc);
        for (segment, head) in self.segments.iter().enumerate() {
            let zones = &self.zones[self.clusters(segment)];
            let estimated = |zone: &Zone| matches!(zone, Zone::Estimation | Zone::Coded);
            if !zones.iter().any(estimated) {
                continue;
            }
            let mut log_mass = Cow::from(&self.log_mass[self.block(segment)]);
            if !zones.iter().all(estimated) {
                for masses in log_mass.to_mut().chunks_exact_mut(zones.len()) {
                    let others = masses.iter_mut().zip(zones);
                    for (mass, _) in others.filter(|(_, zone)| !estimated(zone)) {
                        *mass = f32::NEG_INFINITY;
                    }
                }
            }
            picks.clear();
            picks.extend(zones.iter().zip(0..).map(|(zone, cluster)| {
                if *zone == Zone::Coded {
                    cluster
                } else {
                    Estimate::BASE
                }
            }));
            for (masses, least) in log_mass.chunks_exact(zones.len()).zip(&least) {
                pick_heavy(masses, *least, &mut picks);
            }
            let own = picks.iter().filter(|pick| **pick != Estimate::BASE).count();
            bytes += (own * head.value_means.row_bytes()) as u64;
            self.kernels
                .estimate(Estimate::new(&log_mass, &picks, head.value_means, acc)?);
        }
        Ok(bytes)
    }

    /// Below this log mass a cluster is light, for each query head: its share of the heaviest part of the answer, which
    /// is no more than the whole.
    fn least_log_mass(&self, light_share: f32, acc: &Accumulator) -> Vec<f32> {
        let mut least: Vec<f32> = (0..self.group).map(|row| acc.log_sum(row)).collect();
        for segment in 0..self.segments.len() {
            let clusters = self.clusters(segment).len();
            if clusters > 0 {
                let rows = self.log_mass[self.block(segment)].chunks_exact(clusters);
                for (least, row) in least.iter_mut().zip(rows) {
                    *least = least.max(largest(row));
                }
            }
        }
        for least in &mut least {
            *least += light_share.ln();
        }
        least
    }
}

/// Picks the clusters that are as heavy as `least` or heavier. Without a branch, so that the compiler can use vectors.
fn pick_heavy(masses: &[f32], least: f32, picks: &mut [u32]) {
    for ((pick, mass), cluster) in picks.iter_mut().zip(masses).zip(0..) {
        *pick = if *mass >= least { cluster } else { *pick };
    }
}

/// The largest of some numbers; lanes of their own, so that the compiler can use vectors.
fn largest(numbers: &[f32]) -> f32 {
    let take = |largest: f32, x: f32| if x > largest { x } else { largest };
    let (chunks, rest) = numbers.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = take(*lane, *x);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |largest, x| take(largest, *x))
}
