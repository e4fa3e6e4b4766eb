//! A trace that is made a range of tokens at a time: long contexts need not fit into memory.

use std::ops::Range;

use bytes::Bytes;
use rand_pcg::Pcg64;
use rayon::prelude::*;

use super::head::{CHUNK_TOKENS, Head};
use super::text::Text;
use super::{GenerateParameters, ParameterError, check, queries, scale, stream};
use crate::trace::last_queries;
use crate::{Dtype, Geometry, Layer, Plane, Planted, Trace};

/// Makes the parts of one trace. What it gives is what [`super::generate`] gives for the same parameters.
#[derive(Debug)]
pub struct Generator {
    parameters: GenerateParameters,
    text: Text,
}

/// Makes the vectors of one layer.
#[derive(Debug)]
pub struct GeneratedLayer<'a> {
    generator: &'a Generator,
    heads: Vec<(Head, Pcg64)>,
    q: Bytes,
}

impl Generator {
    /// Draws what all layers share.
    ///
    /// # Errors
    /// When a parameter is outside its range.
    pub fn new(parameters: &GenerateParameters) -> Result<Self, ParameterError> {
        check(parameters)?;
        Ok(Self {
            text: Text::new(parameters, &mut stream(parameters.seed, 0)),
            parameters: parameters.clone(),
        })
    }

    /// What is generated.
    pub fn parameters(&self) -> &GenerateParameters {
        &self.parameters
    }

    /// Heads, dims and scale.
    pub fn geometry(&self) -> Geometry {
        let p = &self.parameters;
        Geometry {
            q_heads: p.kv_heads * p.group,
            kv_heads: p.kv_heads,
            head_dim: p.head_dim,
            value_dim: p.value_dim,
            dtype: p.dtype,
            scale: scale(p.head_dim),
        }
    }

    /// Name of the text, as in [`Trace::text`].
    pub fn text(&self) -> String {
        format!("seed {}", self.parameters.seed)
    }

    /// Position of each query row, ascending.
    pub fn q_positions(&self) -> &[u32] {
        &self.text.positions
    }

    /// Rows of the queries at the end, which follow each other: at most 64.
    pub fn last_queries(&self) -> Range<usize> {
        last_queries(self.text.positions.len())
    }

    /// The tokens that answer a query each, and the query rows that look for them, in order of position.
    pub fn planted(&self) -> &[Planted] {
        &self.text.needles
    }

    /// Whether the query head at this place of its group looks for planted tokens, where its query does.
    pub fn looks_up(head_of_group: usize) -> bool {
        head_of_group.is_multiple_of(2)
    }

    /// Draws what the tokens of a layer have in common, and its queries.
    pub fn layer(&self, number: usize) -> GeneratedLayer<'_> {
        let p = &self.parameters;
        let heads: Vec<(Head, Pcg64, Vec<u8>)> = (0..p.kv_heads)
            .into_par_iter()
            .map(|kv_head| {
                let mut rng = stream(p.seed, 1 + (number * p.kv_heads + kv_head) as u64);
                let head = Head::new(p, &self.text, &mut rng);
                let q = queries::queries(&head, p, &self.text, &mut rng);
                (head, rng, Dtype::F16.encode(&q))
            })
            .collect();
        let row = p.group * p.head_dim * Dtype::F16.size();
        let q: Vec<u8> = (0..self.text.positions.len())
            .flat_map(|query| heads.iter().map(move |(_, _, q)| &q[query * row..][..row]))
            .flatten()
            .copied()
            .collect();
        GeneratedLayer {
            generator: self,
            heads: heads
                .into_iter()
                .map(|(head, rng, _)| (head, rng))
                .collect(),
            q: q.into(),
        }
    }

    /// All of it at once.
    pub(super) fn trace(self) -> Trace {
        let tokens = self.parameters.tokens;
        let layers = (0..self.parameters.layers)
            .map(|number| {
                let layer = self.layer(number);
                let [k, v] = layer.range(0..tokens);
                Layer {
                    number: number as u32,
                    k,
                    v,
                    q: layer.q,
                }
            })
            .collect();
        let geometry = self.geometry();
        Trace {
            model: "generated".into(),
            text: self.text(),
            tokens,
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
            scale: geometry.scale,
            dtype: geometry.dtype,
            token_ids: self.text.topics.iter().map(|&topic| topic as i32).collect(),
            layers,
            needles: "[]".into(),
            q_positions: self.text.positions,
            planted: self.text.needles,
        }
    }
}

impl GeneratedLayer<'_> {
    /// The queries, `[queries, q_heads, head_dim]` f16, not yet scaled.
    pub fn q(&self) -> &Bytes {
        &self.q
    }

    /// K and V of the tokens of `range`, on all cores. What of it lies beyond the trace's tokens is left out.
    pub fn range(&self, range: Range<usize>) -> [Plane; 2] {
        let p = &self.generator.parameters;
        let range = range.start..range.end.min(p.tokens).max(range.start);
        let chunks = range.start / CHUNK_TOKENS..range.end.div_ceil(CHUNK_TOKENS);
        let places: Vec<(usize, usize)> = (0..p.kv_heads)
            .flat_map(|kv_head| chunks.clone().map(move |chunk| (kv_head, chunk)))
            .collect();
        let vectors: Vec<[Vec<u8>; 2]> = places
            .into_par_iter()
            .map(|(kv_head, chunk)| {
                let start = range.start.max(chunk * CHUNK_TOKENS);
                let end = range.end.min((chunk + 1) * CHUNK_TOKENS);
                let (head, rng) = &self.heads[kv_head];
                head.vectors(p, &self.generator.text, start..end, rng)
            })
            .collect();
        [(0, p.head_dim), (1, p.value_dim)].map(|(which, dim)| Plane {
            data: vectors
                .iter()
                .map(|both| both[which].as_slice())
                .collect::<Vec<_>>()
                .concat()
                .into(),
            dtype: p.dtype,
            heads: p.kv_heads,
            tokens: range.len(),
            dim,
        })
    }
}
