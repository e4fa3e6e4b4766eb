//! Where K, V and Q come from: a recorded trace, or a generator that makes them range by range.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wavekv_trace::generate::{GenerateParameters, GeneratedLayer, Generator};
use wavekv_trace::{Dtype, Geometry, Layer, Trace};

use crate::failure::Failure;
use crate::formats::bench::Context;
use crate::formats::trace::Summary;

/// What a source is made of, before it is.
#[derive(Debug, Clone)]
pub(crate) enum Recipe {
    Generated(GenerateParameters),
    Recorded(PathBuf),
}

/// One sequence.
#[derive(Debug)]
pub(crate) enum Source {
    Generated(Box<Generator>),
    Recorded { name: String, trace: Box<Trace> },
}

/// One layer of it.
#[derive(Debug)]
pub(crate) enum SourceLayer<'a> {
    Generated(&'a Generator, GeneratedLayer<'a>),
    Recorded(&'a Trace, &'a Layer),
}

impl Recipe {
    /// Opens it.
    ///
    /// # Errors
    /// When parameters are out of range, or a file is no trace.
    pub(crate) fn open(&self) -> Result<Source, Failure> {
        Ok(match self {
            Self::Generated(parameters) => Source::Generated(Box::new(Generator::new(parameters)?)),
            Self::Recorded(path) => Source::Recorded {
                name: stem(path),
                trace: Box::new(Trace::load(path)?),
            },
        })
    }
}

impl Source {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Generated(generator) => Context::generated_name(generator.parameters().tokens),
            Self::Recorded { name, .. } => name.clone(),
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        match self {
            Self::Generated(generator) => Summary::of_generated(generator),
            Self::Recorded { trace, .. } => Summary::of(trace),
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        match self {
            Self::Generated(generator) => generator.geometry(),
            Self::Recorded { trace, .. } => trace.geometry(),
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        match self {
            Self::Generated(generator) => generator.parameters().tokens,
            Self::Recorded { trace, .. } => trace.tokens,
        }
    }

    pub(crate) fn layers(&self) -> usize {
        match self {
            Self::Generated(_) => 1,
            Self::Recorded { trace, .. } => trace.layers.len(),
        }
    }

    pub(crate) fn q_positions(&self) -> &[u32] {
        match self {
            Self::Generated(generator) => generator.q_positions(),
            Self::Recorded { trace, .. } => &trace.q_positions,
        }
    }

    /// Rows of the queries at the end, which follow each other.
    pub(crate) fn last_queries(&self) -> Range<usize> {
        match self {
            Self::Generated(generator) => generator.last_queries(),
            Self::Recorded { trace, .. } => trace.last_queries(),
        }
    }

    /// The layer with this index.
    pub(crate) fn layer(&self, index: usize) -> SourceLayer<'_> {
        match self {
            Self::Generated(generator) => SourceLayer::Generated(generator, generator.layer(index)),
            Self::Recorded { trace, .. } => SourceLayer::Recorded(trace, &trace.layers[index]),
        }
    }
}

impl SourceLayer<'_> {
    /// K and V of the tokens of `range`, `[tokens, kv_heads, dim]`.
    pub(crate) fn tokens_major(&self, range: Range<usize>) -> [Bytes; 2] {
        match self {
            Self::Generated(_, layer) => {
                let tokens = range.len();
                layer
                    .range(range)
                    .map(|plane| plane.tokens_major(0..tokens).into())
            }
            Self::Recorded(_, layer) => [
                layer.tokens_major_k(range.clone()).into(),
                layer.tokens_major_v(range).into(),
            ],
        }
    }

    /// One query row, `[q_heads, head_dim]`.
    pub(crate) fn query(&self, row: usize) -> Vec<f32> {
        let (q, geometry) = match self {
            Self::Generated(generator, layer) => (layer.q(), generator.geometry()),
            Self::Recorded(trace, layer) => (&layer.q, trace.geometry()),
        };
        let bytes = geometry.q_heads * geometry.head_dim * Dtype::F16.size();
        Dtype::F16.decode(&q[row * bytes..(row + 1) * bytes])
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use wavekv_trace::generate::generate;

    use super::*;

    #[test]
    fn a_generated_context_is_what_its_trace_file_is() {
        let parameters = GenerateParameters {
            tokens: 500,
            value_dim: 32,
            ..Default::default()
        };
        let trace = generate(&parameters).unwrap();
        let generated = Recipe::Generated(parameters).open().unwrap();
        let recorded = Source::Recorded {
            name: "t".into(),
            trace: Box::new(trace),
        };
        assert_eq!(generated.summary(), recorded.summary());
        assert_eq!(generated.geometry(), recorded.geometry());
        assert_eq!(generated.last_queries(), recorded.last_queries());
        let (a, b) = (generated.layer(0), recorded.layer(0));
        assert_eq!(a.tokens_major(100..300), b.tokens_major(100..300));
        assert_eq!(a.query(70), b.query(70));
        assert_eq!(generated.name(), "generated-500");
    }
}
