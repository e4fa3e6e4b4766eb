//! Segments, built as the daemon builds them.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use wavekv::index::Segment;
use wavekv::index::build::{Build, Builder, HeadBuild, HeadTokens};
use wavekv::index::schema;
use wavekv::model::{
    Geometry, IndexKind, IndexParameters, KvHead, LayerKind, SegmentId, TokenRange,
};
use wavekv_kernels::{Dtype, Kernels, Matrix};
use wavekv_storage::segment::Schema;
use wavekv_storage::{Budget, Bytes, Patience};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Tokens of a full segment.
pub(crate) const SEGMENT_TOKENS: usize = IndexParameters::DEFAULT.segment_tokens as usize;

/// K and V of one KV head in order of position.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// At an address that suits every dtype.
    keys: Vec<u32>,
    values: Vec<u32>,
    dtype: Dtype,
    dim: usize,
}

impl Tokens {
    /// Of the bytes of K and V, `[tokens, dim]` each.
    pub(crate) fn new(keys: &[u8], values: &[u8], dtype: Dtype, dim: usize) -> Self {
        Self {
            keys: words(keys),
            values: words(values),
            dtype,
            dim,
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        4 * self.keys.len() / self.dtype.size_of() / self.dim
    }

    /// The ranges of the segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Range<usize>> {
        let tokens = self.len();
        (0..tokens)
            .step_by(SEGMENT_TOKENS)
            .map(move |start| start..tokens.min(start + SEGMENT_TOKENS))
    }

    /// K and V of a range.
    pub(crate) fn view(&self, range: &Range<usize>) -> Result<HeadTokens<'_>, Failure> {
        let tokens = self.len();
        let rows = |words| {
            let bytes = bytemuck::cast_slice(words);
            Matrix::new(bytes, self.dtype, tokens, self.dim)?.slice_rows(range.clone())
        };
        Ok(HeadTokens {
            keys: rows(&self.keys)?,
            values: rows(&self.values)?,
        })
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let mut words = vec![0; bytes.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// What builds segments of one KV head.
#[derive(Debug)]
pub(crate) struct Workshop {
    geometry: Geometry,
    schema: Arc<Schema>,
    budget: Budget,
}

impl Workshop {
    pub(crate) fn new(head_dim: usize, dtype: Dtype) -> Result<Self, Failure> {
        let geometry = Geometry {
            fingerprint: String::new(),
            layers: vec![LayerKind::Full],
            q_heads: 1,
            kv_heads: 1,
            head_dim: head_dim as u32,
            value_dim: head_dim as u32,
            dtype,
            scale: 1.0,
            softcap: None,
        };
        Ok(Self {
            schema: schema::schema(&geometry, IndexKind::Wave)?,
            budget: Budget::new(Bytes(1 << 40)),
            geometry,
        })
    }

    /// The segment of a range, with the default parameters, made where `head` has room.
    pub(crate) fn build(
        &self,
        head: &mut HeadBuild,
        tokens: &Tokens,
        range: &Range<usize>,
    ) -> Result<Segment, Failure> {
        let builder = Builder {
            kernels: Kernels::detect(),
            schema: Arc::clone(&self.schema),
            parameters: IndexParameters::DEFAULT,
            budget: self.budget.clone(),
        };
        let positions = TokenRange::new(range.start as u32, range.end as u32);
        let tokens = tokens.view(range)?;
        head.begin(&builder, positions, 0);
        while !head.step(&tokens)? {}
        let mut build = Build::new(builder, positions, 1)?;
        build.put(0, head, &tokens)?;
        let built = build.finish()?;
        let id = SegmentId(1);
        Ok(Segment::new(id, positions, &self.geometry, built))
    }
}

/// The clusters of a segment: tokens counted from its first.
pub(crate) fn clusters(segment: &Segment) -> Result<Vec<Vec<u32>>, Failure> {
    let head = KvHead(0);
    let index = segment.head(head)?.ok_or("the segment has no clusters")?;
    let start = segment.range().start;
    let clusters = (0..index.clusters()).map(|cluster| {
        let payload = segment.payload(head, index.rows(cluster), Patience::Stand)?;
        Ok(payload.positions.iter().map(|at| at - start).collect())
    });
    clusters.collect()
}
