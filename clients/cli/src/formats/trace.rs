//! What a trace is, in a line.

use std::fmt;

use serde::{Deserialize, Serialize};
use wavekv_trace::Trace;
use wavekv_trace::generate::Generator;

/// The numbers of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) tokens: usize,
    /// Their numbers in the model.
    pub(crate) layers: Vec<u32>,
    pub(crate) q_heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) dtype: String,
    pub(crate) scale: f32,
    pub(crate) queries: usize,
}

impl Summary {
    pub(crate) fn of(trace: &Trace) -> Self {
        Self {
            model: trace.model.clone(),
            text: trace.text.clone(),
            tokens: trace.tokens,
            layers: trace.layers.iter().map(|layer| layer.number).collect(),
            q_heads: trace.q_heads,
            kv_heads: trace.kv_heads,
            head_dim: trace.head_dim,
            value_dim: trace.value_dim,
            dtype: trace.dtype.to_string(),
            scale: trace.scale,
            queries: trace.q_positions.len(),
        }
    }

    /// Of the first layer of a trace that is not made as a whole.
    pub(crate) fn of_generated(generator: &Generator) -> Self {
        let geometry = generator.geometry();
        Self {
            model: "generated".into(),
            text: generator.text(),
            tokens: generator.parameters().tokens,
            layers: vec![0],
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
            dtype: geometry.dtype.to_string(),
            scale: geometry.scale,
            queries: generator.q_positions().len(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tokens,
            layers,
            q_heads,
            kv_heads,
            head_dim,
            value_dim,
            dtype,
            ..
        } = self;
        write!(
            f,
            "{tokens} tokens, layers {layers:?}, {q_heads} query heads on {kv_heads} KV heads, \
             dim {head_dim}/{value_dim}, {dtype}"
        )
    }
}
