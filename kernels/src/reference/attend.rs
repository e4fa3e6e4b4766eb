//! Exact attention over the tokens a query row sees.

use super::{Partial, rows_f64, scan, softmax};
use crate::cpu::AttendInput;

/// `s_i = scale * q.k_i`, or `c tanh(s_i / c)` where scores are capped; `out = sum exp(s_i) v_i / sum exp(s_i)`, one partial per query row.
pub fn attend(input: AttendInput<'_>) -> Vec<Partial> {
    let values = rows_f64(input.values);
    let mut scores = scan(input.queries, input.keys, f64::from(input.scale));
    for (row, scores) in scores.iter_mut().enumerate() {
        for (token, score) in scores.iter_mut().enumerate() {
            if !input.visible.sees(row, token) {
                *score = f64::NEG_INFINITY;
            } else if let Some(cap) = input.softcap.map(f64::from) {
                *score = cap * (*score / cap).tanh();
            }
        }
    }
    scores
        .iter()
        .map(|scores| softmax(scores, &values, input.values.cols()))
        .collect()
}
