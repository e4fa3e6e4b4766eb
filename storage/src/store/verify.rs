//! What is on disk of a layer, looked at again while it is used: its rows, and the bytes of every file that they name.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::run;
use super::{FoundSegment, StoreError, StoredCollection, StoredLayer};
use crate::catalog::keys::{self, Family, Key, Place};
use crate::catalog::rows::{CollectionRow, SegmentRow, TailContent, TailRow};
use crate::reread::Reread;
use crate::segment::Schema;
use crate::segment::file;

/// Is told how many bytes were read, and may break it off.
pub type See<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// What the catalog has of a layer.
#[derive(Clone, Debug, Default)]
pub struct LayerRows {
    /// In order of position.
    pub segments: Vec<FoundSegment>,
    /// The tokens that no segment has: those of the sink first, then in order of position; a token may come twice.
    pub runs: Vec<FoundRun>,
}

/// A row of tokens that no segment has.
#[derive(Clone, Debug)]
pub struct FoundRun {
    place: Place,
    /// How many tokens it has.
    pub tokens: u32,
    /// Bytes of a token in each of its planes.
    pub row_bytes: Vec<u32>,
    file: Option<RunFile>,
}

/// The file that has the tokens of a row.
#[derive(Clone, Copy, Debug)]
struct RunFile {
    number: u64,
    checksum: u32,
    bytes: u64,
}

impl FoundRun {
    fn of(place: Place, row: &TailRow<'_>) -> Self {
        let file = match row.content {
            TailContent::Inline(_) => None,
            TailContent::File { number, checksum } => Some(RunFile {
                number,
                checksum,
                bytes: row.stored_bytes(),
            }),
        };
        Self {
            place,
            tokens: row.tokens,
            row_bytes: row.row_bytes.clone(),
            file,
        }
    }

    /// The position of its first token.
    pub fn start(&self) -> u32 {
        self.place.start()
    }

    /// One past the position of its last token.
    pub fn end(&self) -> u32 {
        self.start().saturating_add(self.tokens)
    }
}

impl StoredCollection {
    /// Its record as the catalog has it.
    ///
    /// # Errors
    /// [`StoreError`] when its row is not there, or not the one that was written.
    pub fn record(&self) -> Result<Vec<u8>, StoreError> {
        let catalog = &self.shared.catalog;
        let value = catalog.get(&Key::collection(self.generation))?;
        let row = value.and_then(|value| CollectionRow::decode(&value));
        let same =
            row.filter(|row| row.name == self.name && row.durability == self.durability.number());
        let row = same.ok_or_else(|| catalog.damaged("the row of a collection"))?;
        Ok(row.record)
    }
}

impl StoredLayer {
    /// What the catalog has of it. Nobody may be storing meanwhile, or it is of no one moment.
    ///
    /// # Errors
    /// [`StoreError`] when a row is not as it was written.
    pub fn rows(&self) -> Result<LayerRows, StoreError> {
        let catalog = &self.collection.shared.catalog;
        let mut rows = LayerRows::default();
        catalog.visit(Family::Segments, &self.prefix(), |key, value| {
            let row = keys::segment(key).zip(SegmentRow::decode(value));
            let ((_, number), row) = row.ok_or_else(|| catalog.damaged("the row of a segment"))?;
            rows.segments.push(FoundSegment::of(number, row));
            Ok::<(), StoreError>(())
        })??;
        rows.segments.sort_by_key(|segment| segment.name.start);
        self.visit_tail(|place, row, _| {
            // Earlier builds wrote a row of no tokens where a truncation cut at the end of a segment.
            if row.tokens > 0 {
                rows.runs.push(FoundRun::of(place, row));
            }
            Ok::<(), StoreError>(())
        })?;
        Ok(rows)
    }

    /// Whether its collection was deleted.
    pub fn is_deleted(&self) -> bool {
        self.collection.is_deleted()
    }

    /// Where the file of a run is, when it has one.
    fn path_of_run(&self, run: &FoundRun) -> Option<PathBuf> {
        let file = run.file?;
        Some(run::path_of(self.collection.folder(), file.number))
    }

    /// Reads the file of a segment from its device and compares its checksums and its label.
    ///
    /// # Errors
    /// [`StoreError`] naming the file and what of it is not as it was written.
    pub fn verify_segment(
        &self,
        segment: &FoundSegment,
        meaning: u32,
        schema: &Schema,
        see: See<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let path = self.segment_path(segment.name.number);
        let label = self.label(segment.name, meaning, segment.origin.as_ref());
        Ok(file::verify(&path, &label, schema, segment.seal, see)?)
    }

    /// Reads the file of a run from its device and compares its checksum; the catalog has one of every row.
    ///
    /// # Errors
    /// [`StoreError`] naming the file and what of it is not as it was written.
    pub fn verify_run(&self, run: &FoundRun, see: See<'_>) -> Result<ControlFlow<()>, StoreError> {
        let Some((found, path)) = run.file.zip(self.path_of_run(run)) else {
            return Ok(ControlFlow::Continue(()));
        };
        let failed = |source| StoreError::io(&path, source);
        let mut file = Reread::open(&path).map_err(failed)?;
        let bytes = file.len().map_err(failed)?;
        run::check_length(&path, bytes, found.bytes)?;
        let mut checksum = 0;
        let read = file.read_through(0..found.bytes, |piece| {
            checksum = crc32c::crc32c_append(checksum, piece);
            see(piece.len() as u64)
        });
        if read.map_err(failed)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        run::check_checksum(&path, checksum, found.checksum)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the catalog still has a segment, with the same file.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read.
    pub fn still_has_segment(&self, segment: &FoundSegment) -> Result<bool, StoreError> {
        let key = self.segment_key(segment.name.number);
        let value = self.collection.shared.catalog.get(&key)?;
        Ok(value.is_some_and(|value| {
            SegmentRow::decode(&value).is_none_or(|row| row.seal == segment.seal)
        }))
    }

    /// Whether the catalog still has a run, with the same file.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read.
    pub fn still_has_run(&self, run: &FoundRun) -> Result<bool, StoreError> {
        let key = Key::tail(self.collection.generation, self.layer, run.place);
        let value = self.collection.shared.catalog.get(&key)?;
        let file = |value: &Vec<u8>| {
            let row = TailRow::decode(value)?;
            FoundRun::of(run.place, &row).file.map(|file| file.number)
        };
        Ok(value.is_some_and(|value| file(&value) == run.file.map(|file| file.number)))
    }
}

impl StoreError {
    /// The file that it is about, when it is about one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Segment(error) => Some(error.path()),
            Self::Io { path, .. } | Self::Damaged { path, .. } => Some(path),
            Self::Catalog(_) | Self::NoRoom { .. } | Self::Deleted { .. } => None,
        }
    }

    /// The column of a segment, where it is one that is not as expected.
    pub fn column(&self) -> Option<&'static str> {
        match self {
            Self::Segment(error) => error.column(),
            Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Catalog(_)
            | Self::NoRoom { .. }
            | Self::Deleted { .. } => None,
        }
    }
}
