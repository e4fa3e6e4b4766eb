//! The keys or the values of one KV head beside what is kept of them: of each cluster its mean, of each token its codes.

use std::ops::Range;

use half::f16;
use wavekv_kernels::{Codes4, Codes8, Matrix, ShapeError, convert};

use super::Broken;

/// How far a code may be off what it stands for, in steps: half, and what the rounding of scales adds.
const STEPS: f32 = 0.6;
/// Of a number, what sums in `f32` may be off by: generous, since a cluster has a few hundred tokens at most.
pub(super) const ROUNDING: f32 = 1e-4;
/// What is as small is as good as nothing: squares of it are no numbers, and the CPU may take it for 0.
pub(super) const NOTHING: f32 = 1e-18;
/// Of the profile, what the rounding of a tiny scale to 16 bits costs.
const TINY: f32 = 1e-6;

/// Rows of K or V, and what is kept of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors<'a> {
    /// Some rows.
    pub(super) rows: Matrix<'a>,
    /// Of every cluster.
    pub(super) means: Codes8<'a>,
    /// Of every token.
    pub(super) codes: Codes4<'a>,
    /// Columns of rows, means and codes.
    pub(super) names: [&'static str; 3],
}

impl Vectors<'_> {
    /// That the mean and the codes of a cluster are those of its rows, which begin at row `first` of the head and are
    /// `local` here. Returns the length of the mean as decoded.
    pub(super) fn check(
        &self,
        cluster: usize,
        first: usize,
        local: Range<usize>,
    ) -> Result<f32, Broken> {
        let [rows, means, _] = self.names;
        let dim = self.rows.cols();
        let mut vectors = vec![0.0; local.len() * dim];
        convert::read(self.rows, local, &mut vectors).map_err(|error| unfit(rows, &error))?;
        let mut centre = vec![0.0; dim];
        let decoded = self.means.decode(cluster, &mut centre);
        decoded.map_err(|error| unfit(means, &error))?;
        self.check_mean(cluster, &vectors, &centre)?;
        let mut beside = vec![0.0; dim];
        for (row, vector) in (first..).zip(vectors.chunks_exact(dim)) {
            self.check_codes(cluster, row, vector, &centre, &mut beside)?;
        }
        Ok(centre.iter().map(|x| x * x).sum::<f32>().sqrt())
    }

    fn check_mean(&self, cluster: usize, vectors: &[f32], centre: &[f32]) -> Result<(), Broken> {
        let (dim, step) = (centre.len(), self.means.scales()[cluster]);
        let tokens = (vectors.len() / dim) as f64;
        for (d, (known, base)) in centre.iter().zip(self.means.base()).enumerate() {
            let column = || vectors.iter().skip(d).step_by(dim);
            let mean = (column().map(|x| f64::from(*x)).sum::<f64>() / tokens) as f32;
            let largest = column().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            let rounding = ROUNDING * (largest + base.abs()) + NOTHING;
            if (known - mean).abs() > STEPS * step + rounding {
                return Err(Broken {
                    column: self.names[1],
                    what: format!(
                        "cluster {cluster} has {known} in dimension {d}: expected {mean}, or half a step of {step} beside it"
                    ),
                });
            }
        }
        Ok(())
    }

    fn check_codes(
        &self,
        cluster: usize,
        row: usize,
        vector: &[f32],
        centre: &[f32],
        beside: &mut [f32],
    ) -> Result<(), Broken> {
        let column = self.names[2];
        let decoded = self.codes.decode(row, beside);
        decoded.map_err(|error| unfit(column, &error))?;
        let scale = self.codes.scales()[row];
        if scale >= f16::MAX {
            // What is farther from the mean than such codes reach was cut.
            return Ok(());
        }
        let of_numbers = vector.iter().zip(centre.iter().zip(&*beside));
        for (d, (x, (mean, beside))) in of_numbers.enumerate() {
            let profile = self.codes.profile()[d];
            let step = scale.to_f32() * profile;
            // What never varies has no code, and its mean may be off by its own step.
            let of_mean = if profile.is_normal() {
                0.0
            } else {
                STEPS * self.means.scales()[cluster]
            };
            let rounding = ROUNDING * (x.abs() + mean.abs()) + TINY * profile + NOTHING;
            let known = mean + beside;
            let off = (x - known).abs();
            if off.is_nan() || off > STEPS * step + of_mean + rounding {
                return Err(Broken {
                    column,
                    what: format!(
                        "row {row} has {known} in dimension {d}: expected {x}, or half a step of {step} beside it"
                    ),
                });
            }
        }
        Ok(())
    }
}

fn unfit(column: &'static str, error: &ShapeError) -> Broken {
    let what = error.to_string();
    Broken { column, what }
}
