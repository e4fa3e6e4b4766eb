//! What a layer puts on disk: every change of it before anybody sees it, so that what is acknowledged is there after the
//! process ends. A layer of a collection without durability puts nothing there.

use wavekv_storage::Patience;
use wavekv_storage::store::{self, PendingSegment, Run, SegmentName};

use crate::collection::fetch::Fetched;
use crate::collection::layer::{Layer, Snapshot};
use crate::index::build::Built;
use crate::index::schema;
use crate::model::{Durability, Error, NewTokens, SegmentId, TokenRange};

/// A segment that is built, and its file when there is one: which goes again, unless [`Layer::log_seal`] takes it.
#[derive(Debug)]
pub(super) struct Persisted {
    pub(super) built: Built,
    pub(super) file: Option<PendingSegment>,
}

impl Layer {
    /// Stores new tokens.
    pub(super) fn log_insert(&self, new: &NewTokens) -> Result<(), Error> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        Ok(stored.append(&run(new, &[&new.keys, &new.values]))?)
    }

    /// Writes a segment that was built to its file, and takes the file's columns in the place of those in memory.
    pub(super) fn persist(
        &self,
        id: SegmentId,
        range: TokenRange,
        built: Built,
    ) -> Result<Persisted, Error> {
        let Some(stored) = &self.stored else {
            return Ok(Persisted { built, file: None });
        };
        let (name, scope) = (segment_name(id, range), &self.fixed.namespace);
        let file = stored.write_segment(name, schema::VERSION, scope, &built.columns)?;
        let built = Built {
            columns: file.map(&self.fixed.schema)?,
            searches: built.searches,
        };
        Ok(Persisted {
            built,
            file: Some(file),
        })
    }

    /// Stores that a segment has the place of those which it covers, and of the tail before its end.
    pub(super) fn log_seal(
        &self,
        now: &Snapshot,
        range: TokenRange,
        file: Option<PendingSegment>,
    ) -> Result<(), Error> {
        let (Some(stored), Some(file)) = (&self.stored, file) else {
            return Ok(());
        };
        let covered = now
            .segments()
            .iter()
            .filter(|old| range.covers(old.range()));
        let replaced: Vec<u64> = covered.map(|old| old.id().0).collect();
        let sink = TokenRange::new(0, self.layout.sink_end());
        if !stored.needs_sink(sink.end) {
            return Ok(stored.seal(file, &replaced, None)?);
        }
        let Fetched { keys, values, .. } = now.fetch_range(sink, Patience::Stand)?;
        let planes: &[&[u8]] = &[&keys, &values];
        let sink = Run {
            start: sink.start,
            tokens: sink.tokens(),
            planes,
        };
        Ok(stored.seal(file, &replaced, Some(&sink))?)
    }

    /// Stores that the layer ends at `length`. `unsealed` has the tokens that a segment had and that stay.
    pub(super) fn log_truncation(
        &self,
        before: &Snapshot,
        length: u32,
        unsealed: Option<&NewTokens>,
    ) -> Result<(), Error> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let cut = before
            .segments()
            .iter()
            .filter(|old| old.range().end > length);
        let dropped: Vec<u64> = cut.map(|old| old.id().0).collect();
        let Some(new) = unsealed else {
            return Ok(stored.truncate(length, &dropped, None)?);
        };
        let planes: &[&[u8]] = &[&new.keys, &new.values];
        Ok(stored.truncate(length, &dropped, Some(&run(new, planes)))?)
    }
}

/// The durability of what is on disk, when it is there at all.
pub fn on_disk(durability: Durability) -> Option<store::Durability> {
    match durability {
        Durability::None => None,
        Durability::Process => Some(store::Durability::Process),
        Durability::Power => Some(store::Durability::Power),
    }
}

/// The durability of what is on disk, or of what is not.
pub(super) fn lasting(durability: Option<store::Durability>) -> Durability {
    match durability {
        None => Durability::None,
        Some(store::Durability::Process) => Durability::Process,
        Some(store::Durability::Power) => Durability::Power,
    }
}

pub(super) fn run<'a>(new: &NewTokens, planes: &'a [&'a [u8]]) -> Run<'a> {
    Run {
        start: new.start,
        tokens: new.tokens,
        planes,
    }
}

pub(super) fn segment_name(id: SegmentId, range: TokenRange) -> SegmentName {
    SegmentName {
        number: id.0,
        start: range.start,
        end: range.end,
    }
}
