//! What reading clusters would gain: the terms of the error identity, for many clusters at once.
//!
//! Hot path: no allocation, no lock, no log.

use super::exp::{exp, ln};
use super::lanes::{Element as _, LANES, Simd, Task, largest};
use super::log_mass::Spreads;
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Above this variance the log-normal form of the mass error says nothing any more.
const LARGEST_VARIANCE: f32 = 8.0;
/// From this variance on a cluster may hide a token that outweighs everything else. Below, what that would weigh is in the
/// gain.
const LEAST_CHANCE: f32 = 4.0;
/// `2 / sqrt(2 pi)` and `8 / pi`: `0.798 exp(-t^2 / 2) / (t + sqrt(t^2 + 2.546))` is the tail of a Gaussian from `t >= 0` on,
/// within 3 %.
const TAIL: [f32; 2] = [0.797_884_6, 2.546_479];

/// What is known of clusters that are not read, and of the answer that they are part of.
#[derive(Clone, Copy, Debug)]
pub struct Clusters<'a> {
    /// `[rows, clusters]`; minus infinity where a cluster is no matter.
    pub log_mass: &'a [f32],
    /// Tokens, one a cluster.
    pub counts: &'a [u32],
    /// Of the scores inside clusters.
    pub spreads: Spreads<'a>,
    /// Root mean square distance of values from their mean, one a cluster.
    pub value_spreads: &'a [f32],
    /// Length of the mean value, one a cluster.
    pub value_norms: &'a [f32],
    /// Log-sum-exp of the whole answer, one a row.
    pub lse: &'a [f32],
    /// Length of the answer, one a row; above zero.
    pub norms: &'a [f32],
    /// A gain `g` that is one of many counts `g (g + linear)`.
    pub linear: f32,
    /// What a chance is, of what Gaussian scores would make it.
    pub caution: f32,
}

/// What reading clusters may gain.
#[derive(Debug)]
pub struct Prospects<'a> {
    /// `[rows, clusters]`: gains.
    pub gains: &'a mut [f32],
    /// `[rows, clusters]`: chances.
    pub chances: &'a mut [f32],
    /// One a cluster: what reading it is worth for all rows together.
    pub worths: &'a mut [f32],
}

/// Writes the gain `g` of reading cluster `j` for row `r`, as a share of the answer's length:
///
/// `share ((1 + doubt) spread / 2 + doubt sqrt(value_norm^2 + norm^2)) / norm`
///
/// with `share = exp(log_mass - lse)` and `doubt = (exp(min(var, 8) / 2) - 1) / (2 + var)`, how wrong the
/// mass may be as a share of it. The root stands for the distance of the mean value from the answer: values
/// and answer taken as orthogonal, so that no mean value need be read for it.
///
/// Where scores vary widely (`var >= 4`), mass and doubt fall short of what one token far out may weigh, by
/// ten powers of ten on heads that look for a single token. So the chance `c` that there is one which
/// outweighs all else is a number of its own:
///
/// `caution n Q(t)`, `t = (lse - ln(sqrt(value_norm^2 + spread^2 + norm^2) / norm) - score) / sqrt(var)`
///
/// with `Q` the tail of a Gaussian and `score` that of the centroid. Where it comes true, all of the answer is
/// wrong: it is the mean of an error, and of its square.
///
/// And what that is worth for all rows together: the sum of `g (g + linear) + c (1 + linear)`.
#[derive(Debug)]
pub struct Appraise<'a> {
    clusters: Clusters<'a>,
    to: Prospects<'a>,
}

impl<'a> Appraise<'a> {
    /// What reading `clusters` gains, to be written to `to`.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(clusters: Clusters<'a>, to: Prospects<'a>) -> Result<Self, ShapeError> {
        let (rows, count) = (clusters.lse.len(), clusters.value_spreads.len());
        expect_equal("number of norms", clusters.norms.len(), rows)?;
        expect_equal(
            "number of row spreads",
            clusters.spreads.of_rows.len(),
            rows,
        )?;
        expect_equal(
            "number of cluster spreads",
            clusters.spreads.of_clusters.len(),
            count,
        )?;
        expect_equal("number of value norms", clusters.value_norms.len(), count)?;
        expect_area(
            "length of the log masses",
            clusters.log_mass.len(),
            rows,
            count,
        )?;
        expect_equal("number of counts", clusters.counts.len(), count)?;
        expect_area("length of the gains", to.gains.len(), rows, count)?;
        expect_area("length of the chances", to.chances.len(), rows, count)?;
        expect_equal("number of worths", to.worths.len(), count)?;
        Ok(Self { clusters, to })
    }
}

impl Task for Appraise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { clusters, to } = self;
        let count = clusters.value_spreads.len();
        if count == 0 {
            return;
        }
        let widest = largest(simd, clusters.spreads.of_clusters);
        to.worths.fill(0.0);
        to.chances.fill(0.0);
        let of_rows = to.gains.chunks_exact_mut(count);
        for (row, (gains, chances)) in of_rows.zip(to.chances.chunks_exact_mut(count)).enumerate() {
            let (norm, spread) = (clusters.norms[row], clusters.spreads.of_rows[row]);
            let answer = Answer {
                lse: simd.splat(clusters.lse[row]),
                norm: simd.splat(norm),
                square: simd.splat(norm * norm),
                inverse: simd.splat(norm.recip()),
                spread: simd.splat(spread),
                linear: simd.splat(clusters.linear),
                caution: simd.splat(clusters.caution),
            };
            let may_hide = widest * spread >= LEAST_CHANCE;
            let log_mass = &clusters.log_mass[row * count..][..count];
            let mut first = 0;
            while first < count {
                let part = first..count.min(first + LANES);
                let four = [
                    &log_mass[part.clone()],
                    &clusters.spreads.of_clusters[part.clone()],
                    &clusters.value_spreads[part.clone()],
                    &clusters.value_norms[part.clone()],
                ];
                let four = four.map(|from| f32::load_first(simd, from));
                let worths = &mut to.worths[part.clone()];
                let (gain, mut worth) = gain(simd, &answer, four);
                simd.store_first(gain, &mut gains[part.clone()]);
                if may_hide {
                    let chance = chance(simd, &answer, four, &clusters.counts[part.clone()]);
                    simd.store_first(chance, &mut chances[part]);
                    worth = simd.add(worth, simd.mul_add(chance, answer.linear, chance));
                }
                let worth = simd.add(f32::load_first(simd, worths), worth);
                simd.store_first(worth, worths);
                first += LANES;
            }
        }
    }
}

/// What a row's answer is, in every lane.
struct Answer<L> {
    lse: L,
    norm: L,
    square: L,
    inverse: L,
    spread: L,
    linear: L,
    caution: L,
}

/// The gain of reading a vector of clusters, and what it is worth.
#[inline(always)]
fn gain<S: Simd>(
    simd: S,
    answer: &Answer<S::Lanes>,
    [log_mass, spread, value_spread, value_norm]: [S::Lanes; 4],
) -> (S::Lanes, S::Lanes) {
    let (one, half) = (simd.splat(1.0), simd.splat(0.5));
    let share = exp(simd, simd.sub(log_mass, answer.lse));
    let variance = simd.mul(spread, answer.spread);
    let capped = simd.min(variance, simd.splat(LARGEST_VARIANCE));
    let excess = simd.sub(exp(simd, simd.mul(capped, half)), one);
    let doubt = simd.div(excess, simd.add(variance, simd.splat(2.0)));
    let distance = simd.sqrt(simd.mul_add(value_norm, value_norm, answer.square));
    let inside = simd.mul(simd.mul(value_spread, half), simd.add(one, doubt));
    let gain = simd.mul(share, simd.mul_add(doubt, distance, inside));
    let gain = simd.mul(gain, answer.inverse);
    (gain, simd.mul(gain, simd.add(gain, answer.linear)))
}

/// The chance that a token of each of a vector of clusters outweighs all else.
#[inline(always)]
fn chance<S: Simd>(
    simd: S,
    answer: &Answer<S::Lanes>,
    [log_mass, spread, value_spread, value_norm]: [S::Lanes; 4],
    counts: &[u32],
) -> S::Lanes {
    let (one, half) = (simd.splat(1.0), simd.splat(0.5));
    let mut tokens = [1.0; LANES];
    for (tokens, count) in tokens.iter_mut().zip(counts) {
        *tokens = *count as f32;
    }
    let tokens = simd.load(&tokens);
    let variance = simd.mul(spread, answer.spread);
    // What `log_mass` has beside the score of the centroid.
    let x = simd.mul(variance, half);
    let series = simd.add(one, simd.mul_add(simd.mul(x, half), x, x));
    let square = simd.mul_add(value_norm, value_norm, answer.square);
    let distance = simd.sqrt(simd.mul_add(value_spread, value_spread, square));
    let beside = simd.div(simd.mul(simd.mul(tokens, series), answer.norm), distance);
    let above = simd.add(simd.sub(answer.lse, log_mass), ln(simd, beside));
    let t = simd.max(simd.div(above, simd.sqrt(variance)), simd.splat(0.0));
    let t_square = simd.mul(t, t);
    let density = exp(simd, simd.sub(simd.splat(0.0), simd.mul(t_square, half)));
    let root = simd.sqrt(simd.add(t_square, simd.splat(TAIL[1])));
    let tail = simd.div(simd.mul(density, simd.splat(TAIL[0])), simd.add(t, root));
    let chance = simd.mul(simd.mul(tokens, answer.caution), tail);
    let chance = simd.min(chance, one);
    simd.where_ge(variance, simd.splat(LEAST_CHANCE), chance)
}
