//! Where segments begin and end: a pure function of the layer's length, so that inserts in any chunking end in the
//! same collection.
//!
//! A layer is cut into cells of `segment_tokens` by position; the first begins after the sink. A complete cell is one
//! segment. The cell that is still growing holds segments of `decode_segment_tokens`, which are merged into one when
//! the cell is complete, as an LSM tree does: every token is clustered at most three times (once in decode, once if the
//! caller forces its tail, once in the merge).

use crate::model::{IndexKind, IndexParameters, LayerKind, TokenRange};

/// What of a layer may be sealed, and in which steps.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    kind: IndexKind,
    sink: u32,
    unclustered: u32,
    cell: u32,
    step: u32,
}

impl Layout {
    /// The layout of a layer. A sliding window that fits a segment stays in the tail whole: it is read completely by
    /// every query, so clusters could only cost.
    pub fn new(parameters: &IndexParameters, kind: LayerKind) -> Self {
        let window = match kind {
            LayerKind::Sliding { window } if window <= parameters.segment_tokens => window,
            LayerKind::Sliding { .. } | LayerKind::Full => 0,
        };
        Self {
            kind: parameters.kind,
            sink: parameters.sink_tokens,
            unclustered: parameters.recent_tokens.max(window),
            cell: parameters.segment_tokens,
            step: parameters.decode_segment_tokens,
        }
    }

    /// First position that may be clustered.
    pub fn sink_end(&self) -> u32 {
        self.sink
    }

    /// The next range to build as one segment, of a layer of `length` tokens with these sealed `segments` (in order,
    /// contiguous from the sink); it may replace several of them. `forced` seals the tail whatever its length. A kind
    /// without segments never has one.
    pub fn next_range(
        &self,
        segments: &[TokenRange],
        length: u32,
        forced: bool,
    ) -> Option<TokenRange> {
        if !self.kind.has_segments() {
            return None;
        }
        let limit = length.saturating_sub(self.unclustered);
        let sealed_end = segments.last().map_or(self.sink, |last| last.end);
        let complete_cells = limit / self.cell;
        let mut segment = segments.iter().copied();
        for cell in (0..complete_cells).map(|cell| self.cell_range(cell)) {
            if segment.next() != Some(cell) {
                return Some(cell);
            }
        }
        let growing = self.cell_range(complete_cells);
        let start = sealed_end.max(growing.start);
        if forced {
            let whole = TokenRange::new(growing.start, limit);
            let wanted = !whole.is_empty() && sealed_end <= limit && segment.next() != Some(whole);
            return wanted.then_some(whole);
        }
        let ready = limit.saturating_sub(start) >= self.step;
        ready.then(|| TokenRange::new(start, start + self.step))
    }

    fn cell_range(&self, cell: u32) -> TokenRange {
        TokenRange::new((cell * self.cell).max(self.sink), (cell + 1) * self.cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARAMETERS: IndexParameters = IndexParameters {
        kind: IndexKind::Wave,
        sink_tokens: 4,
        recent_tokens: 10,
        segment_tokens: 64,
        decode_segment_tokens: 16,
        cluster_tokens: 4,
        kmeans_iterations: 2,
        seed: 0,
    };

    /// Builds until nothing is left to build; returns the segments.
    fn settle(
        layout: &Layout,
        mut segments: Vec<TokenRange>,
        length: u32,
        forced: bool,
    ) -> Vec<TokenRange> {
        for _ in 0..1000 {
            let Some(next) = layout.next_range(&segments, length, forced) else {
                return segments;
            };
            segments.retain(|old| !next.covers(*old));
            segments.push(next);
            segments.sort_by_key(|range| range.start);
        }
        panic!("the layout of {length} tokens never settles: {segments:?}");
    }

    fn assert_contiguous(segments: &[TokenRange], layout: &Layout, length: u32) {
        let mut end = layout.sink_end();
        for range in segments {
            assert_eq!(range.start, end, "{segments:?}");
            assert!(!range.is_empty(), "{segments:?}");
            end = range.end;
        }
        assert!(
            end <= length.saturating_sub(layout.unclustered).max(layout.sink),
            "{segments:?}"
        );
    }

    proptest! {
        #[test]
        fn segments_depend_on_the_length_alone(
            growth in prop::collection::vec(0u32..200, 1..20),
            sink in 0u32..40,
            window in prop::option::of(1u32..100),
        ) {
            let parameters = IndexParameters { sink_tokens: sink, ..PARAMETERS };
            let kind = window.map_or(LayerKind::Full, |window| LayerKind::Sliding { window });
            let layout = Layout::new(&parameters, kind);
            let mut segments = vec![];
            let mut length = 0;
            for tokens in growth {
                length += tokens;
                segments = settle(&layout, segments, length, false);
                assert_contiguous(&segments, &layout, length);
            }
            prop_assert_eq!(&segments, &settle(&layout, vec![], length, false));
            let forced = settle(&layout, segments, length, true);
            assert_contiguous(&forced, &layout, length);
            let limit = length.saturating_sub(layout.unclustered);
            prop_assert_eq!(forced.last().map_or(sink, |last| last.end), limit.max(sink));
        }

        #[test]
        fn a_forced_tail_is_merged_when_its_cell_is_complete(first in 0u32..300, more in 0u32..300) {
            let layout = Layout::new(&PARAMETERS, LayerKind::Full);
            let forced = settle(&layout, vec![], first, true);
            let later = settle(&layout, forced, first + more, false);
            assert_contiguous(&later, &layout, first + more);
            let limit = (first + more).saturating_sub(10);
            for (cell, range) in (0..limit / 64).zip(&later) {
                prop_assert_eq!(*range, layout.cell_range(cell));
            }
        }
    }

    #[test]
    fn flat_has_no_segments() {
        let parameters = PARAMETERS.of_kind(IndexKind::Flat);
        let layout = Layout::new(&parameters, LayerKind::Full);
        for length in [0, 30, 64, 1000] {
            assert_eq!(layout.next_range(&[], length, false), None);
            assert_eq!(layout.next_range(&[], length, true), None);
        }
    }

    #[test]
    fn a_window_that_fits_a_segment_is_never_clustered() {
        let layout = Layout::new(&PARAMETERS, LayerKind::Sliding { window: 64 });
        assert_eq!(layout.next_range(&[], 64 + 19, false), None);
        assert_eq!(
            layout.next_range(&[], 64 + 20, false),
            Some(TokenRange::new(4, 20))
        );
        let wide = Layout::new(&PARAMETERS, LayerKind::Sliding { window: 65 });
        assert_eq!(
            wide.next_range(&[], 30, false),
            Some(TokenRange::new(4, 20))
        );
    }
}
