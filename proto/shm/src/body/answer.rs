//! What is answered: for each entry, in their order, its outcome or its failure. The meaning of every field is that of the
//! message of the same name in `proto/wavekv/v1/data.proto`.

use super::field::record;
use super::request::Tensor;
use crate::layout::Region;

/// The body of an answer to a batch.
pub type Answers<T> = Vec<Result<T, Failure>>;

record! {
    /// Why an entry, or a whole call, has no outcome.
    pub struct Failure {
        /// A gRPC status code.
        pub code: u32,
        /// A sentence.
        pub message: String,
    }

    /// What a collection is.
    pub struct Opened {
        /// That bears the name now.
        pub generation: u64,
        /// How many.
        pub layers: u32,
        /// Of Q.
        pub q_heads: u32,
        /// Of K and V.
        pub kv_heads: u32,
        /// Of K and Q.
        pub head_dim: u32,
        /// Of V and the output.
        pub value_dim: u32,
        /// Of K and V.
        pub dtype: u32,
        /// Of the scores.
        pub scale: f32,
    }

    /// An accepted insert.
    pub struct Inserted {
        /// Of the collection.
        pub generation: u64,
        /// Of the layer, afterwards.
        pub length: u32,
        /// Tokens that were stored before and were the same.
        pub already_stored: u32,
    }

    /// Tokens `[start, end)`.
    pub struct Range {
        /// The first.
        pub start: u32,
        /// After the last.
        pub end: u32,
    }

    /// A clustered layer.
    pub struct Clustered {
        /// Of the collection.
        pub generation: u64,
        /// Of the layer.
        pub segments: u32,
        /// Over all KV heads.
        pub clusters: u32,
        /// What no cluster holds.
        pub steady: Vec<Range>,
    }

    /// The tokens of a cluster.
    pub struct Payload {
        /// Of the tokens.
        pub positions: Vec<u32>,
        /// `[tokens, head_dim]`.
        pub k: Region,
        /// `[tokens, value_dim]`.
        pub v: Region,
    }

    /// A cluster in a ranking.
    pub struct RankedCluster {
        /// Its segment.
        pub segment: u64,
        /// Its number.
        pub cluster: u32,
        /// The largest of the group's query heads.
        pub score: f32,
        /// In it.
        pub tokens: u32,
        /// Estimated share of the mass of the clusters.
        pub mass: f32,
        /// 1 (RAM) or 2 (disk).
        pub tier: u32,
        /// Where it was asked for.
        pub payload: Option<Payload>,
    }

    /// The ranking of a KV head.
    pub struct RankedHead {
        /// Which.
        pub kv_head: u32,
        /// Best first.
        pub clusters: Vec<RankedCluster>,
    }

    /// The ranking of a layer.
    pub struct Ranked {
        /// Of the collection.
        pub generation: u64,
        /// Of the payloads: 1 (bf16), 2 (f16) or 3 (f32).
        pub dtype: u32,
        /// Of the payloads' K.
        pub head_dim: u32,
        /// Of the payloads' V.
        pub value_dim: u32,
        /// All of them.
        pub heads: Vec<RankedHead>,
        /// What no cluster holds.
        pub steady: Vec<Range>,
    }

    /// The estimation zone.
    pub struct Estimated {
        /// Of the collection.
        pub generation: u64,
        /// `[1, q_heads, value_dim]` f32.
        pub out: Tensor,
        /// `[1, q_heads]` f32.
        pub lse: Tensor,
    }

    /// The measured error of an answer.
    pub struct Audit {
        /// Root mean square.
        pub error: f32,
        /// Of its 95 % confidence interval.
        pub error_low: f32,
        /// Of its 95 % confidence interval.
        pub error_high: f32,
        /// Drawn and computed.
        pub drawn_clusters: u64,
        /// Drawn and computed.
        pub computed_tokens: u64,
        /// By the audit alone.
        pub bytes_read: u64,
    }

    /// What an answer cost and how good it is believed to be.
    pub struct Report {
        /// `[tokens, q_heads]` f32.
        pub exact_mass: Region,
        /// `[tokens, q_heads]` f32.
        pub error_estimate: Region,
        /// Over query tokens and KV heads.
        pub visible_tokens: u64,
        /// Computed exactly, whatever the mode.
        pub steady_tokens: u64,
        /// Chosen and computed exactly.
        pub retrieved_tokens: u64,
        /// Weighed by codes.
        pub coded_tokens: u64,
        /// Estimated.
        pub estimated_tokens: u64,
        /// Left out.
        pub ignored_tokens: u64,
        /// By the kernels.
        pub bytes_read: u64,
        /// Of K and V of every visible token.
        pub full_bytes: u64,
        /// Where it was asked for.
        pub audit: Option<Audit>,
    }

    /// Attention.
    pub struct Attended {
        /// Of the collection.
        pub generation: u64,
        /// Of the layer, after the insert.
        pub length: u32,
        /// `[tokens, q_heads, value_dim]` f32.
        pub out: Tensor,
        /// `[tokens, q_heads]` f32.
        pub lse: Tensor,
        /// Of this answer.
        pub report: Report,
    }

    /// Stored tokens.
    pub struct Fetched {
        /// Of the collection.
        pub generation: u64,
        /// Of the tokens.
        pub positions: Vec<u32>,
        /// `[tokens, heads, head_dim]`.
        pub k: Tensor,
        /// `[tokens, heads, value_dim]`.
        pub v: Tensor,
    }
}
