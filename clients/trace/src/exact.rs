//! Exact attention in f64 over raw bytes: the oracle. Plain on purpose: tokens in blocks, so that K and V are decoded
//! once for many queries, and an online softmax per query head; nothing else is clever.

use rayon::prelude::*;

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

/// Arguments that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, expected {expected}")]
pub struct ShapeError {
    /// What is wrong.
    pub field: &'static str,
    /// Its value: a length in elements or bytes, or a position.
    pub found: u64,
    /// What it should be.
    pub expected: String,
}

/// Tokens decoded at a time: K and V of a block stay in the L2 cache.
const BLOCK_TOKENS: usize = 64;
/// Queries that share one pass over K and V.
const QUERY_ROWS: usize = 16;

/// Exact attention of every query and head, in f64, on all cores.
///
/// # Errors
/// When a length does not fit the shapes, or a position is not among the stored tokens.
pub fn attend(stored: &Stored<'_>, queries: &Queries<'_>) -> Result<Exact, ShapeError> {
    check(stored, queries)?;
    let rows = queries.positions.len();
    let units: Vec<(usize, usize)> = (0..rows)
        .step_by(QUERY_ROWS)
        .flat_map(|row| (0..stored.kv_heads).map(move |head| (row, head)))
        .collect();
    let states: Vec<(usize, usize, Vec<Softmax>)> = units
        .into_par_iter()
        .map(|(row, head)| (row, head, unit(stored, queries, row, head)))
        .collect();

    let group = queries.q_heads / stored.kv_heads;
    let mut exact = Exact {
        out: vec![0.0; rows * queries.q_heads * stored.value_dim],
        lse: vec![f64::NEG_INFINITY; rows * queries.q_heads],
    };
    for (row, head, softmaxes) in states {
        for (index, softmax) in softmaxes.into_iter().enumerate() {
            let at = (row + index / group) * queries.q_heads + head * group + index % group;
            exact.lse[at] = softmax.max + softmax.sum.ln();
            let out = &mut exact.out[at * stored.value_dim..(at + 1) * stored.value_dim];
            for (out, weighted) in out.iter_mut().zip(softmax.weighted) {
                *out = weighted / softmax.sum;
            }
        }
    }
    Ok(exact)
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
    let q = query(stored, queries, row, q_head);
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

/// A running softmax-weighted sum of values.
#[derive(Debug, Clone)]
struct Softmax {
    max: f64,
    sum: f64,
    weighted: Vec<f64>,
}

impl Softmax {
    /// Adds one value with its score.
    fn add(&mut self, score: f64, value: &[f64]) {
        if score > self.max {
            let shrink = (self.max - score).exp();
            self.sum *= shrink;
            for x in &mut self.weighted {
                *x *= shrink;
            }
            self.max = score;
        }
        let weight = (score - self.max).exp();
        self.sum += weight;
        for (sum, x) in self.weighted.iter_mut().zip(value) {
            *sum += weight * x;
        }
    }
}

/// The queries of one KV head, from `row` on: a softmax per row and head of the group.
fn unit(stored: &Stored<'_>, queries: &Queries<'_>, row: usize, head: usize) -> Vec<Softmax> {
    let group = queries.q_heads / stored.kv_heads;
    let rows = row..queries.positions.len().min(row + QUERY_ROWS);
    let asked: Vec<Vec<f64>> = rows
        .clone()
        .flat_map(|row| (0..group).map(move |g| query(stored, queries, row, head * group + g)))
        .collect();
    let sees: Vec<_> = rows.map(|row| visible(queries, row)).collect();
    let empty = Softmax {
        max: f64::NEG_INFINITY,
        sum: 0.0,
        weighted: vec![0.0; stored.value_dim],
    };
    let mut softmaxes = vec![empty; asked.len()];
    let first = sees.iter().map(|range| range.start).min().unwrap_or(0);
    let end = sees.iter().map(|range| range.end).max().unwrap_or(0);
    for start in (first..end).step_by(BLOCK_TOKENS) {
        let block = start..end.min(start + BLOCK_TOKENS);
        let keys = decode(stored.k, stored, head, block.clone(), stored.head_dim);
        let values = decode(stored.v, stored, head, block.clone(), stored.value_dim);
        let rows = keys
            .chunks_exact(stored.head_dim)
            .zip(values.chunks_exact(stored.value_dim));
        for (token, (key, value)) in block.zip(rows) {
            for (index, softmax) in softmaxes.iter_mut().enumerate() {
                if sees[index / group].contains(&token) {
                    softmax.add(queries.scale * dot(&asked[index], key), value);
                }
            }
        }
    }
    softmaxes
}

/// The tokens that a query row sees.
fn visible(queries: &Queries<'_>, row: usize) -> std::ops::Range<usize> {
    let end = queries.positions[row] as usize + 1;
    match queries.sliding_window as usize {
        0 => 0..end,
        window => end.saturating_sub(window)..end,
    }
}

fn query(stored: &Stored<'_>, queries: &Queries<'_>, row: usize, q_head: usize) -> Vec<f64> {
    let start = (row * queries.q_heads + q_head) * stored.head_dim;
    queries.q[start..start + stored.head_dim]
        .iter()
        .map(|&x| f64::from(x))
        .collect()
}

/// The vectors of the tokens of `range` of one head, `[tokens, dim]`.
fn decode(
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
fn dot(a: &[f64], b: &[f64]) -> f64 {
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

fn check(stored: &Stored<'_>, queries: &Queries<'_>) -> Result<(), ShapeError> {
    let size = stored.dtype.size();
    for (field, number) in [
        ("kv_heads", stored.kv_heads),
        ("head_dim", stored.head_dim),
        ("value_dim", stored.value_dim),
        ("q_heads", queries.q_heads),
    ] {
        if number == 0 {
            return Err(ShapeError {
                field,
                found: 0,
                expected: "at least 1".into(),
            });
        }
    }
    if !queries.q_heads.is_multiple_of(stored.kv_heads) {
        let expected = format!("a multiple of {} KV heads", stored.kv_heads);
        return Err(ShapeError {
            field: "q_heads",
            found: queries.q_heads as u64,
            expected,
        });
    }
    length(
        "k bytes",
        stored.k.len(),
        &[stored.kv_heads, stored.tokens, stored.head_dim, size],
    )?;
    length(
        "v bytes",
        stored.v.len(),
        &[stored.kv_heads, stored.tokens, stored.value_dim, size],
    )?;
    let rows = queries.positions.len();
    length(
        "q elements",
        queries.q.len(),
        &[rows, queries.q_heads, stored.head_dim],
    )?;
    queries
        .positions
        .iter()
        .try_for_each(|&p| below("position", p as usize, stored.tokens))
}

fn length(field: &'static str, found: usize, factors: &[usize]) -> Result<(), ShapeError> {
    let expected = factors
        .iter()
        .try_fold(1_usize, |product, &factor| product.checked_mul(factor));
    if expected == Some(found) {
        return Ok(());
    }
    let product: Vec<String> = factors.iter().map(usize::to_string).collect();
    Err(ShapeError {
        field,
        found: found as u64,
        expected: product.join(" * "),
    })
}

fn below(field: &'static str, found: usize, limit: usize) -> Result<(), ShapeError> {
    if found < limit {
        return Ok(());
    }
    Err(ShapeError {
        field,
        found: found as u64,
        expected: format!("below {limit}"),
    })
}
