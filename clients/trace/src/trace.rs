//! A trace: K and V of some layers of one sequence, and the queries that were asked of them.

use std::ops::Range;

use bytes::Bytes;

use crate::{Dtype, Geometry, Plane, exact};

/// Queries at the end of a trace that follow each other, as in decode.
const LAST_QUERIES: usize = 64;

/// Of `rows` query rows, those that follow each other at the end.
pub(crate) fn last_queries(rows: usize) -> Range<usize> {
    rows - rows.min(LAST_QUERIES)..rows
}

/// K, V and queries of a sequence. Query head `h` uses KV head `h / (q_heads / kv_heads)`.
///
/// The numbers agree with each other in a trace that was loaded or generated; [`Trace::save`] checks them again.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Name of the model, or of the generator.
    pub model: String,
    /// Name of the text that it read.
    pub text: String,
    /// Tokens of every layer.
    pub tokens: usize,
    /// Query heads, a multiple of `kv_heads`.
    pub q_heads: usize,
    /// KV heads.
    pub kv_heads: usize,
    /// Elements of a key and of a query.
    pub head_dim: usize,
    /// Elements of a value.
    pub value_dim: usize,
    /// Scores are `scale * q.k`.
    pub scale: f32,
    /// Element type of K and V in every layer.
    pub dtype: Dtype,
    /// Position of each query row, ascending; it sees the keys up to and with its own.
    pub q_positions: Vec<u32>,
    /// The text's tokens; in a generated trace, their topics.
    pub token_ids: Vec<i32>,
    /// The captured layers, ascending by number.
    pub layers: Vec<Layer>,
    /// Facts hidden in a recorded text, as its file describes them (JSON).
    pub needles: String,
    /// Needles of a generated trace.
    pub planted: Vec<Planted>,
}

/// One captured layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its number in the model.
    pub number: u32,
    /// `[kv_heads, tokens, head_dim]`.
    pub k: Plane,
    /// `[kv_heads, tokens, value_dim]`.
    pub v: Plane,
    /// `[queries, q_heads, head_dim]` f16, not yet scaled.
    pub q: Bytes,
}

/// A token whose key answers one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// Of the token.
    pub position: u32,
    /// Row of the query in `q_positions`.
    pub query: usize,
}

impl Trace {
    /// Heads, dims and scale.
    pub fn geometry(&self) -> Geometry {
        Geometry {
            q_heads: self.q_heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
            dtype: self.dtype,
            scale: self.scale,
        }
    }

    /// Query heads that share a KV head.
    pub fn group(&self) -> usize {
        self.geometry().group()
    }

    /// Rows of the queries at the end, which follow each other: at most 64.
    pub fn last_queries(&self) -> Range<usize> {
        last_queries(self.q_positions.len())
    }

    /// Rows of the queries before [`Trace::last_queries`], spread over the second half of the tokens.
    pub fn spread_queries(&self) -> Range<usize> {
        0..self.last_queries().start
    }

    /// Bytes of K and V of all layers.
    pub fn payload_bytes(&self) -> u64 {
        self.layers
            .iter()
            .map(|layer| (layer.k.data().len() + layer.v.data().len()) as u64)
            .sum()
    }

    /// K and V of `layer` as the oracle takes them.
    pub fn stored<'a>(&self, layer: &'a Layer) -> exact::Stored<'a> {
        exact::Stored {
            k: layer.k.data(),
            v: layer.v.data(),
            dtype: self.dtype,
            order: exact::Order::HeadsMajor,
            tokens: self.tokens,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
        }
    }

    /// Exact attention of the query rows `rows` of `layer`; see [`exact::attend`].
    ///
    /// # Errors
    /// When the trace's numbers do not agree with its tensors, or `rows` is not among the queries.
    pub fn attend(
        &self,
        layer: &Layer,
        rows: Range<usize>,
    ) -> Result<exact::Exact, exact::ShapeError> {
        let positions = self
            .q_positions
            .get(rows.clone())
            .ok_or_else(|| exact::ShapeError {
                field: "rows",
                found: rows.end as u64,
                expected: format!("at most {}", self.q_positions.len()),
            })?;
        exact::attend(
            &self.stored(layer),
            &exact::Queries {
                q: &layer.queries(rows, self.q_heads * self.head_dim),
                positions,
                q_heads: self.q_heads,
                scale: f64::from(self.scale),
                sliding_window: 0,
            },
        )
    }
}

impl Layer {
    /// Query rows as f32, `[rows, q_heads, head_dim]`, where `row_elements` is `q_heads * head_dim`.
    /// What of `rows` lies beyond the queries is left out.
    pub fn queries(&self, rows: Range<usize>, row_elements: usize) -> Vec<f32> {
        let row = row_elements * Dtype::F16.size();
        let end = (rows.end * row).min(self.q.len());
        let start = (rows.start * row).min(end);
        Dtype::F16.decode(&self.q[start..end])
    }

    /// K of the tokens of `range`, `[tokens, kv_heads, head_dim]`; see [`Plane::tokens_major`].
    pub fn tokens_major_k(&self, range: Range<usize>) -> Vec<u8> {
        self.k.tokens_major(range)
    }

    /// V of the tokens of `range`, `[tokens, kv_heads, value_dim]`; see [`Plane::tokens_major`].
    pub fn tokens_major_v(&self, range: Range<usize>) -> Vec<u8> {
        self.v.tokens_major(range)
    }
}
