//! The flags of `wavekv capacity`.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use clap::builder::PossibleValuesParser;
use wavekv_trace::Dtype;

use crate::plan::models::MODELS;

#[derive(Debug, Args)]
pub(crate) struct Capacity {
    /// A well-known model, which the flags for the geometry may contradict
    #[arg(value_parser = PossibleValuesParser::new(MODELS.map(|model| model.name)), value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Layers [default: the model's, or 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) layers: Option<u32>,
    /// KV heads of a layer [default: the model's, or 8]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) kv_heads: Option<u32>,
    /// Query heads of a KV head [default: the model's, or 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) group: Option<u32>,
    /// Elements of a key [default: the model's, or 128]
    #[arg(long, value_parser = clap::value_parser!(u32).range(16..=576))]
    pub(crate) head_dim: Option<u32>,
    /// Elements of a value [default: the model's, or those of a key]
    #[arg(long, value_parser = clap::value_parser!(u32).range(16..=576))]
    pub(crate) value_dim: Option<u32>,
    /// Element type of K and V: bf16, f16 or f32
    #[arg(long, default_value_t = Dtype::Bf16)]
    pub(crate) dtype: Dtype,
    /// Of each sequence [default: the longest context of the model, or 131072]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) tokens: Option<u32>,
    /// Sequences at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) sequences: u32,
    /// Memory of the daemon: its `memory.budget`, as in 2GiB
    #[arg(long, default_value = "4GiB", value_name = "SIZE")]
    pub(crate) memory: ByteSize,
    /// Only the plan on paper
    #[arg(long)]
    pub(crate) plan_only: bool,
    /// Where capacity.md, capacity.svg and capacity.json go; made when there is none
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "plan_only",
        conflicts_with = "plan_only"
    )]
    pub(crate) out: Option<PathBuf>,
    /// Tokens of the one layer that is measured [default: those of a sequence]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1024..=1 << 24))]
    pub(crate) measure: Option<u32>,
    /// Tokens that answer a query each, spread over the context: all of them must be found
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) needles: u32,
    /// Timed calls of each mode at each length
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) queries: u32,
    /// Of the generated context
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The wavekvd to measure with [default: the one beside this program, else the one on the PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) daemon: Option<PathBuf>,
    /// Where its data goes, in a folder that is removed at the end [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}
