//! Log mass of clusters from the scores of their centroids.
//!
//! Hot path: no allocation, no lock, no log.

use super::exp::ln;
use super::lanes::{Element, LANES, Simd, Task};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// How much the scores inside clusters vary: the variance in cluster `j` for row `r` is
/// `of_clusters[j] * of_rows[r]`.
#[derive(Clone, Copy, Debug)]
pub struct Spreads<'a> {
    /// One a cluster.
    pub of_clusters: &'a [f32],
    /// One a query row.
    pub of_rows: &'a [f32],
}

/// Turns scores of centroids into log masses of their clusters, in place.
///
/// With spreads `n exp(score) (1 + x + x^2 / 2)`, `x` half the variance; without `n exp(score)`, which is
/// always too low (Jensen). `exp(x)` would be right for Gaussian scores and explodes on real ones, and
/// `1 + x` is still too low for most clusters at once, so that their errors add up: on real traces the
/// mass of all that was not read was short by a third to a half with it, and the answers' error a fifth
/// larger than with the third term.
#[derive(Debug)]
pub struct LogMass<'a> {
    scores: &'a mut [f32],
    counts: &'a [u32],
    spreads: Option<Spreads<'a>>,
}

impl<'a> LogMass<'a> {
    /// Log masses of clusters of `counts` tokens (0: absent, minus infinity) in each of `rows` query
    /// rows.
    ///
    /// # Errors
    /// Where `scores` are not one number a row and cluster, or the spreads not one each.
    pub fn new(
        rows: usize,
        scores: &'a mut [f32],
        counts: &'a [u32],
        spreads: Option<Spreads<'a>>,
    ) -> Result<Self, ShapeError> {
        expect_area("length of the scores", scores.len(), rows, counts.len())?;
        if let Some(spreads) = spreads {
            expect_equal(
                "number of cluster spreads",
                spreads.of_clusters.len(),
                counts.len(),
            )?;
            expect_equal("number of row spreads", spreads.of_rows.len(), rows)?;
        }
        Ok(Self {
            scores,
            counts,
            spreads,
        })
    }
}

impl Task for LogMass<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = self.counts.len();
        if count == 0 {
            return;
        }
        for (row, scores) in self.scores.chunks_exact_mut(count).enumerate() {
            let (of_row, of_clusters) = match self.spreads {
                Some(spreads) => (spreads.of_rows[row], spreads.of_clusters),
                None => (0.0, &[] as &[f32]),
            };
            let mut first = 0;
            for scores in scores.chunks_mut(LANES) {
                let counts = &self.counts[first..][..scores.len()];
                let spreads = of_clusters.get(first..first + scores.len()).unwrap_or(&[]);
                add_ln(simd, scores, counts, spreads, of_row);
                first += LANES;
            }
        }
    }
}

/// `score += ln(n (1 + x + x^2 / 2))` for at most a vector of clusters.
#[inline(always)]
fn add_ln<S: Simd>(simd: S, scores: &mut [f32], counts: &[u32], spreads: &[f32], of_row: f32) {
    let mut factors = [1.0; LANES];
    for (factor, count) in factors.iter_mut().zip(counts) {
        *factor = *count as f32;
    }
    let x = simd.mul(f32::load_first(simd, spreads), simd.splat(0.5 * of_row));
    let half_square = simd.mul(simd.mul(x, x), simd.splat(0.5));
    let series = simd.add(simd.splat(1.0), simd.add(x, half_square));
    let masses = simd.mul(simd.load(&factors), series);
    simd.store(ln(simd, masses), &mut factors);
    for ((score, factor), count) in scores.iter_mut().zip(factors).zip(counts) {
        *score = if *count == 0 {
            f32::NEG_INFINITY
        } else {
            *score + factor
        };
    }
}
