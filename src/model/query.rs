//! What is put in and what is asked, one layer of one collection at a time.

use std::fmt;

use bytes::Bytes;

use crate::model::{ClusterId, KvHead, Mode, SegmentId, TokenRange};

/// K and V to append to a layer, in the collection's dtype, little-endian.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// Position of the first.
    pub start: u32,
    /// How many.
    pub tokens: u32,
    /// `[tokens, kv_heads, head_dim]`.
    pub keys: Bytes,
    /// `[tokens, kv_heads, value_dim]`.
    pub values: Bytes,
}

impl NewTokens {
    /// Their positions. The door has checked that these fit.
    pub fn range(&self) -> TokenRange {
        TokenRange::new(self.start, self.start.saturating_add(self.tokens))
    }
}

/// Query tokens for one layer.
#[derive(Clone, Debug)]
pub struct AttendQuery {
    /// `[tokens, q_heads, head_dim]`, finite, not scaled.
    pub queries: Vec<f32>,
    /// Position of each query token; `None` for the layer's last tokens in order.
    pub positions: Option<Vec<u32>>,
    /// How much is computed exactly.
    pub mode: Mode,
    /// Whether the error of the answer is to be measured.
    pub audit: bool,
}

/// One query token that ranks or estimates clusters.
#[derive(Clone, Debug)]
pub struct ClusterQuery {
    /// `[q_heads, head_dim]`, finite, not scaled.
    pub queries: Vec<f32>,
    /// Position of the query token; `None` for the layer's last.
    pub position: Option<u32>,
}

/// Names one cluster of one KV head of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterAddress {
    /// Its segment.
    pub segment: SegmentId,
    /// Its head.
    pub head: KvHead,
    /// Its place within the segment and head.
    pub cluster: ClusterId,
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            head,
            cluster,
        } = self;
        write!(f, "segment {segment}, kv_head {head}, cluster {cluster}")
    }
}
