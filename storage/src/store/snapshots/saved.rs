//! A snapshot that is there, as it is read.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;

use super::manifest::Manifest;
pub use super::manifest::SavedSegment;
use super::{MANIFEST, SnapshotError, TOKENS};
use crate::segment::file::{self, FileError, Label};
use crate::segment::{Columns, Schema};
use crate::store::layer::segment_path;
use crate::store::{Durability, Run};
use crate::{Budget, Bytes};

impl SavedSegment {
    /// Its first position, and one past the last.
    pub fn range(&self) -> (u32, u32) {
        (self.row.start, self.row.end)
    }

    /// Of its file.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.row.seal.bytes)
    }
}

/// A snapshot: its manifest was read, its files were not.
#[derive(Debug)]
pub struct Saved {
    folder: PathBuf,
    manifest: Manifest,
    manifest_bytes: u64,
}

impl Saved {
    pub(super) fn open(folder: PathBuf) -> Result<Self, SnapshotError> {
        let path = folder.join(MANIFEST);
        let manifest = Manifest::read(&path).map_err(|error| lost(&path, error))?;
        let bytes = fs_err::metadata(&path).map_err(|source| SnapshotError::io(&path, source))?;
        Ok(Self {
            folder,
            manifest,
            manifest_bytes: bytes.len(),
        })
    }

    /// What the collection's owner stored with it.
    pub fn record(&self) -> &[u8] {
        &self.manifest.record
    }

    /// What the collection was called.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// What its acknowledgements promised, where it was on disk.
    pub fn durability(&self) -> Option<Durability> {
        self.manifest.durability
    }

    /// How many layers it has.
    pub fn layers(&self) -> u32 {
        self.manifest.layers.len() as u32
    }

    /// Tokens of each layer.
    pub fn lengths(&self) -> impl Iterator<Item = u32> {
        self.manifest.layers.iter().map(|layer| {
            let segments = layer.segments.iter().map(|segment| segment.row.end);
            let runs = layer.runs.iter().map(|run| run.start + run.tokens);
            segments.chain(runs).max().unwrap_or(0)
        })
    }

    /// What there is to be read of its segments and tokens.
    pub fn content_bytes(&self) -> Bytes {
        let manifest = &self.manifest;
        let tokens = manifest.token_bytes();
        Bytes(manifest.segment_bytes().saturating_add(tokens))
    }

    /// Of all its files; those that it shares with a collection too.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.content_bytes().0.saturating_add(self.manifest_bytes))
    }

    /// The segments of a layer, in order of position.
    pub fn segments(&self, layer: u32) -> &[SavedSegment] {
        let layer = self.manifest.layers.get(layer as usize);
        layer.map_or(&[], |layer| &layer.segments)
    }

    /// Reads a segment into memory, which `budget` pays for, and compares all of its checksums.
    ///
    /// # Errors
    /// [`SnapshotError`] naming the file and what of it is not as it was written, or when there is no memory.
    pub fn load(
        &self,
        segment: &SavedSegment,
        meaning: u32,
        schema: &Arc<Schema>,
        budget: &Budget,
    ) -> Result<Columns, SnapshotError> {
        let path = segment_path(&self.folder, segment.layer, segment.number);
        let row = &segment.row;
        let Some(origin) = row.origin.clone() else {
            return Err(SnapshotError::damaged(&path, "nothing says whose it is"));
        };
        let label = Label {
            collection: origin.collection,
            generation: origin.generation,
            layer: origin.layer,
            segment: origin.segment,
            start: row.start,
            end: row.end,
            meaning,
        };
        let loaded = file::load(&path, &label, schema, row.seal, budget);
        loaded.map_err(|error| lost(&path, error.into()))
    }

    /// Shows the tokens of a layer that no segment has, in order of position, and whether they are those which no segment
    /// ever has; one run is in memory at a time.
    ///
    /// # Errors
    /// [`SnapshotError`] when they are not as they were written, or as `see` says.
    pub fn replay<E: From<SnapshotError>>(
        &self,
        layer: u32,
        mut see: impl FnMut(bool, Run<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = self.folder.join(TOKENS);
        let failed = |source| lost(&path, SnapshotError::io(&path, source));
        let (before, from) = self.manifest.layers.split_at(layer as usize);
        let before = before.iter().flat_map(|layer| &layer.runs);
        let mut file = File::open(&path).map_err(failed)?;
        let (got, expected) = (
            file.metadata().map_err(failed)?.len(),
            self.manifest.token_bytes(),
        );
        if got != expected {
            let what = format!("{got} bytes: expected {expected}");
            return Err(SnapshotError::damaged(&path, what).into());
        }
        let at: u64 = before.map(super::manifest::SavedRun::bytes).sum();
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        for run in from.iter().take(1).flat_map(|layer| &layer.runs) {
            // No longer than the file is.
            let mut bytes = vec![0; run.bytes() as usize];
            file.read_exact(&mut bytes).map_err(failed)?;
            let (got, expected) = (crc32c::crc32c(&bytes), run.checksum);
            if got != expected {
                let (start, end) = (run.start, run.start + run.tokens);
                let what = format!(
                    "layer {layer}: the checksum of tokens {start} to {end} is {got:08x}: expected {expected:08x}"
                );
                return Err(SnapshotError::damaged(&path, what).into());
            }
            let mut rest = &bytes[..];
            let planes = run.row_bytes.iter().map(|row_bytes| {
                let (plane, after) = rest.split_at(*row_bytes as usize * run.tokens as usize);
                rest = after;
                plane
            });
            let planes: Vec<&[u8]> = planes.collect();
            let (start, tokens) = (run.start, run.tokens);
            let shown = Run {
                start,
                tokens,
                planes: &planes,
            };
            see(run.is_sink, shown)?;
        }
        Ok(())
    }
}

/// Of a snapshot, a file that is not there is lost.
fn lost(path: &Path, error: SnapshotError) -> SnapshotError {
    if let SnapshotError::Io { source, .. } | SnapshotError::Segment(FileError::Io { source, .. }) =
        &error
    {
        if source.kind() == ErrorKind::NotFound {
            return SnapshotError::damaged(path, "it is missing");
        }
        if source.kind() == ErrorKind::UnexpectedEof {
            return SnapshotError::damaged(path, "it ends too soon");
        }
    }
    error
}
