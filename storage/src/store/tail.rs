//! Which rows of a layer's tail are in the catalog: pure bookkeeping, so that a seal and a truncation know what goes.

use std::collections::BTreeMap;

use crate::catalog::keys::Place;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) tokens: u32,
    /// The file that has its tokens, when they are not in the row.
    pub(super) file: Option<u64>,
    /// Row and file.
    pub(super) bytes: u64,
}

/// The rows of a layer.
#[derive(Debug, Default)]
pub(super) struct Tail {
    sink: Option<Kept>,
    /// By the first position.
    runs: BTreeMap<u32, Kept>,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Gone,
    /// Its first tokens stay.
    Cut(u32),
}

impl Tail {
    /// Returns the row that had the place.
    pub(super) fn put(&mut self, place: Place, kept: Kept) -> Option<Kept> {
        match place {
            Place::Sink => self.sink.replace(kept),
            Place::Run(start) => self.runs.insert(start, kept),
        }
    }

    /// How many tokens the sink's row has.
    pub(super) fn sink_tokens(&self) -> u32 {
        self.sink.map_or(0, |sink| sink.tokens)
    }

    /// The rows that are not needed when a segment or the sink's row has every token before `end`.
    pub(super) fn before(&self, end: u32) -> Vec<(Place, Fate)> {
        let runs = self.runs.iter();
        let gone = runs.filter(|(start, kept)| start.saturating_add(kept.tokens) <= end);
        gone.map(|(start, _)| (Place::Run(*start), Fate::Gone))
            .collect()
    }

    /// What becomes of the rows when the layer ends at `length`.
    pub(super) fn cut_at(&self, length: u32) -> Vec<(Place, Fate)> {
        let sink = self.sink.iter().map(|kept| (Place::Sink, 0, kept.tokens));
        let runs = self.runs.iter();
        let runs = runs.map(|(start, kept)| (Place::Run(*start), *start, kept.tokens));
        let fates = sink.chain(runs).filter_map(|(place, start, tokens)| {
            let stays = length.saturating_sub(start);
            match stays {
                0 => Some((place, Fate::Gone)),
                stays if stays < tokens => Some((place, Fate::Cut(stays))),
                _ => None,
            }
        });
        fates.collect()
    }

    /// Every run, gone.
    pub(super) fn all_runs(&self) -> Vec<(Place, Fate)> {
        let runs = self.runs.keys();
        runs.map(|start| (Place::Run(*start), Fate::Gone)).collect()
    }

    /// Does as the fates say; returns the rows that are gone.
    pub(super) fn meet(&mut self, fates: &[(Place, Fate)]) -> Vec<Kept> {
        let mut gone = vec![];
        for (place, fate) in fates {
            let kept = match place {
                Place::Sink => self.sink.as_mut(),
                Place::Run(start) => self.runs.get_mut(start),
            };
            match (kept, fate) {
                (Some(kept), Fate::Cut(tokens)) => kept.tokens = *tokens,
                (Some(kept), Fate::Gone) => {
                    gone.push(*kept);
                    match place {
                        Place::Sink => self.sink = None,
                        Place::Run(start) => drop(self.runs.remove(start)),
                    }
                }
                (None, _) => {}
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(runs: &[(u32, u32)]) -> Tail {
        let mut tail = Tail::default();
        for (start, tokens) in runs {
            let kept = Kept {
                tokens: *tokens,
                file: Some(u64::from(*start)),
                bytes: 1,
            };
            tail.put(Place::Run(*start), kept);
        }
        tail
    }

    fn files(gone: &[Kept]) -> Vec<u64> {
        gone.iter().filter_map(|kept| kept.file).collect()
    }

    #[test]
    fn rows_that_segments_have_whole_are_gone() {
        let mut tail = tail(&[(0, 10), (10, 10), (20, 10)]);
        let fates = tail.before(25);
        assert_eq!(
            fates,
            [(Place::Run(0), Fate::Gone), (Place::Run(10), Fate::Gone)]
        );
        assert_eq!(files(&tail.meet(&fates)), [0, 10]);
        assert_eq!(tail.before(25), []);
        assert_eq!(tail.before(30), [(Place::Run(20), Fate::Gone)]);
    }

    #[test]
    fn a_cut_shortens_one_row_and_drops_those_after_it() {
        let mut tail = tail(&[(0, 10), (10, 10), (20, 10)]);
        let sink = Kept {
            tokens: 4,
            file: None,
            bytes: 1,
        };
        tail.put(Place::Sink, sink);
        let fates = tail.cut_at(15);
        assert_eq!(
            fates,
            [(Place::Run(10), Fate::Cut(5)), (Place::Run(20), Fate::Gone)]
        );
        assert_eq!(files(&tail.meet(&fates)), [20]);
        assert_eq!(tail.cut_at(15), []);
        let fates = tail.cut_at(2);
        let cut = [
            (Place::Sink, Fate::Cut(2)),
            (Place::Run(0), Fate::Cut(2)),
            (Place::Run(10), Fate::Gone),
        ];
        assert_eq!(fates, cut);
        tail.meet(&fates);
        assert_eq!(tail.sink_tokens(), 2);
        let fates = tail.cut_at(0);
        tail.meet(&fates);
        assert_eq!((tail.sink_tokens(), tail.all_runs()), (0, vec![]));
    }
}
