//! What benchmarks without a trace measure on: generated tokens at the geometry of a KV head of Llama-3 8B (a group of 4 query
//! heads, dimension 128, `bf16`).

use wavekv_trace::Dtype;
use wavekv_trace::generate::{GenerateParameters, GeneratedLayer, Generator, ParameterError};

pub(crate) const DIM: usize = 128;
pub(crate) const GROUP: usize = 4;

/// So many tokens of one layer.
///
/// # Errors
/// Where there are fewer than can be generated.
pub(crate) fn generator(tokens: usize) -> Result<Generator, ParameterError> {
    Generator::new(&GenerateParameters {
        tokens,
        kv_heads: 1,
        group: GROUP,
        head_dim: DIM,
        value_dim: DIM,
        dtype: Dtype::Bf16,
        ..GenerateParameters::default()
    })
}

/// The queries of the last tokens of a generator's layer, `[queries, GROUP, DIM]`.
pub(crate) fn last_queries(generator: &Generator, layer: &GeneratedLayer<'_>) -> Vec<f32> {
    let rows = generator.last_queries();
    let row = GROUP * DIM * Dtype::F16.size();
    Dtype::F16.decode(&layer.q()[rows.start * row..rows.end * row])
}
