//! What a cluster that is not read may cost: the error identity, and the estimate of an answer's error.
//!
//! With `a = scale q`, `Z_C` the true and `Zest_C` the estimated mass of cluster C, `u_C` its true weighted mean value,
//! `vbar_C` its plain one and `est` the answer, `out - est = (1/Z) sum_C Z_C (u_C - vbar_C) + (Z_C - Zest_C)(vbar_C - est)`
//! over the clusters not read. So reading C gains about
//!
//! `gain_C = (Zest_C + dZ_C) tau_C / 2 + dZ_C |vbar_C - est|`, `dZ_C = Zest_C (exp(min(var, 8) / 2) - 1) / (2 + var)`
//!
//! with `tau_C` the spread of its values ([`wavekv_kernels::Appraise`]). The factor 1/2 and the form of `dZ_C` are measured
//! laws of real traces: `|u - vbar| / tau` was 0.3 to 0.7, and heavy clusters were wrong by 0.3 to 1.0 of their mass, which
//! the smaller `sqrt(var / (1 + var / 2) / n)` does not cover. A cluster of one token has no spread: nothing is gained by
//! reading it.
//!
//! Where scores vary so widely within clusters that the largest of thousands of tokens is far above what its centroid says,
//! as on heads that look for a single token to copy, that token may be all of the true answer and nothing of the estimated
//! one. How likely that is counts beside the gain, as the mean of an error of 1.
//!
//! Errors of clusters are mostly, not wholly, independent: the estimate is the root of the sum of their squares and of the
//! square of `COHERENCE` times their sum. Without that part it was short by a factor of 2 to 3 where thousands of
//! clusters make up a flat head's answer.

use wavekv_kernels::{Accumulator, Appraise, Clusters, Prospects, ShapeError, Spreads};

use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// The share of their errors that clusters have in common. Measured: 0.05 to 0.1 on traces of two models.
pub(super) const COHERENCE: f32 = 0.07;

/// What counts of the chance that Gaussian scores would give a token to outweigh everything else: the tail foretells several
/// times as many of them as heads that copy have. On SmolLM2-135M at 8192 tokens the KL was 0.0026 with 1, for a tenth more
/// tokens read as codes, 0.0027 with this, 0.0035 with 0.01, and 0.058 without.
const CAUTION: f32 = 0.25;

/// No answer is shorter than this, when its length is divided by.
const SHORTEST: f32 = 1e-20;

/// What an answer came to, so far: the scale against which gains are errors.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Log-sum-exp of each row; finite.
    pub(super) lse: Vec<f32>,
    /// Length of the output of each row; above zero.
    pub(super) norms: Vec<f32>,
}

impl Answer {
    pub(super) fn of(acc: &Accumulator) -> Result<Self, ShapeError> {
        let mut out = vec![0.0; acc.value_dim()];
        let mut answer = Self {
            lse: Vec::with_capacity(acc.rows()),
            norms: Vec::with_capacity(acc.rows()),
        };
        for row in 0..acc.rows() {
            answer.lse.push(acc.write_row(row, &mut out)?.max(f32::MIN));
            let square = out.iter().map(|x| x * x).sum::<f32>();
            answer.norms.push(square.sqrt().max(SHORTEST));
        }
        Ok(answer)
    }
}

/// What is not read, of one answer: sums over its parts of what each may be wrong by, as shares of the answer's length.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    answer: Answer,
    squares: Vec<f32>,
    sums: Vec<f32>,
}

impl Doubt {
    /// None, of an answer.
    pub(super) fn none(answer: Answer) -> Self {
        let rows = answer.lse.len();
        Self {
            answer,
            squares: vec![0.0; rows],
            sums: vec![0.0; rows],
        }
    }

    /// What the parts are shares of.
    pub(super) fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Adds a part that may be wrong by `gain`, as clusters may: partly as the others are.
    fn add(&mut self, row: usize, gain: f32) {
        self.add_many(row, gain * gain, gain);
    }

    /// Adds parts of which only the sum of squares is known, and the sum.
    pub(super) fn add_many(&mut self, row: usize, squares: f32, sum: f32) {
        self.squares[row] += squares;
        self.sums[row] += sum;
    }

    /// The estimated error of a row.
    fn error(&self, row: usize) -> f32 {
        self.error_with(row, 0.0, 0.0)
    }

    /// The estimated error of a row if parts were added, see [`Doubt::add_many`].
    pub(super) fn error_with(&self, row: usize, squares: f32, sum: f32) -> f32 {
        let coherent = COHERENCE * (self.sums[row] + sum);
        (self.squares[row] + squares + coherent.powi(2)).sqrt()
    }

    /// The largest estimated error of a row.
    pub(super) fn worst(&self) -> f32 {
        let errors = (0..self.squares.len()).map(|row| self.error(row));
        errors.fold(0.0, f32::max)
    }

    /// The estimated error of each row of `answer`, which is what the parts were shares of with more read.
    fn errors(&self, answer: &Answer) -> Vec<f32> {
        let error = |row: usize| {
            let share = (self.answer.lse[row] - answer.lse[row]).exp();
            let scale = share * self.answer.norms[row] / answer.norms[row];
            scale * self.error(row)
        };
        (0..self.squares.len()).map(error).collect()
    }
}

/// What reading each cluster would gain: `[group, clusters]` within a segment, as the survey's arrays.
#[derive(Debug)]
pub(super) struct Appraisal {
    pub(super) answer: Answer,
    pub(super) gains: Vec<f32>,
    /// Of the same shape: how likely it is that a token of the cluster outweighs everything else.
    pub(super) chances: Vec<f32>,
    /// One a cluster: what reading it is worth for all query heads together.
    pub(super) worths: Vec<f32>,
}

impl Survey<'_> {
    /// The estimated `|out - exact| / |exact|` of each query head, given the merged answer `acc`.
    ///
    /// # Errors
    /// [`ShapeError`] when `acc` is not `[group, value_dim]`.
    pub fn error_estimate(&self, acc: &Accumulator) -> Result<Vec<f32>, ShapeError> {
        if let Some(doubt) = &self.doubt {
            return Ok(doubt.errors(&Answer::of(acc)?));
        }
        let Appraisal {
            answer,
            gains,
            chances,
            ..
        } = self.appraise(acc, 0.0)?;
        let mut doubt = Doubt::none(answer);
        for row in 0..self.group {
            for place in self.places(Zone::Estimation) {
                let at = self.at(row, place);
                doubt.add(row, gains[at]);
                doubt.add_many(row, chances[at], chances[at]);
            }
            for place in self.places(Zone::Ignored) {
                doubt.add(row, self.ignored_gain(row, place, &doubt.answer));
            }
        }
        Ok(doubt.errors(&doubt.answer))
    }

    /// What reading each cluster would gain, given an answer that estimates it; a gain `g` is worth `g (g + linear)`, a chance
    /// `c` is worth `c (1 + linear)`. Only those of the estimation zone mean something.
    pub(super) fn appraise(&self, acc: &Accumulator, linear: f32) -> Result<Appraisal, ShapeError> {
        let answer = Answer::of(acc)?;
        let mut gains = vec![0.0; self.log_mass.len()];
        let mut chances = vec![0.0; self.log_mass.len()];
        let mut worths = vec![0.0; self.zones.len()];
        for (segment, head) in self.segments.iter().enumerate() {
            let (of_segment, block) = (self.clusters(segment), self.block(segment));
            if !self.zones[of_segment.clone()].contains(&Zone::Estimation) {
                continue;
            }
            let clusters = Clusters {
                log_mass: &self.log_mass[block.clone()],
                counts: head.counts,
                spreads: Spreads {
                    of_clusters: head.key_spreads,
                    of_rows: &self.row_spreads[segment * self.group..][..self.group],
                },
                value_spreads: head.value_spreads,
                value_norms: head.value_mean_norms,
                lse: &answer.lse,
                norms: &answer.norms,
                linear,
                caution: CAUTION,
            };
            let to = Prospects {
                gains: &mut gains[block.clone()],
                chances: &mut chances[block],
                worths: &mut worths[of_segment],
            };
            self.kernels.appraise(Appraise::new(clusters, to)?);
        }
        Ok(Appraisal {
            answer,
            gains,
            chances,
            worths,
        })
    }

    /// What an ignored cluster is missed by: all of its mass at its own value.
    fn ignored_gain(&self, row: usize, place: Place, answer: &Answer) -> f32 {
        let head = &self.segments[place.segment];
        let share = (self.log_mass[self.at(row, place)] - answer.lse[row]).exp();
        let distance = head.value_mean_norms[place.cluster].hypot(answer.norms[row]);
        share * (head.value_spreads[place.cluster] / 2.0 + distance) / answer.norms[row]
    }
}
