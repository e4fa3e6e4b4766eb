//! Exact attention in f64 over raw bytes: the oracle. Plain on purpose: tokens in blocks, so that K and V are decoded
//! once for many queries, and an online softmax per query head; nothing else is clever.
//!
//! [`attend`] takes all of K and V at once; [`Pieces`] takes them piece by piece, where they are longer than memory.

mod pieces;
mod shape;
mod vectors;

pub use pieces::Pieces;
pub use shape::ShapeError;

use shape::{below, check};
use vectors::{decode, dot, query};

use crate::Dtype;

/// Which axis of K and V comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `[kv_heads, tokens, dim]`, as in trace files.
    HeadsMajor,
    /// `[tokens, kv_heads, dim]`, as in the daemon.
    TokensMajor,
}

/// K and V of one layer, little-endian.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// `kv_heads * tokens * head_dim` elements.
    pub k: &'a [u8],
    /// `kv_heads * tokens * value_dim` elements.
    pub v: &'a [u8],
    /// Element type of both.
    pub dtype: Dtype,
    /// Axis order of both.
    pub order: Order,
    /// Tokens stored.
    pub tokens: usize,
    /// KV heads.
    pub kv_heads: usize,
    /// Elements of a key.
    pub head_dim: usize,
    /// Elements of a value.
    pub value_dim: usize,
}

/// The queries of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[queries, q_heads, head_dim]`, not yet scaled.
    pub q: &'a [f32],
    /// Of each query: it sees the tokens up to and with this one.
    pub positions: &'a [u32],
    /// Query heads; head `h` uses KV head `h / (q_heads / kv_heads)`.
    pub q_heads: usize,
    /// Scores are `scale * q.k`.
    pub scale: f64,
    /// 0: every earlier token. n > 0: the last n tokens, the query's own included.
    pub sliding_window: u32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    /// `[queries, q_heads, value_dim]`.
    pub out: Vec<f64>,
    /// Log-sum-exp of the scores, `[queries, q_heads]`.
    pub lse: Vec<f64>,
}

/// Exact attention of every query and head, in f64, on all cores.
///
/// # Errors
/// When a length does not fit the shapes, or a position is not among the stored tokens.
pub fn attend(stored: &Stored<'_>, queries: &Queries<'_>) -> Result<Exact, ShapeError> {
    check(stored, queries)?;
    let mut pieces = Pieces::new(
        *queries,
        [stored.kv_heads, stored.head_dim, stored.value_dim],
    )?;
    pieces.add(stored)?;
    pieces.finish()
}

/// The attention weights of one query row and head over the tokens `0..=position`; they sum to 1.
///
/// # Errors
/// As [`attend`], and when `row` or `q_head` is not among the queries.
pub fn weights(
    stored: &Stored<'_>,
    queries: &Queries<'_>,
    row: usize,
    q_head: usize,
) -> Result<Vec<f64>, ShapeError> {
    check(stored, queries)?;
    below("row", row, queries.positions.len())?;
    below("q_head", q_head, queries.q_heads)?;
    let q = query(queries, stored.head_dim, row, q_head);
    let visible = visible(queries, row);
    let head = q_head / (queries.q_heads / stored.kv_heads);
    let mut weights = vec![f64::NEG_INFINITY; visible.end];
    for token in visible {
        let key = decode(stored.k, stored, head, token..token + 1, stored.head_dim);
        weights[token] = queries.scale * dot(&q, &key);
    }
    let max = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for weight in &mut weights {
        *weight = (*weight - max).exp();
    }
    let sum: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= sum;
    }
    Ok(weights)
}

/// The tokens that a query row sees.
fn visible(queries: &Queries<'_>, row: usize) -> std::ops::Range<usize> {
    let end = queries.positions[row] as usize + 1;
    match queries.sliding_window as usize {
        0 => 0..end,
        window => end.saturating_sub(window)..end,
    }
}
