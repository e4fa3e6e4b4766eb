//! What a cluster that is not read may cost: the error identity, and the estimate of an answer's error.
//!
//! With `a = scale q`, `Z_C` the true and `Zest_C` the estimated mass of cluster C, `u_C` its true weighted mean value,
//! `vbar_C` its plain one and `est` the answer, `out - est = (1/Z) sum_C Z_C (u_C - vbar_C) + (Z_C - Zest_C)(vbar_C - est)`
//! over the clusters not read. So reading C gains about
//!
//! `gain_C = (Zest_C + dZ_C) tau_C / 2 + dZ_C |vbar_C - est|`, `dZ_C = n exp(a.c) (exp(min(var, 8) / 2) - 1) / 2`
//!
//! with `tau_C` the spread of its values. The factor 1/2 and the form of `dZ_C` are measured laws of real traces:
//! `|u - vbar| / tau` was 0.3 to 0.7, and heavy clusters were wrong by 0.3 to 1.0 of their mass, which the smaller
//! `sqrt(var / (1 + var / 2) / n)` does not cover. A cluster of one token has no spread: nothing is gained by reading it.
//! The estimate of the error is the root of the sum of squares of the gains not taken, as if they were independent.

use wavekv_kernels::{Accumulator, Queries, Scan, ShapeError};

use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// Above this variance the log-normal form of the mass error says nothing any more.
const LARGEST_VARIANCE: f32 = 8.0;

/// What an answer came to, so far: the scale against which gains are errors.
#[derive(Debug)]
struct Answer {
    /// `[group, value_dim]`.
    out: Vec<f32>,
    /// `|out|` of each row.
    norms: Vec<f32>,
    /// Log-sum-exp of each row.
    lse: Vec<f32>,
}

impl Answer {
    fn of(acc: &Accumulator) -> Result<Self, ShapeError> {
        let dim = acc.value_dim();
        let mut out = vec![0.0; acc.rows() * dim];
        let rows = out.chunks_exact_mut(dim).enumerate();
        let lse = rows
            .map(|(row, out)| acc.write_row(row, out))
            .collect::<Result<_, _>>()?;
        let norms = out.chunks_exact(dim).map(norm).collect();
        Ok(Self { out, norms, lse })
    }
}

/// Squared relative gains of all clusters: `[group, clusters]` within a segment, as the survey's arrays.
#[derive(Debug)]
pub(super) struct Gains(Vec<f32>);

impl Gains {
    /// The squared gain of a cluster for a row, relative to the norm of that row's answer.
    pub(super) fn squared(&self, survey: &Survey<'_>, row: usize, place: Place) -> f32 {
        self.0[survey.at(row, place)]
    }

    /// Squared error of each row if nothing more is read.
    pub(super) fn totals(&self, survey: &Survey<'_>) -> Vec<f32> {
        let mut totals = vec![0.0; survey.group];
        for segment in 0..survey.segments.len() {
            let clusters = survey.clusters(segment).len();
            if clusters > 0 {
                let rows = self.0[survey.block(segment)].chunks_exact(clusters);
                for (total, row) in totals.iter_mut().zip(rows) {
                    *total += row.iter().sum::<f32>();
                }
            }
        }
        totals
    }
}

impl Survey<'_> {
    /// The estimated `|out - exact| / |exact|` of each query head, given the merged answer `acc`.
    ///
    /// # Errors
    /// [`ShapeError`] when `acc` is not `[group, value_dim]`.
    pub fn error_estimate(&self, acc: &Accumulator) -> Result<Vec<f32>, ShapeError> {
        Ok(self
            .gains(acc)?
            .totals(self)
            .into_iter()
            .map(f32::sqrt)
            .collect())
    }

    /// What reading each cluster would gain, given an answer that estimates it. Zero outside the zones of estimated
    /// and ignored clusters.
    pub(super) fn gains(&self, acc: &Accumulator) -> Result<Gains, ShapeError> {
        let answer = Answer::of(acc)?;
        let mut gains = vec![0.0; self.log_mass.len()];
        for (segment, head) in self.segments.iter().enumerate() {
            let zones = &self.zones[self.clusters(segment)];
            if !zones
                .iter()
                .any(|zone| matches!(zone, Zone::Estimation | Zone::Ignored))
            {
                continue;
            }
            let block = &mut gains[self.block(segment)];
            // First the products vbar . est, in place.
            let rows = Queries::new(&answer.out, self.group, acc.value_dim())?;
            self.kernels
                .scan(Scan::new(rows, head.value_means, 1.0, block)?);
            for (row, products) in block.chunks_exact_mut(zones.len()).enumerate() {
                let scale = (answer.norms[row], answer.lse[row]);
                for (cluster, product) in products.iter_mut().enumerate() {
                    let at = self.at(row, Place { segment, cluster });
                    let share = (self.log_mass[at] - scale.1).exp();
                    let distance = distance(*product, head.value_mean_norms[cluster], scale.0);
                    let spread = if head.counts[cluster] > 1 {
                        head.value_spreads[cluster]
                    } else {
                        0.0
                    };
                    let doubt = mass_doubt(self.variances[at], head.counts[cluster]);
                    let gain = match zones[cluster] {
                        Zone::Estimation => (1.0 + doubt) * spread / 2.0 + doubt * distance,
                        Zone::Ignored => (1.0 + doubt) * (spread / 2.0 + distance),
                        Zone::Hidden | Zone::Steady | Zone::Retrieval => 0.0,
                    };
                    *product = if scale.0 > 0.0 {
                        (share * gain / scale.0).powi(2)
                    } else {
                        0.0
                    };
                }
            }
        }
        Ok(Gains(gains))
    }
}

/// `dZ / Zest`: how wrong the estimated mass of a cluster may be, as a share of it.
fn mass_doubt(variance: f32, tokens: u32) -> f32 {
    if tokens > 1 {
        (variance.min(LARGEST_VARIANCE) / 2.0).exp_m1() / (2.0 + variance)
    } else {
        0.0
    }
}

/// `|a - b|` from the product and the norms.
fn distance(product: f32, a_norm: f32, b_norm: f32) -> f32 {
    (a_norm.mul_add(a_norm, b_norm * b_norm) - 2.0 * product)
        .max(0.0)
        .sqrt()
}

fn norm(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt()
}
