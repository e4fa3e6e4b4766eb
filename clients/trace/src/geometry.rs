//! What the vectors of a trace are.

use crate::Dtype;

/// Heads, dims and scale of every layer. Query head `h` uses KV head `h / group`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// Query heads, a multiple of `kv_heads`.
    pub q_heads: usize,
    /// KV heads.
    pub kv_heads: usize,
    /// Elements of a key and of a query.
    pub head_dim: usize,
    /// Elements of a value.
    pub value_dim: usize,
    /// Element type of K and V.
    pub dtype: Dtype,
    /// Scores are `scale * q.k`.
    pub scale: f32,
}

impl Geometry {
    /// Query heads that share a KV head.
    pub fn group(&self) -> usize {
        self.q_heads / self.kv_heads.max(1)
    }

    /// Bytes of the K and V of one token in one layer.
    pub fn token_bytes(&self) -> usize {
        self.kv_heads * (self.head_dim + self.value_dim) * self.dtype.size()
    }
}
