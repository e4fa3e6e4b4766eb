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
        let mut after = before.clone();
        let unsealed = after.end_at(length)?;
        self.log_truncation(&before, length, unsealed.as_ref())?;
        self.swap(|state| {
            // A build may have begun meanwhile: it too has tokens that are cut.
            let uncut = state.uncut.min(length);
            *state = Snapshot { uncut, ..after };
        });
        Ok(length)
    }
}

impl Snapshot {
    /// Drops the tokens from `length` on, at which it is not shorter. Returns those that a segment had and that stay.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget has no room for them; then it is as it was.
    pub(super) fn end_at(&mut self, length: u32) -> Result<Option<NewTokens>, Error> {
        let [_, tail] = self.steady.ranges();
        if length <= self.steady.sink_end() || length >= tail.start {
            self.steady.truncate(length);
            self.keep_segments_before(length);
            return Ok(None);
        }
        let tail = TokenRange::new(self.kept_segments_end(length), length);
        let tokens = self.unsealed(tail)?;
        let blocks = filled_blocks(&self.fixed, self.steady.tail_cells(tail), &tokens)?;
        self.steady.replace_tail(tail, blocks);
        self.keep_segments_before(tail.start);
        Ok(Some(tokens))
    }

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

    /// Forgets the segments that have tokens from `end` on.
    fn keep_segments_before(&mut self, end: u32) {
        let kept = self
            .segments
            .iter()
            .filter(|segment| segment.range().end <= end);
        self.segments = Arc::new(kept.cloned().collect());
    }
}
