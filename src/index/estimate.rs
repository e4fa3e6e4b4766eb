//! The estimation zone: each cluster stands for its tokens with its estimated mass and its mean value.
//!
//! Mass is of second order, `n exp(a.c) (1 + var / 2)` with `a = scale q`: the first-order form is always too low
//! (Jensen), and `exp(var / 2)` instead of `1 + var / 2` explodes on real keys (RESEARCH.md).

use wavekv_kernels::{Accumulator, Estimate, ShapeError};

use crate::index::survey::Survey;
use crate::index::zones::Zone;

impl Survey<'_> {
    /// Adds the clusters of the estimation zone to `acc`, one row a query head of the group.
    ///
    /// # Errors
    /// [`ShapeError`] when `acc` is not `[group, value_dim]`.
    pub fn estimate(&self, acc: &mut Accumulator) -> Result<(), ShapeError> {
        let mut log_mass = vec![];
        for (segment, head) in self.segments.iter().enumerate() {
            let zones = &self.zones[self.clusters(segment)];
            if !zones.contains(&Zone::Estimation) {
                continue;
            }
            log_mass.clear();
            log_mass.extend_from_slice(&self.log_mass[self.block(segment)]);
            for row in log_mass.chunks_exact_mut(zones.len()) {
                for (mass, zone) in row.iter_mut().zip(zones) {
                    if *zone != Zone::Estimation {
                        *mass = f32::NEG_INFINITY;
                    }
                }
            }
            self.kernels
                .estimate(Estimate::new(&log_mass, head.value_means, acc)?);
        }
        Ok(())
    }
}
