//! Log mass of clusters from the scores of their centroids.
//!
//! Hot path: no allocation, no lock, no log.

use super::exp::ln;
use super::lanes::{Element, LANES, Simd, Task};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Turns scores of centroids into log masses of their clusters, in place.
///
/// Second order, with the variances of the scores inside each cluster: `n exp(score) (1 + var / 2)`.
/// First order, without: `n exp(score)`, which is always too low (Jensen). `exp(var / 2)` in place of
/// `1 + var / 2` would be right for Gaussian scores and explodes on real ones.
#[derive(Debug)]
pub struct LogMass<'a> {
    scores: &'a mut [f32],
    counts: &'a [u32],
    variances: Option<&'a [f32]>,
}

impl<'a> LogMass<'a> {
    /// Log masses of clusters of `counts` tokens (0: absent, minus infinity) in each of `rows` query
    /// rows; `variances` are one a score.
    ///
    /// # Errors
    /// Where `scores` or `variances` are not one number a row and cluster.
    pub fn new(
        rows: usize,
        scores: &'a mut [f32],
        counts: &'a [u32],
        variances: Option<&'a [f32]>,
    ) -> Result<Self, ShapeError> {
        expect_area("length of the scores", scores.len(), rows, counts.len())?;
        if let Some(variances) = variances {
            expect_equal("length of the variances", variances.len(), scores.len())?;
        }
        Ok(Self {
            scores,
            counts,
            variances,
        })
    }
}

impl Task for LogMass<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = self.counts.len();
        let mut at = 0;
        while at < self.scores.len() {
            // A row may end within a vector: a run never crosses its end.
            let cluster = at % count;
            let run = LANES.min(count - cluster);
            let counts = &self.counts[cluster..][..run];
            let variances = self
                .variances
                .map_or(&[] as &[f32], |all| &all[at..][..run]);
            add_ln(simd, &mut self.scores[at..][..run], counts, variances);
            at += run;
        }
    }
}

/// `score += ln(n (1 + var / 2))` for at most a vector of clusters.
#[inline(always)]
fn add_ln<S: Simd>(simd: S, scores: &mut [f32], counts: &[u32], variances: &[f32]) {
    let mut factors = [1.0; LANES];
    for (factor, count) in factors.iter_mut().zip(counts) {
        *factor = *count as f32;
    }
    let halves = simd.mul(f32::load_first(simd, variances), simd.splat(0.5));
    let counts_lanes = simd.load(&factors);
    let masses = simd.mul_add(counts_lanes, halves, counts_lanes);
    simd.store(ln(simd, masses), &mut factors);
    for ((score, factor), count) in scores.iter_mut().zip(factors).zip(counts) {
        *score = if *count == 0 {
            f32::NEG_INFINITY
        } else {
            *score + factor
        };
    }
}
