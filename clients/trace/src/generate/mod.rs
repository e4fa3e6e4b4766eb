//! Traces made by code, for machines without recorded ones: keys that behave like a model's.
//!
//! What was measured on the recorded traces and is imitated here: the scores of one query over all keys are roughly
//! normal with a standard deviation of 2 (flat heads) to 5 (sharp heads), so that the best 1.8 % of the tokens hold from
//! 65 % to 99 % of the mass; of the variance of the scores, 0.12 to 0.4 (median 0.18) lies within clusters of 16 keys
//! (here 0.17 to 0.29), which is what makes them hard to estimate; the first four tokens take from nothing to 60 % of the
//! mass; the last 64 from 5 % to 90 %; and the output is 0.1 to 0.6 times as long as a value. Tokens come in runs on a
//! topic, topics are heavy-tailed in size, and keys and values are spread around their topic's centres.
//!
//! The same parameters give the same bytes: every part draws from its own stream of one seed, whatever the threads do,
//! and every chunk of tokens from its own place in that stream, so that any range can be made alone. [`generate`] makes a
//! whole trace, [`Generator`] the K and V of one range at a time.

mod generator;
mod head;
mod queries;
mod text;

use std::ops::RangeInclusive;

use rand_pcg::Pcg64;

use crate::{Dtype, Trace};

pub use generator::{GeneratedLayer, Generator};

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateParameters {
    /// 1 to 16777216.
    pub tokens: usize,
    /// 1 to 1024.
    pub kv_heads: usize,
    /// Query heads of a KV head: 1 to 32.
    pub group: usize,
    /// Elements of a key: 16 to 576.
    pub head_dim: usize,
    /// Elements of a value: 16 to 576.
    pub value_dim: usize,
    /// 1 to 1024.
    pub layers: usize,
    /// Element type of K and V.
    pub dtype: Dtype,
    /// Of all randomness.
    pub seed: u64,
    /// Tokens that answer one of the last queries each: 0 to 64, at most a quarter of the tokens.
    pub needles: usize,
}

impl Default for GenerateParameters {
    /// 8192 tokens, 2 KV heads of 4 query heads, dims 64, 1 layer, f16, seed 1, 8 needles.
    fn default() -> Self {
        Self {
            tokens: 8192,
            kv_heads: 2,
            group: 4,
            head_dim: 64,
            value_dim: 64,
            layers: 1,
            dtype: Dtype::F16,
            seed: 1,
            needles: 8,
        }
    }
}

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, expected {least} to {most}")]
pub struct ParameterError {
    /// Of [`GenerateParameters`].
    pub field: &'static str,
    /// Its value.
    pub found: usize,
    /// The smallest that is allowed.
    pub least: usize,
    /// The largest.
    pub most: usize,
}

/// Generates a trace. Its queries are placed as in recorded ones: 64 spread over the second half, then the last 64
/// positions; fewer when the trace is short. Needle `i` of `n` answers row `i * 64 / n` of the last queries, in the first
/// query head of every KV head and every second one after it.
///
/// # Errors
/// When a parameter is outside its range.
pub fn generate(parameters: &GenerateParameters) -> Result<Trace, ParameterError> {
    Ok(Generator::new(parameters)?.trace())
}

/// `1 / sqrt(head_dim)`.
fn scale(head_dim: usize) -> f32 {
    (head_dim as f32).sqrt().recip()
}

/// The generator of one part.
fn stream(seed: u64, part: u64) -> Pcg64 {
    Pcg64::new(u128::from(seed), u128::from(part))
}

fn check(p: &GenerateParameters) -> Result<(), ParameterError> {
    let within = |field, found, range: RangeInclusive<usize>| {
        if range.contains(&found) {
            return Ok(());
        }
        Err(ParameterError {
            field,
            found,
            least: *range.start(),
            most: *range.end(),
        })
    };
    within("tokens", p.tokens, 1..=1 << 24)?;
    within("kv_heads", p.kv_heads, 1..=1024)?;
    within("group", p.group, 1..=32)?;
    within("head_dim", p.head_dim, 16..=576)?;
    within("value_dim", p.value_dim, 16..=576)?;
    within("layers", p.layers, 1..=1024)?;
    within("needles", p.needles, 0..=(p.tokens / 4).min(64))
}
