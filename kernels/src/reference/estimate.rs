//! Softmax over given log masses, and the merge of two partials.

use super::Partial;

/// The partial of entries with the given log masses and values of `value_dim` elements. An entry of
/// mass minus infinity is absent.
pub fn softmax(log_mass: &[f64], values: &[Vec<f64>], value_dim: usize) -> Partial {
    let max = log_mass.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut out = vec![0.0; value_dim];
    if max == f64::NEG_INFINITY {
        return Partial { out, lse: max };
    }
    let sum: f64 = log_mass.iter().map(|mass| (mass - max).exp()).sum();
    for (mass, value) in log_mass.iter().zip(values) {
        let weight = (mass - max).exp() / sum;
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight * value;
        }
    }
    Partial {
        out,
        lse: max + sum.ln(),
    }
}

/// The partial over two disjoint sets of tokens.
pub fn merge(a: &Partial, b: &Partial) -> Partial {
    softmax(
        &[a.lse, b.lse],
        &[a.out.clone(), b.out.clone()],
        a.out.len(),
    )
}
