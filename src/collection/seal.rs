//! Seal: make a segment of a range of tokens, beside inserts and queries. Of a layer, one segment is in the making at a
//! time. Its parts, a KV head each, are built by as many threads as care to, in steps between which a thread may stop: what
//! is lost then is that part and no other, and nobody has seen anything of the segment before it is whole.

use std::sync::Arc;

use parking_lot::Mutex;
use wavekv_kernels::Matrix;
use wavekv_storage::{Bytes, Patience};

use crate::collection::layer::{Layer, Snapshot};
use crate::collection::persist::Persisted;
use crate::index::Segment;
use crate::index::build::{Build, Builder, Built, HeadBuild, HeadTokens};
use crate::model::{Error, KvHead, SegmentId, TokenRange};

/// What came of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
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

/// A segment of a layer in the making.
#[derive(Debug)]
pub struct Sealing {
    range: TokenRange,
    builder: Builder,
    /// The layer when this began.
    before: Snapshot,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// Parts to be built, the next one last.
    waiting: Vec<u32>,
    /// Parts that threads have.
    taken: u32,
    made: Made,
}

/// What there is of the segment.
#[derive(Debug)]
enum Made {
    /// The finished heads.
    Heads(Box<Build>),
    /// Of a kind without clusters: the whole segment is one part.
    Whole(Option<Box<Built>>),
    Failed(Error),
    Discarded,
}

/// How a thread's work on a part ended.
#[derive(Debug)]
pub enum PartEnd {
    /// It is part of the segment.
    Finished,
    /// The thread was told to stop; somebody else may begin the part again.
    Stopped,
    /// The segment is not wanted any more.
    Discarded,
    /// There will be no segment.
    Failed(Error),
}

/// What a thread builds on, used again for every part.
#[derive(Debug, Default)]
pub struct Workbench {
    head: HeadBuild,
    /// K of a head, at an address that suits every dtype.
    keys: Vec<u32>,
    /// V of a head.
    values: Vec<u32>,
}

impl Layer {
    /// Begins the next segment of the layout, if there is one; `forced` seals the tokens before that length whatever
    /// their number. Whoever began before must have concluded.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget has no room.
    pub fn begin_seal(&self, forced: Option<u32>) -> Result<Option<Sealing>, Error> {
        let before = self.swap(|state| {
            state.uncut = u32::MAX;
            state.clone()
        });
        let (ranges, length) = (before.segment_ranges(), before.length());
        let next = match forced {
            Some(end) => self.layout.next_range(&ranges, length.min(end), true),
            None => self.layout.next_range(&ranges, length, false),
        };
        let begin = |range| Sealing::new(before, range);
        next.map(begin).transpose()
    }

    /// Builds the next segment of the layout on this thread, if there is one.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget has no room; the layer stays as it is.
    pub fn seal_next(&self, id: SegmentId) -> Result<Option<Sealed>, Error> {
        let Some(sealing) = self.begin_seal(None)? else {
            return Ok(None);
        };
        let mut bench = Workbench::default();
        while let Some(part) = sealing.take() {
            let end = sealing.build(part, &mut bench, &|| true);
            sealing.give_back(part, end);
        }
        self.conclude(id, &sealing).map(Some)
    }

    /// Whether the tokens of a segment in the making are still those that it began with.
    pub fn still_has(&self, sealing: &Sealing) -> bool {
        self.uncut() >= sealing.range.end
    }

    /// Puts a segment in place once all of its parts are back.
    ///
    /// # Errors
    /// `ResourceExhausted` when the memory budget or the disk had no room, `Unavailable` when the disk does not work; the
    /// layer stays as it is, and its tail exact.
    pub fn conclude(&self, id: SegmentId, sealing: &Sealing) -> Result<Sealed, Error> {
        let range = sealing.range;
        let made = std::mem::replace(&mut sealing.progress.lock().made, Made::Discarded);
        let built = match made {
            Made::Heads(build) => build.finish()?,
            Made::Whole(Some(built)) => *built,
            Made::Failed(error) => return Err(error),
            Made::Whole(None) | Made::Discarded => return Ok(Sealed::Discarded),
        };
        let Persisted { built, file } = self.persist(id, range, built)?;
        let segment = Arc::new(Segment::new(id, range, &self.fixed.geometry, built));
        let _turn = self.writer();
        let now = self.snapshot();
        if now.uncut < range.end {
            return Ok(Sealed::Discarded);
        }
        self.log_seal(&now, range, file)?;
        drop(now);
        Ok(self.swap(|state| {
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

impl Sealing {
    fn new(before: Snapshot, range: TokenRange) -> Result<Self, Error> {
        let builder = before.fixed.builder();
        let heads = before.geometry().kv_heads;
        let (parts, made) = if builder.parameters.kind.has_clusters() {
            let build = Build::new(builder.clone(), range, heads as usize)?;
            (heads, Made::Heads(Box::new(build)))
        } else {
            (1, Made::Whole(None))
        };
        Ok(Self {
            range,
            builder,
            before,
            progress: Mutex::new(Progress {
                waiting: (0..parts).rev().collect(),
                taken: 0,
                made,
            }),
        })
    }

    /// A part to build; whoever takes it must give it back.
    pub fn take(&self) -> Option<u32> {
        let mut progress = self.progress.lock();
        let part = progress.waiting.pop()?;
        progress.taken += 1;
        Some(part)
    }

    /// Gives a part back; whether it was the last, and [`Layer::conclude`] is due.
    pub fn give_back(&self, part: u32, end: PartEnd) -> bool {
        let mut progress = self.progress.lock();
        progress.taken -= 1;
        match end {
            PartEnd::Finished => {}
            PartEnd::Stopped => progress.waiting.push(part),
            PartEnd::Discarded => progress.abandon(Made::Discarded),
            PartEnd::Failed(error) => progress.abandon(Made::Failed(error)),
        }
        progress.taken == 0 && progress.waiting.is_empty()
    }

    /// Builds a part, as long as `go_on` says so between steps.
    pub fn build(&self, part: u32, bench: &mut Workbench, go_on: &dyn Fn() -> bool) -> PartEnd {
        let built = if self.builder.parameters.kind.has_clusters() {
            self.build_head(KvHead(part), bench, go_on)
        } else {
            self.build_whole()
        };
        match built {
            Ok(true) => PartEnd::Finished,
            Ok(false) => PartEnd::Stopped,
            Err(error) => PartEnd::Failed(error),
        }
    }

    fn build_head(
        &self,
        head: KvHead,
        bench: &mut Workbench,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let tokens = u64::from(self.range.tokens());
        let bytes =
            (self.before.geometry().key_bytes() + self.before.geometry().value_bytes()) as u64;
        let _reservation = self.builder.budget.reserve(Bytes(tokens * bytes))?;
        let Workbench {
            head: made,
            keys,
            values,
        } = bench;
        let tokens = self.gather(head, keys, values)?;
        made.begin(&self.builder, self.range, head.index());
        loop {
            if !go_on() {
                return Ok(false);
            }
            if made.step(&tokens)? {
                break;
            }
        }
        if let Made::Heads(build) = &mut self.progress.lock().made {
            build.put(head.index(), made, &tokens)?;
        }
        Ok(true)
    }

    fn build_whole(&self) -> Result<bool, Error> {
        let geometry = self.before.geometry();
        let tokens = u64::from(self.range.tokens() * geometry.kv_heads);
        let bytes = (geometry.key_bytes() + geometry.value_bytes()) as u64;
        let _reservation = self.builder.budget.reserve(Bytes(tokens * bytes))?;
        let mut rows = vec![[vec![], vec![]]; geometry.kv_heads as usize];
        let heads = rows.iter_mut().zip(0..);
        let heads = heads.map(|([keys, values], head)| self.gather(KvHead(head), keys, values));
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        let built = self.builder.build(self.range, &heads)?;
        if let Made::Whole(whole) = &mut self.progress.lock().made {
            *whole = Some(Box::new(built));
        }
        Ok(true)
    }

    /// K `[tokens, head_dim]` and V `[tokens, value_dim]` of one head in order of position.
    fn gather<'a>(
        &self,
        head: KvHead,
        keys: &'a mut Vec<u32>,
        values: &'a mut Vec<u32>,
    ) -> Result<HeadTokens<'a>, Error> {
        let geometry = self.before.geometry();
        let (key_bytes, value_bytes) = (geometry.key_bytes(), geometry.value_bytes());
        let tokens = self.range.tokens() as usize;
        let (of_keys, of_values) = (
            room(keys, tokens * key_bytes),
            room(values, tokens * value_bytes),
        );
        self.before
            .visit(head, self.range, Patience::Stand, |position, key, value| {
                let row = (position - self.range.start) as usize;
                of_keys[row * key_bytes..][..key_bytes].copy_from_slice(key);
                of_values[row * value_bytes..][..value_bytes].copy_from_slice(value);
            })?;
        let matrix = |bytes, dim| Matrix::new(bytes, geometry.dtype, tokens, dim as usize);
        Ok(HeadTokens {
            keys: matrix(of_keys, geometry.head_dim)?,
            values: matrix(of_values, geometry.value_dim)?,
        })
    }
}

impl Progress {
    fn abandon(&mut self, made: Made) {
        self.waiting.clear();
        self.made = made;
    }
}

/// So many bytes of `words`, whatever stands in them.
fn room(words: &mut Vec<u32>, bytes: usize) -> &mut [u8] {
    words.resize(words.len().max(bytes.div_ceil(size_of::<u32>())), 0);
    &mut bytemuck::cast_slice_mut(words)[..bytes]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use wavekv_kernels::Run;

    use super::*;
    use crate::collection::{Collection, sample};
    use crate::index::segment::HeadCodes;
    use crate::model::{ErrorKind, IndexParameters, LayerId, NewTokens};

    const TOKENS: u32 = 700;
    const SEGMENT: u32 = 512;
    const HEADS: u32 = 3;
    const DIM: u32 = 16;

    /// A collection of one layer, whose first segment may be built.
    fn collection() -> Collection {
        let parameters = IndexParameters {
            segment_tokens: SEGMENT,
            decode_segment_tokens: SEGMENT,
            ..IndexParameters::DEFAULT
        };
        let collection = sample::of_one_layer(HEADS, DIM, parameters);
        let bytes = |salt: u32| -> Vec<u8> {
            let numbers = (0..TOKENS * HEADS * DIM).map(|i| {
                let hash = (i + salt).wrapping_mul(2_654_435_761) >> 8;
                // From 1 to 2, with topics that clusters can find.
                0x3f80 | (hash & 0x1f) as u16 | ((i / (HEADS * DIM) * 7 % 4) << 5) as u16
            });
            numbers.flat_map(u16::to_le_bytes).collect()
        };
        let new = NewTokens {
            start: 0,
            tokens: TOKENS,
            keys: bytes(0).into(),
            values: bytes(99).into(),
        };
        layer(&collection).insert(&new, u32::MAX).unwrap();
        collection
    }

    fn layer(collection: &Collection) -> &Layer {
        collection.layer(LayerId(0)).unwrap()
    }

    fn go_on() -> bool {
        true
    }

    /// Builds a part to its end; whether it was the last.
    fn build(sealing: &Sealing, bench: &mut Workbench) -> bool {
        let part = sealing.take().unwrap();
        let end = sealing.build(part, bench, &go_on);
        assert!(matches!(end, PartEnd::Finished), "{end:?}");
        sealing.give_back(part, end)
    }

    /// Everything that there is of the layer's only segment.
    fn written(collection: &Collection) -> String {
        let snapshot = layer(collection).snapshot();
        let [segment] = snapshot.segments() else {
            panic!("{} segments", snapshot.segments().len());
        };
        let of_head = |head| {
            let index = segment.head(head).unwrap().unwrap();
            let runs = [Run {
                first: 0,
                count: segment.range().tokens(),
            }];
            let rows: Vec<u32> = segment.all_rows().map(|row| row as u32).collect();
            let codes = HeadCodes::new(head, vec![&**segment]);
            let keys = codes.keys(0, &runs).unwrap();
            let values = codes.values(0, &rows).unwrap();
            let payload = segment
                .payload(head, segment.all_rows(), Patience::Stand)
                .unwrap();
            format!("{index:?} {keys:?} {values:?} {payload:?}")
        };
        (0..HEADS).map(|head| of_head(KvHead(head))).collect()
    }

    #[test]
    fn a_build_that_stops_after_every_step_makes_the_same_segment() {
        let [whole, stopped] = [collection(), collection()];
        layer(&whole).seal_next(SegmentId(1)).unwrap().unwrap();

        let sealing = layer(&stopped).begin_seal(None).unwrap().unwrap();
        let mut benches = [Workbench::default(), Workbench::default()];
        let (mut most, mut stops, mut last) = (0, 0, false);
        while !last {
            let part = sealing.take().unwrap();
            let steps = Cell::new(0);
            let go_on = || steps.replace(steps.get() + 1) < most;
            let end = sealing.build(part, &mut benches[most % 2], &go_on);
            // A step further at the next attempt; the next part begins with none.
            most = if matches!(end, PartEnd::Stopped) {
                most + 1
            } else {
                0
            };
            stops += most.min(1);
            last = sealing.give_back(part, end);
        }
        assert!(stops > 30, "{stops} stops");
        let sealed = layer(&stopped).conclude(SegmentId(1), &sealing).unwrap();
        assert!(matches!(sealed, Sealed::Built { merged: 0, .. }));
        assert_eq!(written(&stopped), written(&whole));
    }

    #[test]
    fn a_truncation_behind_the_segment_costs_nothing_and_one_within_it_ends_it() {
        for (length, kept) in [(SEGMENT, true), (SEGMENT - 1, false), (0, false)] {
            let collection = collection();
            let layer = layer(&collection);
            let sealing = layer.begin_seal(None).unwrap().unwrap();
            let mut bench = Workbench::default();
            build(&sealing, &mut bench);
            layer.truncate(length).unwrap();
            assert_eq!(layer.still_has(&sealing), kept, "{length}");
            build(&sealing, &mut bench);
            let part = sealing.take().unwrap();
            let end = if layer.still_has(&sealing) {
                sealing.build(part, &mut bench, &go_on)
            } else {
                PartEnd::Discarded
            };
            assert!(sealing.give_back(part, end));
            let sealed = layer.conclude(SegmentId(1), &sealing).unwrap();
            assert_eq!(matches!(sealed, Sealed::Built { .. }), kept, "{length}");
            assert_eq!(layer.snapshot().segments().len(), usize::from(kept));
            assert_eq!(layer.length(), length);
            assert!(layer.begin_seal(None).unwrap().is_none());
        }
    }

    #[test]
    fn a_cut_that_nobody_looked_for_is_seen_when_the_segment_is_put_in_place() {
        let collection = collection();
        let layer = layer(&collection);
        let sealing = layer.begin_seal(None).unwrap().unwrap();
        let mut bench = Workbench::default();
        while !build(&sealing, &mut bench) {}
        layer.truncate(SEGMENT - 1).unwrap();
        let sealed = layer.conclude(SegmentId(1), &sealing).unwrap();
        assert_eq!(sealed, Sealed::Discarded);
    }

    #[test]
    fn a_part_that_fails_ends_the_segment_when_all_are_back() {
        let collection = collection();
        let layer = layer(&collection);
        let sealing = layer.begin_seal(None).unwrap().unwrap();
        let (mut bench, error) = (
            Workbench::default(),
            Error::new(ErrorKind::Internal, "on purpose"),
        );
        let [first, second] = [sealing.take().unwrap(), sealing.take().unwrap()];
        assert!(!sealing.give_back(first, PartEnd::Failed(error)));
        assert_eq!(sealing.take(), None);
        let end = sealing.build(second, &mut bench, &go_on);
        assert!(sealing.give_back(second, end));
        assert!(layer.conclude(SegmentId(1), &sealing).is_err());
        // And may be begun again.
        let sealed = layer.seal_next(SegmentId(2)).unwrap();
        assert!(matches!(sealed, Some(Sealed::Built { .. })));
    }
}
