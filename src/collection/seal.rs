//! Seal: make a segment of a range of tokens, beside inserts and queries. One call builds one segment; whoever calls
//! it must not do so twice at once for one layer.

use std::sync::Arc;

use wavekv_kernels::Matrix;
use wavekv_storage::Buffer;

use crate::collection::layer::{Layer, Snapshot};
use crate::index::Segment;
use crate::index::build::{Builder, HeadTokens};
use crate::model::{Error, KvHead, SegmentId, TokenRange};

/// What came of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The layout asks for nothing.
    Nothing,
    /// A segment is in place.
    Built {
        /// Its tokens.
        range: TokenRange,
        /// Segments that it replaced.
        merged: usize,
    },
    /// A truncation came first; the layer is as it made it.
    Discarded,
}

impl Layer {
    /// Builds the next segment of the layout; `forced` seals the tokens before that length whatever their number.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget has no room; the layer stays as it is, and its tail exact.
    pub fn seal_next(&self, id: SegmentId, forced: Option<u32>) -> Result<Sealed, Error> {
        let before = self.snapshot();
        let (ranges, length) = (before.segment_ranges(), before.length());
        let next = match forced {
            Some(end) => self.layout.next_range(&ranges, length.min(end), true),
            None => self.layout.next_range(&ranges, length, false),
        };
        let Some(range) = next else {
            return Ok(Sealed::Nothing);
        };
        let segment = Arc::new(before.build(id, range)?);
        let truncations = before.truncations;
        drop(before);
        let _turn = self.writer();
        Ok(self.swap(|state| {
            if state.truncations != truncations {
                return Sealed::Discarded;
            }
            let count = state.segments.len();
            let kept = state
                .segments
                .iter()
                .filter(|old| !range.covers(old.range()));
            let mut segments: Vec<Arc<Segment>> = kept.cloned().collect();
            let merged = count - segments.len();
            segments.push(segment);
            segments.sort_by_key(|segment| segment.range().start);
            if let Some(last) = segments.last() {
                state.steady.release_before(last.range().end);
            }
            state.segments = Arc::new(segments);
            Sealed::Built { range, merged }
        }))
    }
}

impl Snapshot {
    /// K `[tokens, head_dim]` and V `[tokens, value_dim]` of one head in order of position.
    fn gather(&self, head: KvHead, range: TokenRange) -> Result<(Buffer, Buffer), Error> {
        let (key_bytes, value_bytes) = (self.geometry().key_bytes(), self.geometry().value_bytes());
        let tokens = range.tokens() as usize;
        let mut keys = self.fixed.budget.allocate(tokens * key_bytes)?;
        let mut values = self.fixed.budget.allocate(tokens * value_bytes)?;
        self.visit(head, range, |position, key, value| {
            let row = (position - range.start) as usize;
            keys.as_bytes_mut()[row * key_bytes..][..key_bytes].copy_from_slice(key);
            values.as_bytes_mut()[row * value_bytes..][..value_bytes].copy_from_slice(value);
        })?;
        Ok((keys, values))
    }

    fn build(&self, id: SegmentId, range: TokenRange) -> Result<Segment, Error> {
        let geometry = self.geometry();
        let heads = (0..geometry.kv_heads).map(|head| self.gather(KvHead(head), range));
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        let tokens = range.tokens() as usize;
        let views = heads.iter().map(|(keys, values)| {
            Ok(HeadTokens {
                keys: Matrix::new(
                    keys.as_bytes(),
                    geometry.dtype,
                    tokens,
                    geometry.head_dim as usize,
                )?,
                values: Matrix::new(
                    values.as_bytes(),
                    geometry.dtype,
                    tokens,
                    geometry.value_dim as usize,
                )?,
            })
        });
        let views = views.collect::<Result<Vec<_>, Error>>()?;
        let builder = Builder {
            kernels: self.fixed.kernels,
            schema: Arc::clone(&self.fixed.schema),
            parameters: self.fixed.parameters,
            budget: self.fixed.budget.clone(),
        };
        let built = builder.build(range, &views)?;
        Ok(Segment::new(id, range, geometry, built))
    }
}
