//! What codes stand for, and what is computed with them.

use super::{Partial, softmax};
use crate::codes4::Codes4;
use crate::codes8::Codes8;
use crate::tensor::ShapeError;

/// The rows of bytes as vectors.
pub fn rows_of_codes8(codes: Codes8<'_>) -> Vec<Vec<f64>> {
    rows(codes.rows(), codes.cols(), |row, out| {
        codes.decode(row, out)
    })
}

/// The rows of half bytes as vectors.
pub fn rows_of_codes4(codes: Codes4<'_>) -> Vec<Vec<f64>> {
    rows(codes.rows(), codes.cols(), |row, out| {
        codes.decode(row, out)
    })
}

fn rows(
    rows: usize,
    cols: usize,
    decode: impl Fn(usize, &mut [f32]) -> Result<(), ShapeError>,
) -> Vec<Vec<f64>> {
    let decode = |row| {
        let mut out = vec![0.0; cols];
        let decoded = decode(row, &mut out);
        decoded.map_or_else(|_| vec![], |()| out.into_iter().map(f64::from).collect())
    };
    (0..rows).map(decode).collect()
}

/// The partials of entries with log masses `log_mass[r][j]` and values `values[j]`.
pub fn estimate(log_mass: &[Vec<f64>], values: &[Vec<f64>], value_dim: usize) -> Vec<Partial> {
    log_mass
        .iter()
        .map(|masses| softmax(masses, values, value_dim))
        .collect()
}

/// The gain of reading a cluster, see [`Appraise`](crate::Appraise).
pub fn gain(share: f64, variance: f64, value_spread: f64, value_norm: f64, norm: f64) -> f64 {
    let doubt = ((variance.min(8.0) / 2.0).exp() - 1.0) / (2.0 + variance);
    let distance = value_norm.hypot(norm);
    share * ((1.0 + doubt) * value_spread / 2.0 + doubt * distance) / norm
}

/// The chance that a token of a cluster outweighs all else, see [`Appraise`](crate::Appraise); the score is beside the
/// log-sum-exp of the answer, and `caution` is 1.
pub fn chance(
    score: f64,
    tokens: f64,
    variance: f64,
    [value_spread, value_norm]: [f64; 2],
    norm: f64,
) -> f64 {
    if variance < 4.0 {
        return 0.0;
    }
    let distance = value_norm.hypot(value_spread).hypot(norm) / norm;
    let t = ((-distance.ln() - score) / variance.sqrt()).max(0.0);
    let root = (t * t + 8.0 / std::f64::consts::PI).sqrt();
    let tail = (-t * t / 2.0).exp() * (2.0 / std::f64::consts::PI).sqrt() / (t + root);
    (tokens * tail).min(1.0)
}
