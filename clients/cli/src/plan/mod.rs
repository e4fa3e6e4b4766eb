//! What a KV cache of a shape needs of a daemon, on paper: arithmetic over what the daemon stores of a token and of a cluster.
//!
//! Must not know a daemon: `verbs/capacity` measures whether it is true.

pub(crate) mod models;

use serde::Serialize;
use wavekv_trace::Dtype;

use models::{Attention, Model};

/// Tokens of a cluster on average, and tokens of a layer that no segment has while a sequence grows: sink, window, and what
/// one segment of decoding has. The daemon's defaults.
const CLUSTER_TOKENS: u64 = 16;
const TAIL_TOKENS: u64 = 4 + 64 + 1024;
/// What stays in memory of a clustered token and KV head beside the index of its cluster: its position, and the scales of its
/// codes.
const TOKEN_BYTES: u64 = 4 + 2 * 2;
/// The same of a cluster, beside a byte for each element of its centroid and of its mean value: two places, two bounds, five
/// numbers.
const CLUSTER_BYTES: u64 = 2 * 4 + 2 * 4 + 5 * 4;
/// Elements of a key or a value share 16 bytes of codes.
const CODED_ELEMENTS: u64 = 32;
const CODED_BYTES: u64 = 16;
/// The share of the bytes of an exact answer that a default one reads of contexts of 8K tokens and more, as measured on traces
/// and generated contexts (benches/results): 6 to 8.4 %.
pub(crate) const DEFAULT_SHARE: f64 = 0.08;

/// Whose KV cache, how it looks, how long it is, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Shape {
    /// Where it is a known one's.
    pub(crate) model: Option<Model>,
    #[serde(flatten)]
    pub(crate) attention: Attention,
    /// Element type of K and V.
    #[serde(serialize_with = "as_text")]
    pub(crate) dtype: Dtype,
    /// Of each sequence.
    pub(crate) tokens: usize,
    pub(crate) sequences: usize,
}

/// What that needs, in bytes; of all sequences where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "each is a number of bytes, and says so in JSON too"
)]
pub(crate) struct Plan {
    /// K and V as the engine has them.
    pub(crate) payload_bytes: u64,
    /// Low-precision codes of K and V.
    pub(crate) code_bytes: u64,
    /// What stays in memory: the index of clusters, positions, scales.
    pub(crate) index_bytes: u64,
    /// K and V of tokens that no segment has yet, in memory.
    pub(crate) tail_bytes: u64,
    /// Of all segments on disk.
    pub(crate) disk_bytes: u64,
    /// Less memory than that does not hold the sequences.
    pub(crate) least_memory_bytes: u64,
    /// With that, nothing is ever read from disk.
    pub(crate) all_memory_bytes: u64,
    /// What one decode step of one sequence reads of the K and V that it sees, exactly.
    pub(crate) step_bytes: u64,
}

impl Shape {
    /// K and V of a token of one layer, bytes.
    pub(crate) fn token_bytes(&self) -> u64 {
        let of = &self.attention;
        let elements = of.kv_heads * (of.head_dim + of.value_dim);
        (elements * self.dtype.size()) as u64
    }

    /// What it needs.
    pub(crate) fn plan(&self) -> Plan {
        let of = &self.attention;
        let of_all = (of.layers * self.sequences) as u64;
        let tokens = self.tokens as u64;
        let heads = of.kv_heads as u64;
        let [key, value] = [of.head_dim, of.value_dim].map(|dim| dim as u64);
        let coded = |dim: u64| dim.div_ceil(CODED_ELEMENTS) * CODED_BYTES;
        let payload_bytes = of_all * tokens * self.token_bytes();
        let code_bytes = of_all * tokens * heads * (coded(key) + coded(value));
        let clusters = tokens.div_ceil(CLUSTER_TOKENS);
        let index_bytes =
            of_all * heads * (tokens * TOKEN_BYTES + clusters * (CLUSTER_BYTES + key + value));
        let tail_bytes = of_all * tokens.min(TAIL_TOKENS) * self.token_bytes();
        let disk_bytes = payload_bytes + code_bytes + index_bytes;
        let seen = tokens.min(of.window as u64);
        let step_tokens =
            (of.layers - of.windowed_layers) as u64 * tokens + of.windowed_layers as u64 * seen;
        Plan {
            payload_bytes,
            code_bytes,
            index_bytes,
            tail_bytes,
            disk_bytes,
            least_memory_bytes: index_bytes + tail_bytes,
            all_memory_bytes: disk_bytes + tail_bytes,
            step_bytes: step_tokens * self.token_bytes(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn as_text<S: serde::Serializer>(dtype: &Dtype, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a model with 2-byte elements.
    pub(crate) fn shape(name: &str, tokens: usize) -> Shape {
        let model = models::named(name).unwrap();
        Shape {
            model: Some(*model),
            attention: model.attention,
            dtype: Dtype::Bf16,
            tokens,
            sequences: 1,
        }
    }

    #[test]
    fn a_plan_is_what_the_models_are_known_to_need() {
        // 128 KiB a token, 16 GiB of 128K tokens.
        let llama = shape("llama-3.1-8b", 131_072);
        assert_eq!(llama.token_bytes() * 32, 128 << 10);
        let plan = llama.plan();
        assert_eq!((plan.payload_bytes, plan.step_bytes), (16 << 30, 16 << 30));
        let share = |bytes: u64| bytes as f64 / plan.payload_bytes as f64;
        assert!((share(plan.code_bytes) - 0.25).abs() < 1e-9);
        assert!((share(plan.index_bytes) - 0.0513).abs() < 1e-3, "{plan:?}");
        assert_eq!(
            plan.disk_bytes,
            plan.payload_bytes + plan.code_bytes + plan.index_bytes
        );
        // 61 x (576 + 512) x 2 bytes. An engine that knows that the value is the first 512 of the key stores 70272.
        assert_eq!(shape("deepseek-v3", 1).token_bytes() * 61, 132_736);
    }

    #[test]
    fn windows_are_stored_but_not_read() {
        let gemma = shape("gemma-3-27b", 131_072);
        let plan = gemma.plan();
        let read = 10 * 131_072 + 52 * 1024;
        assert_eq!(plan.step_bytes, read * gemma.token_bytes());
        assert_eq!(plan.payload_bytes, 62 * 131_072 * gemma.token_bytes());
    }

    #[test]
    fn sequences_and_layers_multiply() {
        let one = shape("llama-3.2-1b", 10_000);
        let many = Shape {
            sequences: 8,
            ..one
        };
        let (one, many) = (one.plan(), many.plan());
        assert_eq!(many.least_memory_bytes, 8 * one.least_memory_bytes);
        assert_eq!(many.step_bytes, one.step_bytes);
    }
}
