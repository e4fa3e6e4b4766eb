//! From raw bytes to vectors of f64.

use super::{Order, Queries, Stored};

/// One query row of one head.
pub(super) fn query(queries: &Queries<'_>, head_dim: usize, row: usize, q_head: usize) -> Vec<f64> {
    let start = (row * queries.q_heads + q_head) * head_dim;
    queries.q[start..start + head_dim]
        .iter()
        .map(|&x| f64::from(x))
        .collect()
}

/// The vectors of the tokens of `range` of one head, `[tokens, dim]`.
pub(super) fn decode(
    bytes: &[u8],
    stored: &Stored<'_>,
    head: usize,
    range: std::ops::Range<usize>,
    dim: usize,
) -> Vec<f64> {
    let row = dim * stored.dtype.size();
    let mut vectors = Vec::with_capacity(range.len() * dim);
    match stored.order {
        Order::HeadsMajor => {
            let start = head * stored.tokens;
            let rows = &bytes[(start + range.start) * row..(start + range.end) * row];
            vectors.extend(stored.dtype.decode(rows).into_iter().map(f64::from));
        }
        Order::TokensMajor => {
            for token in range {
                let start = (token * stored.kv_heads + head) * row;
                let vector = stored.dtype.decode(&bytes[start..start + row]);
                vectors.extend(vector.into_iter().map(f64::from));
            }
        }
    }
    vectors
}

/// Eight running sums, so that the compiler may use vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (a, b) in a.zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + rest
}
