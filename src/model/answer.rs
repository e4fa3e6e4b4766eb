//! What a query gives back.

use crate::model::Audit;

/// An attention output over a subset of tokens with its log-sum-exp. Partials of disjoint subsets merge exactly:
/// `lse = logsumexp(lse_a, lse_b)`, `out = exp(lse_a - lse) out_a + exp(lse_b - lse) out_b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// `[tokens, q_heads, value_dim]`; zeros where `lse` is negative infinity.
    pub out: Vec<f32>,
    /// `[tokens, q_heads]`.
    pub lse: Vec<f32>,
}

/// What an answer cost and how good it is believed to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// `[tokens, q_heads]`: share of the attention mass that was computed exactly, 0 to 1.
    pub exact_mass: Vec<f32>,
    /// `[tokens, q_heads]`: estimated `|out - exact| / |exact|`.
    pub error_estimate: Vec<f32>,
    /// The tokens of each zone and the bytes read.
    pub cost: Cost,
    /// Its measured error, when that was asked for.
    pub audit: Option<Audit>,
}

/// Tokens and bytes, summed over query tokens and KV heads. The zones are disjoint, and together they are the visible
/// tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Sink, recent window, tail, and clusters that are only partly visible: computed exactly.
    pub steady_tokens: u64,
    /// Chosen clusters, and chosen tokens of coded ones: computed exactly.
    pub retrieved_tokens: u64,
    /// Tokens of coded clusters: weighed by the codes of their keys, with values from their codes or the cluster's mean.
    pub coded_tokens: u64,
    /// Clusters whose contribution was estimated.
    pub estimated_tokens: u64,
    /// Clusters left out altogether.
    pub ignored_tokens: u64,
    /// K, V, codes and meta index as the kernels read them.
    pub bytes_read: u64,
    /// K and V of every visible token.
    pub full_bytes: u64,
}

impl Cost {
    /// The tokens that the query could see.
    pub fn visible_tokens(&self) -> u64 {
        self.steady_tokens
            + self.retrieved_tokens
            + self.coded_tokens
            + self.estimated_tokens
            + self.ignored_tokens
    }

    /// The cost of two answers together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            steady_tokens: self.steady_tokens + other.steady_tokens,
            retrieved_tokens: self.retrieved_tokens + other.retrieved_tokens,
            coded_tokens: self.coded_tokens + other.coded_tokens,
            estimated_tokens: self.estimated_tokens + other.estimated_tokens,
            ignored_tokens: self.ignored_tokens + other.ignored_tokens,
            bytes_read: self.bytes_read + other.bytes_read,
            full_bytes: self.full_bytes + other.full_bytes,
        }
    }
}
