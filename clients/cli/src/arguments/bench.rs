//! The flags of `wavekv bench`.

use std::path::PathBuf;

use clap::Args;
use wavekv_client::Mode;
use wavekv_trace::Dtype;

use super::IndexKind;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Trace files (safetensors) to measure beside the generated contexts
    #[arg(value_name = "TRACE", required_if_eq("traces_only", "true"))]
    pub(crate) traces: Vec<PathBuf>,
    /// Where bench.md, bench.svg and bench.json go; made when there is none
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Lengths of the generated contexts, one layer each
    #[arg(long, value_delimiter = ',', default_values_t = [8192, 32_768, 131_072])]
    pub(crate) tokens: Vec<usize>,
    /// No generated contexts
    #[arg(long, conflicts_with = "tokens")]
    pub(crate) traces_only: bool,
    /// KV heads of the generated layer
    #[arg(long, default_value_t = 8)]
    pub(crate) kv_heads: usize,
    /// Query heads of a KV head
    #[arg(long, default_value_t = 4)]
    pub(crate) group: usize,
    /// Elements of a key
    #[arg(long, default_value_t = 128)]
    pub(crate) head_dim: usize,
    /// Elements of a value [default: those of a key]
    #[arg(long)]
    pub(crate) value_dim: Option<usize>,
    /// Element type of K and V: bf16, f16 or f32
    #[arg(long, default_value_t = Dtype::Bf16)]
    pub(crate) dtype: Dtype,
    /// Of the generated contexts
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Tokens that answer one of the last 64 queries each
    #[arg(long, default_value_t = 8)]
    pub(crate) needles: usize,
    /// exact (always measured), retroinfer, budget:SHARE, budget:SHARE:ESTIMATED or adaptive:TARGET; may be repeated
    /// [default: exact, retroinfer, adaptive:0.2, adaptive:0.1, adaptive:0.05, adaptive:0.02, adaptive:0.01]
    #[arg(long = "mode")]
    pub(crate) modes: Vec<Mode>,
    /// Kinds of index that the same is asked of: wave (always measured), flat, ivf or hnsw; may be repeated
    #[arg(long = "index", value_enum)]
    pub(crate) indexes: Vec<IndexKind>,
    /// Timed calls of each mode and context, each of one query token
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) queries: u32,
    /// Queries of each layer whose answers are compared with exact attention in f64: at most 64
    #[arg(long, default_value_t = 16)]
    pub(crate) checked: u32,
    /// Calls of each mode before those that are timed
    #[arg(long, default_value_t = 3)]
    pub(crate) warm_up: u32,
    /// What others need for the same work, as benches/peers writes it, into the page and the plots; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) peers: Vec<PathBuf>,
}
