//! Truncate: drop the tokens from a length on. A segment that is cut gives its remaining tokens back to the tail; the
//! background clusters them again where the layout says so.

use std::sync::Arc;

use wavekv_storage::Patience;

use crate::collection::fetch::Fetched;
use crate::collection::layer::{Layer, Snapshot};
use crate::collection::steady::filled_blocks;
use crate::model::{Error, NewTokens, TokenRange};

impl Layer {
    /// Drops the tokens from `length` on; a layer that is not longer stays as it is. Returns the layer's length.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget has no room for the tokens of a segment that is cut, or the disk is
    /// full; `Unavailable` when the disk does not work. Nothing is dropped then.
    pub fn truncate(&self, length: u32) -> Result<u32, Error> {
        let _turn = self.writer();
        let before = self.snapshot();
        if length >= before.length() {
            return Ok(before.length());
        }
        let [_, tail] = before.steady.ranges();
        if length <= self.layout.sink_end() || length >= tail.start {
            self.log_truncation(&before, length, None)?;
            self.swap(|state| {
                state.steady.truncate(length);
                state.keep_segments_before(length, length);
            });
            return Ok(length);
        }
        let tail = TokenRange::new(before.kept_segments_end(length), length);
        let tokens = before.unsealed(tail)?;
        let blocks = filled_blocks(&self.fixed, before.steady.tail_cells(tail), &tokens)?;
        self.log_truncation(&before, length, Some(&tokens))?;
        self.swap(|state| {
            state.steady.replace_tail(tail, blocks);
            state.keep_segments_before(tail.start, length);
        });
        Ok(length)
    }
}

impl Snapshot {
    /// Where the last segment ends that has only tokens before `length`.
    fn kept_segments_end(&self, length: u32) -> u32 {
        let mut ends = self.segments.iter().map(|segment| segment.range().end);
        ends.rfind(|end| *end <= length)
            .unwrap_or_else(|| self.steady.sink_end())
    }

    /// The tokens of `tail`, which segments have now.
    fn unsealed(&self, tail: TokenRange) -> Result<NewTokens, Error> {
        let Fetched { keys, values, .. } = self.fetch_range(tail, Patience::Stand)?;
        Ok(NewTokens {
            start: tail.start,
            tokens: tail.tokens(),
            keys: keys.into(),
            values: values.into(),
        })
    }

    /// Forgets the segments that have tokens from `end` on, and remembers that the layer was cut to `length`.
    fn keep_segments_before(&mut self, end: u32, length: u32) {
        self.uncut = self.uncut.min(length);
        let kept = self
            .segments
            .iter()
            .filter(|segment| segment.range().end <= end);
        self.segments = Arc::new(kept.cloned().collect());
    }
}
