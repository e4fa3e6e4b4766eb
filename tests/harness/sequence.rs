//! Sequences to store: random K, V and Q of a shape, the requests that carry them, and exact attention over them.

use std::ops::Range;

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64;
use wavekv_client::wire;
use wavekv_trace::exact::{self, Exact, Order, Queries, Stored};
use wavekv_trace::{Dtype, compare};

/// The relative error that an exact answer may have: f32 accumulation over values of size 1, whatever K and V are stored
/// as, since the oracle reads the same bytes.
pub(crate) const EXACT: f64 = 2e-5;

/// One layer of a model. Its collections have this layer alone, unless a test asks for more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) kv_heads: usize,
    /// Query heads of a KV head.
    pub(crate) group: usize,
    pub(crate) head_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) dtype: Dtype,
    /// 0: every earlier token.
    pub(crate) window: u32,
}

impl Default for Shape {
    /// 2 KV heads of 3 query heads, dims 32 and 16, f32, full attention.
    fn default() -> Self {
        Self {
            kv_heads: 2,
            group: 3,
            head_dim: 32,
            value_dim: 16,
            dtype: Dtype::F32,
            window: 0,
        }
    }
}

impl Shape {
    pub(crate) fn q_heads(&self) -> usize {
        self.kv_heads * self.group
    }

    pub(crate) fn scale(&self) -> f32 {
        (self.head_dim as f32).sqrt().recip()
    }

    /// The geometry of `layers` such layers.
    pub(crate) fn geometry(&self, layers: usize) -> wire::Geometry {
        wire::Geometry {
            fingerprint: "a model of the tests".to_owned(),
            layers: vec![
                wire::LayerKind {
                    sliding_window: self.window
                };
                layers
            ],
            q_heads: self.q_heads() as u32,
            kv_heads: self.kv_heads as u32,
            head_dim: self.head_dim as u32,
            value_dim: self.value_dim as u32,
            dtype: dtype(self.dtype).into(),
            scale: self.scale(),
            softcap: 0.0,
        }
    }
}

/// K and V of one layer, tokens first, and as many queries as tokens.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) shape: Shape,
    pub(crate) tokens: usize,
    /// `[tokens, kv_heads, head_dim]` in the shape's dtype.
    pub(crate) k: Vec<u8>,
    /// `[tokens, kv_heads, value_dim]` in the shape's dtype.
    pub(crate) v: Vec<u8>,
    /// `[tokens, q_heads, head_dim]`.
    pub(crate) q: Vec<f32>,
}

impl Sequence {
    /// Tokens in runs around a few topics: keys and values lie around their topic's, and a query around the keys of one.
    pub(crate) fn random(shape: Shape, tokens: usize, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let topics = 1 + tokens / 24;
        let (key_row, value_row) = (
            shape.kv_heads * shape.head_dim,
            shape.kv_heads * shape.value_dim,
        );
        let key_centres = normal(&mut rng, topics * key_row);
        let value_centres = normal(&mut rng, topics * value_row);
        let mut sequence = Self {
            shape,
            tokens,
            k: vec![],
            v: vec![],
            q: vec![],
        };
        let mut topic = 0;
        for _ in 0..tokens {
            if rng.random_bool(0.2) {
                topic = rng.random_range(0..topics);
            }
            let k = around(&key_centres[topic * key_row..][..key_row], 0.4, &mut rng);
            sequence.k.extend(shape.dtype.encode(&k));
            let v = around(
                &value_centres[topic * value_row..][..value_row],
                0.4,
                &mut rng,
            );
            sequence.v.extend(shape.dtype.encode(&v));
            let asked = rng.random_range(0..topics);
            for head in 0..shape.q_heads() {
                let centre = asked * key_row + head / shape.group * shape.head_dim;
                sequence.q.extend(around(
                    &key_centres[centre..][..shape.head_dim],
                    1.0,
                    &mut rng,
                ));
            }
        }
        sequence
    }

    /// K and V of a range of tokens. The layer's name is left to the caller.
    pub(crate) fn entry(&self, range: Range<usize>) -> wire::InsertEntry {
        let tensor = |data: &[u8], dim: usize| {
            let row = self.shape.kv_heads * dim * self.shape.dtype.size();
            wire::Tensor {
                dtype: dtype(self.shape.dtype).into(),
                shape: vec![range.len() as u32, self.shape.kv_heads as u32, dim as u32],
                data: data[range.start * row..range.end * row].to_vec().into(),
            }
        };
        wire::InsertEntry {
            layer: None,
            start_position: range.start as u32,
            k: Some(tensor(&self.k, self.shape.head_dim)),
            v: Some(tensor(&self.v, self.shape.value_dim)),
        }
    }

    /// The queries of some tokens, f32.
    pub(crate) fn queries(&self, tokens: &[u32]) -> wire::Tensor {
        wire::Tensor {
            dtype: wire::Dtype::F32.into(),
            shape: vec![
                tokens.len() as u32,
                self.shape.q_heads() as u32,
                self.shape.head_dim as u32,
            ],
            data: self
                .query_rows(tokens)
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
        }
    }

    /// Exact attention of the queries of some tokens, each at its own position, in f64.
    pub(crate) fn exact(&self, tokens: &[u32]) -> Exact {
        let stored = Stored {
            k: &self.k,
            v: &self.v,
            dtype: self.shape.dtype,
            order: Order::TokensMajor,
            tokens: self.tokens,
            kv_heads: self.shape.kv_heads,
            head_dim: self.shape.head_dim,
            value_dim: self.shape.value_dim,
        };
        let queries = Queries {
            q: &self.query_rows(tokens),
            positions: tokens,
            q_heads: self.shape.q_heads(),
            scale: f64::from(self.shape.scale()),
            sliding_window: self.shape.window,
        };
        exact::attend(&stored, &queries).unwrap()
    }

    /// `|out - exact| / |exact|` of the answer to [`Sequence::queries`], of each token and query head.
    pub(crate) fn errors(&self, tokens: &[u32], answer: &wire::AttendOutcome) -> Vec<f64> {
        let (out, exact) = (floats(answer.out.as_ref()), self.exact(tokens));
        assert_eq!(out.len(), exact.out.len());
        compare::relative_errors(&out, &exact.out, self.shape.value_dim)
    }

    /// Whether these are the bytes of a range of tokens.
    pub(crate) fn equals(&self, range: Range<usize>, fetched: &wire::FetchOutcome) -> bool {
        let own = self.entry(range);
        fetched.k == own.k && fetched.v == own.v
    }

    /// The queries of some tokens, `[tokens, q_heads, head_dim]`.
    pub(crate) fn query_rows(&self, tokens: &[u32]) -> Vec<f32> {
        let row = self.shape.q_heads() * self.shape.head_dim;
        let rows = tokens
            .iter()
            .flat_map(|token| &self.q[*token as usize * row..][..row]);
        rows.copied().collect()
    }
}

/// The numbers of an f32 tensor.
pub(crate) fn floats(tensor: Option<&wire::Tensor>) -> Vec<f32> {
    let tensor = tensor.unwrap();
    assert_eq!(tensor.dtype(), wire::Dtype::F32);
    let (numbers, rest) = tensor.data.as_chunks();
    assert!(rest.is_empty());
    numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

pub(crate) fn dtype(dtype: Dtype) -> wire::Dtype {
    match dtype {
        Dtype::Bf16 => wire::Dtype::Bf16,
        Dtype::F16 => wire::Dtype::F16,
        Dtype::F32 => wire::Dtype::F32,
    }
}

fn normal(rng: &mut Pcg64, numbers: usize) -> Vec<f32> {
    StandardNormal.sample_iter(rng).take(numbers).collect()
}

fn around(centre: &[f32], spread: f32, rng: &mut Pcg64) -> Vec<f32> {
    let noise = StandardNormal.sample_iter(rng);
    centre
        .iter()
        .zip(noise)
        .map(|(x, noise): (_, f32)| x + spread * noise)
        .collect()
}
