//! One layer of a collection on disk: the tokens that no segment has, and its segments. Every change is one batch of the
//! catalog. Its owner makes one change at a time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::contents::{self, Twin};
use super::opened::Wanted;
use super::run::{self, Run, Written};
use super::space::{FileId, Space, Taken};
use super::tail::{Fate, Kept, Tail};
use super::{NotMade, StoreError, StoredCollection};
use crate::catalog::Batch;
use crate::catalog::keys::{self, Family, Key, Place};
use crate::catalog::rows::{Digest, Origin, SegmentRow, TailContent, TailRow};
use crate::faults::point;
use crate::segment::file::{self, Check, Label, Seal};
use crate::segment::{Columns, Schema};

/// Where a layer is stored.
#[derive(Debug)]
pub struct StoredLayer {
    pub(super) collection: Arc<StoredCollection>,
    pub(super) layer: u32,
    tail: Mutex<Tail>,
    /// Bytes of row and file of every segment, and which file that is, by number.
    segments: Mutex<HashMap<u64, (u64, FileId)>>,
}

/// A segment of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentName {
    /// Never used twice in a data directory.
    pub number: u64,
    /// First position.
    pub start: u32,
    /// One past the last position.
    pub end: u32,
}

/// A segment that a start of the daemon finds.
#[derive(Clone, Debug)]
pub struct FoundSegment {
    /// What it is called.
    pub name: SegmentName,
    pub(super) seal: Seal,
    /// For whom its file was written, when that was another.
    pub(super) origin: Option<Origin>,
}

impl FoundSegment {
    /// The segment of a number that has this row.
    pub(super) fn of(number: u64, row: SegmentRow) -> Self {
        Self {
            name: SegmentName {
                number,
                start: row.start,
                end: row.end,
            },
            seal: row.seal,
            origin: row.origin,
        }
    }
}

/// The file of a segment that the catalog does not know yet. Dropped without a commit, it goes.
#[derive(Debug)]
pub struct PendingSegment {
    path: PathBuf,
    number: u64,
    /// Of the file.
    label: Label,
    seal: Seal,
    digest: Digest,
    /// When another collection has the file too.
    shared: Option<Twin>,
    /// Row and file, until they are committed.
    taken: Option<Taken>,
    collection: Arc<StoredCollection>,
}

impl StoredLayer {
    pub(super) fn new(collection: Arc<StoredCollection>, layer: u32) -> Self {
        Self {
            collection,
            layer,
            tail: Mutex::default(),
            segments: Mutex::default(),
        }
    }

    /// Stores tokens that come after all that are stored.
    ///
    /// # Errors
    /// [`StoreError`]; none of them is stored then.
    pub fn append(&self, run: &Run<'_>) -> Result<(), StoreError> {
        let _alive = self.collection.alive()?;
        let place = Place::Run(run.start);
        let mut batch = self.batch();
        let written = self.put_run(&mut batch, place, run, |bytes| self.take(bytes))?;
        let committed = self.commit(batch, vec![(place, run.tokens, written)], &[]);
        committed.map_err(|failed| failed.error)
    }

    /// Writes the file of a segment, which counts for nothing until [`StoredLayer::seal`]. Where another collection has a
    /// file of the same content in the same scope, this one has that too.
    ///
    /// # Errors
    /// [`StoreError`]; no file is left then.
    pub fn write_segment(
        &self,
        name: SegmentName,
        meaning: u32,
        scope: &str,
        columns: &Columns,
    ) -> Result<PendingSegment, StoreError> {
        let _alive = self.collection.alive()?;
        let path = self.segment_path(name.number);
        let digest = contents::digest(scope, name, meaning, columns);
        if let Some(twin) = self.twin(name, meaning, &digest, columns)? {
            return self.pending_twin(name, meaning, digest, twin);
        }
        let label = self.label(name, meaning, None);
        let taken = self
            .take(file::length(&label, columns) + self.segment_row_bytes(&label, Some(digest)))?;
        let sync = self.collection.durability.sync();
        let seal = file::write(&path, &label, columns, sync)?;
        Ok(PendingSegment {
            path,
            number: name.number,
            label,
            seal,
            digest,
            shared: None,
            taken: Some(taken),
            collection: Arc::clone(&self.collection),
        })
    }

    /// A segment whose file another collection has too.
    fn pending_twin(
        &self,
        name: SegmentName,
        meaning: u32,
        digest: Digest,
        twin: Twin,
    ) -> Result<PendingSegment, StoreError> {
        let path = self.segment_path(name.number);
        let label = self.label(name, meaning, Some(&twin.written_as));
        let key = self.segment_key(name.number);
        let origin = Some(twin.written_as.clone());
        let row = segment_row(&label, twin.seal, origin, Some(digest)).encode();
        let content_bytes = keys::content_bytes(Some(&digest));
        let taken = self.take((key.len() + row.len()) as u64 + content_bytes);
        let taken = taken.inspect_err(|_| drop(fs_err::remove_file(&path)))?;
        Ok(PendingSegment {
            path,
            number: name.number,
            label,
            seal: twin.seal,
            digest,
            shared: Some(twin),
            taken: Some(taken),
            collection: Arc::clone(&self.collection),
        })
    }

    /// Whether [`StoredLayer::seal`] needs the first `tokens` tokens, which no segment ever has.
    pub fn needs_sink(&self, tokens: u32) -> bool {
        self.tail.lock().sink_tokens() < tokens
    }

    /// Puts a segment in the place of `replaced` and of the tokens before its end. `sink` has the first tokens, when
    /// they are needed.
    ///
    /// # Errors
    /// [`StoreError`]; everything is as it was then.
    pub fn seal(
        &self,
        mut segment: PendingSegment,
        replaced: &[u64],
        sink: Option<&Run<'_>>,
    ) -> Result<(), StoreError> {
        let _alive = self.collection.alive()?;
        let mut batch = self.batch();
        let (label, number, digest) = (&segment.label, segment.number, segment.digest);
        let origin = segment.shared.as_ref().map(|twin| twin.written_as.clone());
        let row = segment_row(label, segment.seal, origin, Some(digest));
        batch.put(&self.segment_key(number), &row.encode())?;
        batch.put(&self.content_key(&digest, number), &[])?;
        self.delete_segments(&mut batch, replaced)?;
        let fates = self.tail.lock().before(label.end);
        let sink = match sink {
            Some(sink) => {
                let take = |bytes| self.take(bytes);
                let written = self.put_run(&mut batch, Place::Sink, sink, take)?;
                vec![(Place::Sink, sink.tokens, written)]
            }
            None => vec![],
        };
        if let Err(NotMade { error, in_doubt }) = self.commit(batch, sink, &fates) {
            if let Some(heals) = in_doubt {
                let (path, taken) = (segment.path.clone(), segment.taken.take());
                self.collection.shared.limbo.put(path, heals, taken);
            }
            return Err(error);
        }
        if let Some(taken) = segment.taken.take() {
            self.keep_sealed(&segment, taken.keep());
        }
        self.remove_segments(replaced);
        Ok(())
    }

    /// Ends the layer at `length`, without the segments `dropped`. `unsealed` has the tokens of those that stay. They are
    /// fewer than those of the segments, so that the limit of the disk is not asked.
    ///
    /// # Errors
    /// [`StoreError`]; everything is as it was then.
    pub fn truncate(
        &self,
        length: u32,
        dropped: &[u64],
        unsealed: Option<&Run<'_>>,
    ) -> Result<(), StoreError> {
        let _alive = self.collection.alive()?;
        let mut batch = self.batch();
        self.delete_segments(&mut batch, dropped)?;
        let mut fates = self.tail.lock().cut_at(length);
        let mut came = vec![];
        if let Some(run) = unsealed {
            // All that is before it is in segments and in the sink's row.
            fates.retain(|(place, _)| *place == Place::Sink);
            fates.extend(self.tail.lock().all_runs());
            if run.tokens > 0 {
                let place = Place::Run(run.start);
                let take = |bytes| Ok(self.space().force(self.collection.generation, bytes));
                let written = self.put_run(&mut batch, place, run, take)?;
                came.push((place, run.tokens, written));
            }
        }
        let committed = self.commit(batch, came, &fates);
        committed.map_err(|failed| failed.error)?;
        self.remove_segments(dropped);
        Ok(())
    }

    /// The segments that the catalog has, in order of position.
    ///
    /// # Errors
    /// [`StoreError`] when a row is not as it was written.
    pub fn segments(&self) -> Result<Vec<FoundSegment>, StoreError> {
        let catalog = &self.collection.shared.catalog;
        let mut found = vec![];
        catalog.visit(Family::Segments, &self.prefix(), |key, value| {
            let row = keys::segment(key).zip(SegmentRow::decode(value));
            let ((_, number), row) = row.ok_or_else(|| catalog.damaged("the row of a segment"))?;
            let rows = (key.len() + value.len()) as u64 + keys::content_bytes(row.digest.as_ref());
            let bytes = rows + row.seal.bytes;
            let own = self.origin(number);
            self.keep_segment(number, bytes, row.origin.as_ref().unwrap_or(&own));
            found.push(FoundSegment::of(number, row));
            Ok::<(), StoreError>(())
        })??;
        found.sort_by_key(|segment: &FoundSegment| segment.name.start);
        Ok(found)
    }

    /// Maps a segment that was found, after comparing all of its checksums.
    ///
    /// # Errors
    /// [`StoreError`] naming the file and what of it is not as it was written.
    pub fn open_segment(
        &self,
        segment: &FoundSegment,
        meaning: u32,
        schema: &Arc<Schema>,
    ) -> Result<Arc<Columns>, StoreError> {
        let path = self.segment_path(segment.name.number);
        let label = self.label(segment.name, meaning, segment.origin.as_ref());
        let wanted = Wanted {
            label: &label,
            schema,
            seal: segment.seal,
            check: Check::Checksums,
        };
        let (opened, home) = (&self.collection.shared.opened, self.collection.home());
        opened.open(&path, wanted, home)
    }

    /// Shows the tokens that the catalog has, those of the sink first, then in order of position; a token may come twice.
    /// One run is in memory at a time.
    ///
    /// # Errors
    /// [`StoreError`] when a row or a file is not as it was written, or as `see` says.
    pub fn replay<E: From<StoreError>>(
        &self,
        mut see: impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_tail(|place, row, bytes| {
            self.tail.lock().put(place, kept(row, bytes));
            run::read(self.collection.folder(), place.start(), row, &mut see)
        })
    }

    /// Shows the rows of tokens, each with the bytes that it has in the catalog; none of their files is read.
    pub(super) fn visit_tail<E: From<StoreError>>(
        &self,
        mut see: impl FnMut(Place, &TailRow<'_>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let catalog = &self.collection.shared.catalog;
        let visited = catalog.visit(Family::Tails, &self.prefix(), |key, value| {
            let row = keys::tail(key).zip(TailRow::decode(value));
            let ((_, place), row) = row.ok_or_else(|| {
                StoreError::from(catalog.damaged("a row of tokens that no segment has"))
            })?;
            see(place, &row, (key.len() + value.len()) as u64)
        });
        visited.map_err(StoreError::from)?
    }

    /// Adds the row of a run to the batch, and writes its file where it has one.
    fn put_run(
        &self,
        batch: &mut Batch<'_>,
        place: Place,
        run: &Run<'_>,
        take: impl FnOnce(u64) -> Result<Taken, StoreError>,
    ) -> Result<Written, StoreError> {
        let key = Key::tail(self.collection.generation, self.layer, place);
        let written = run.write(&self.collection, key.len(), take)?;
        batch.put(&key, &written.value)?;
        Ok(written)
    }

    /// Commits the batch with what becomes of other rows, and keeps the books. Rows that `came` replace those of their
    /// places.
    fn commit(
        &self,
        mut batch: Batch<'_>,
        came: Vec<(Place, u32, Written)>,
        fates: &[(Place, Fate)],
    ) -> Result<(), NotMade> {
        let (folder, shared) = (self.collection.folder(), &self.collection.shared);
        let committed = self
            .put_fates(&mut batch, &came, fates)
            .map_err(NotMade::from)
            .and_then(|()| shared.commit(batch, self.collection.durability));
        if let Err(failed) = committed {
            for (_, _, Written { file, taken, .. }) in came {
                match (file, failed.in_doubt) {
                    (Some(number), Some(heals)) => {
                        shared
                            .limbo
                            .put(run::path_of(folder, number), heals, Some(taken));
                    }
                    (Some(number), None) => run::remove(folder, number),
                    (None, _) => {}
                }
            }
            return Err(failed);
        }
        let mut tail = self.tail.lock();
        let mut gone = tail.meet(fates);
        for (place, tokens, Written { file, taken, .. }) in came {
            let bytes = taken.keep();
            let kept = Kept {
                tokens,
                file,
                bytes,
            };
            gone.extend(tail.put(place, kept));
        }
        for kept in gone {
            if let Some(number) = kept.file {
                run::remove(folder, number);
            }
            self.give_back(kept.bytes, kept.file.map(FileId::Tail));
        }
        Ok(())
    }

    fn put_fates(
        &self,
        batch: &mut Batch<'_>,
        came: &[(Place, u32, Written)],
        fates: &[(Place, Fate)],
    ) -> Result<(), StoreError> {
        for (place, fate) in fates {
            let key = Key::tail(self.collection.generation, self.layer, *place);
            match fate {
                Fate::Gone if came.iter().any(|(new, _, _)| new == place) => {}
                Fate::Gone => batch.delete(&key)?,
                Fate::Cut(tokens) => {
                    let catalog = &self.collection.shared.catalog;
                    let value = catalog.get(&key)?.unwrap_or_default();
                    let row = TailRow::decode(&value);
                    let row = row.ok_or_else(|| catalog.damaged("a row that is cut"))?;
                    let row = TailRow {
                        tokens: *tokens,
                        ..row
                    };
                    batch.put(&key, &row.encode())?;
                }
            }
        }
        Ok(())
    }

    fn delete_segments(&self, batch: &mut Batch<'_>, numbers: &[u64]) -> Result<(), StoreError> {
        for number in numbers {
            let key = self.segment_key(*number);
            let value = self.collection.shared.catalog.get(&key)?;
            let row = value.and_then(|value| SegmentRow::decode(&value));
            if let Some(digest) = row.and_then(|row| row.digest) {
                batch.delete(&self.content_key(&digest, *number))?;
            }
            batch.delete(&key)?;
        }
        Ok(())
    }

    /// Readers that have them mapped keep them until they are done. One that stays is nobody's, and goes at the next
    /// start.
    fn remove_segments(&self, numbers: &[u64]) {
        for number in numbers {
            let path = self.segment_path(*number);
            let _ = point("segment.remove").and_then(|()| fs_err::remove_file(path));
            if let Some((bytes, file)) = self.segments.lock().remove(number) {
                self.give_back(bytes, Some(file));
            }
        }
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.collection.shared.space
    }

    fn take(&self, bytes: u64) -> Result<Taken, StoreError> {
        self.space().take(self.collection.generation, bytes)
    }

    fn give_back(&self, bytes: u64, file: Option<FileId>) {
        let generation = self.collection.generation;
        self.space().give_back(generation, bytes, file);
    }

    fn batch(&self) -> Batch<'_> {
        self.collection.shared.catalog.batch()
    }

    /// Notes a row of tokens that the catalog has.
    pub(super) fn keep(&self, place: Place, kept: Kept) {
        self.tail.lock().put(place, kept);
    }

    /// Notes a segment that the catalog has, and the bytes of its row and file.
    pub(super) fn keep_segment(&self, number: u64, bytes: u64, written_as: &Origin) {
        let file = written_as.file();
        self.segments.lock().insert(number, (bytes, file));
    }

    /// Of the row of a segment that is labelled so and was written for this layer, with its key.
    pub(super) fn segment_row_bytes(&self, label: &Label, digest: Option<Digest>) -> u64 {
        let seal = Seal {
            bytes: 0,
            checksum: 0,
        };
        let row = segment_row(label, seal, None, digest);
        let bytes = self.segment_key(label.segment).len() + row.encode().len();
        bytes as u64 + keys::content_bytes(digest.as_ref())
    }

    /// Notes a segment that was sealed, and the bytes that were taken for it.
    fn keep_sealed(&self, segment: &PendingSegment, bytes: u64) {
        let number = segment.number;
        let Some(twin) = &segment.shared else {
            return self.keep_segment(number, bytes, &self.origin(number));
        };
        let generations = [twin.generation, self.collection.generation];
        let file_bytes = segment.seal.bytes;
        self.space()
            .share(twin.written_as.file(), file_bytes, generations);
        self.keep_segment(number, bytes + file_bytes, &twin.written_as);
    }

    pub(super) fn content_key(&self, digest: &Digest, number: u64) -> Key {
        Key::content(digest, self.collection.generation, self.layer, number)
    }

    /// The row of a segment.
    pub(super) fn segment_row(&self, number: u64) -> Result<SegmentRow, StoreError> {
        let catalog = &self.collection.shared.catalog;
        let value = catalog.get(&self.segment_key(number))?.unwrap_or_default();
        let row = SegmentRow::decode(&value);
        Ok(row.ok_or_else(|| catalog.damaged("the row of a segment"))?)
    }

    pub(super) fn prefix(&self) -> Vec<u8> {
        keys::of_layer(self.collection.generation, self.layer)
    }

    pub(super) fn segment_key(&self, number: u64) -> Key {
        Key::segment(self.collection.generation, self.layer, number)
    }

    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        segment_path(self.collection.folder(), self.layer, number)
    }

    /// Whose segment one that was written for this layer is.
    pub(super) fn origin(&self, number: u64) -> Origin {
        Origin {
            collection: self.collection.name.clone(),
            generation: self.collection.generation,
            layer: self.layer,
            segment: number,
        }
    }

    /// What the file of a segment says, which was written for `origin` or else for this layer.
    pub(super) fn label(&self, name: SegmentName, meaning: u32, origin: Option<&Origin>) -> Label {
        let origin = origin.cloned();
        let origin = origin.unwrap_or_else(|| self.origin(name.number));
        Label {
            collection: origin.collection,
            generation: origin.generation,
            layer: origin.layer,
            segment: origin.segment,
            start: name.start,
            end: name.end,
            meaning,
        }
    }
}

impl PendingSegment {
    /// Maps it: the columns that were written, without a copy of them in memory.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses, or the collection was deleted meanwhile.
    pub fn map(&self, schema: &Arc<Schema>) -> Result<Arc<Columns>, StoreError> {
        // Else its file may be gone, which would be taken for damage.
        let _alive = self.collection.alive()?;
        if let Some(twin) = &self.shared {
            return Ok(Arc::clone(&twin.columns));
        }
        let wanted = Wanted {
            label: &self.label,
            schema,
            seal: self.seal,
            check: Check::Frame,
        };
        let home = self.collection.home();
        self.collection.shared.opened.open(&self.path, wanted, home)
    }
}

impl Drop for PendingSegment {
    fn drop(&mut self) {
        if self.taken.is_some() {
            // One that stays is nobody's, and goes at the next start.
            let _ = fs_err::remove_file(&self.path);
        }
    }
}

/// A row of so many bytes as it is found.
pub(super) fn kept(row: &TailRow<'_>, row_bytes: u64) -> Kept {
    let (file, file_bytes) = match row.content {
        TailContent::Inline(_) => (None, 0),
        TailContent::File { number, .. } => (Some(number), row.stored_bytes()),
    };
    Kept {
        tokens: row.tokens,
        file,
        bytes: row_bytes + file_bytes,
    }
}

/// The row of a segment whose file is labelled so.
pub(super) fn segment_row(
    label: &Label,
    seal: Seal,
    origin: Option<Origin>,
    digest: Option<Digest>,
) -> SegmentRow {
    SegmentRow {
        start: label.start,
        end: label.end,
        meaning: label.meaning,
        seal,
        origin,
        digest,
    }
}

pub(super) fn segment_path(folder: &Path, layer: u32, number: u64) -> PathBuf {
    folder.join(format!("{layer:04}-{number:016x}.arrow"))
}
