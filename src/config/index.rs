//! How an index is built by default. The ranges are those of `IndexParameters` in the contract.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// TOML's integers are signed.
const MAX_SEED: u64 = i64::MAX.cast_unsigned();

/// Table `[index]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct IndexSettings {
    /// What finds the tokens that matter: "wave", "flat" (nothing: all are read), or, of a build with FAISS, "ivf" or
    /// "hnsw".
    #[toml_example(enum)]
    pub kind: IndexKind,

    /// First tokens, always computed exactly and never clustered: 0 to 1024.
    pub sink_tokens: u32,

    /// Last tokens, always computed exactly and not clustered: 0 to 8192.
    pub recent_tokens: u32,

    /// Tokens of a full segment of wave: 64 to 65536, a multiple of `decode_segment_tokens`. Of ivf and hnsw it is 65536,
    /// unless the creator says otherwise.
    pub segment_tokens: u32,

    /// Tokens of a segment of wave sealed during decode, later merged into a full one: 16 to `segment_tokens`. Of ivf and
    /// hnsw it is 4096.
    pub decode_segment_tokens: u32,

    /// Tokens of a cluster of wave on average: 2 to 64.
    pub cluster_tokens: u32,

    /// Passes of k-means at each of its first two stages: 1 to 64. Of wave and ivf.
    pub kmeans_iterations: u32,

    /// Seed of the k-means: 0 to 9223372036854775807. The same tokens and seed give the same clusters.
    pub seed: u64,
}

/// The kinds of index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// Clusters with statistics.
    #[default]
    Wave,
    /// None.
    Flat,
    /// FAISS inverted lists.
    Ivf,
    /// A FAISS graph.
    Hnsw,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            kind: IndexKind::Wave,
            sink_tokens: 4,
            recent_tokens: 64,
            segment_tokens: 8192,
            decode_segment_tokens: 1024,
            cluster_tokens: 16,
            kmeans_iterations: 6,
            seed: 0,
        }
    }
}

impl IndexSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("index.sink_tokens", self.sink_tokens, &(0..=1024));
        checks.range("index.recent_tokens", self.recent_tokens, &(0..=8192));
        checks.range("index.segment_tokens", self.segment_tokens, &(64..=65536));
        checks.range(
            "index.decode_segment_tokens",
            self.decode_segment_tokens,
            &(16..=self.segment_tokens.max(16)),
        );
        checks.require(
            self.segment_tokens
                .checked_rem(self.decode_segment_tokens)
                .is_none_or(|rest| rest == 0),
            "index.segment_tokens",
            self.segment_tokens,
            format_args!(
                "a multiple of index.decode_segment_tokens, {}",
                self.decode_segment_tokens
            ),
        );
        checks.range("index.cluster_tokens", self.cluster_tokens, &(2..=64));
        checks.range("index.kmeans_iterations", self.kmeans_iterations, &(1..=64));
        checks.range("index.seed", self.seed, &(0..=MAX_SEED));
    }
}
