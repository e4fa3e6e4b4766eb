//! A snapshot in the making.

use std::fs::DirBuilder;
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::manifest::{Manifest, SavedLayer, SavedRun, SavedSegment};
use super::{MANIFEST, SnapshotError, Snapshots, TOKENS, remove, rename};
use crate::Bytes;
use crate::catalog::rows::{Origin, SegmentRow};
use crate::faults::point;
use crate::segment::Columns;
use crate::segment::file::{self, FileError, Label, Seal, Sync};
use crate::store::assembly::{hold_all, link, sync_file, sync_folder};
use crate::store::layer::{segment_path, segment_row};
use crate::store::{Durability, Run, SegmentName, StoredLayer, make_folder};

/// Bytes of a copy that are in memory at once.
const PIECE_BYTES: usize = 1 << 20;

/// A snapshot that is not there yet. Dropped without a commit, it goes.
#[derive(Debug)]
pub struct Making {
    snapshots: Snapshots,
    name: String,
    /// Of the snapshot, under another name.
    folder: PathBuf,
    /// Locks the folder for as long as it is open.
    _lock: File,
    manifest: Manifest,
    tokens: BufWriter<File>,
    /// Files of segments that are there, or whose names in the data directory are held until they are copied.
    pending: Vec<Pending>,
    /// Names in the data directory, for files that can have none in the snapshot.
    held: Option<PathBuf>,
    is_made: bool,
}

/// The file of a segment that the device need not have yet.
#[derive(Debug)]
struct Pending {
    path: PathBuf,
    seal: Seal,
    /// What it is to be copied from.
    from: Option<PathBuf>,
}

impl Snapshots {
    /// Begins a snapshot of a collection of so many layers, which is there once it is whole. `label` names the collection, for
    /// people; without a durability it is not on disk.
    ///
    /// # Errors
    /// [`SnapshotError`] when the name is taken, or the system refuses.
    pub fn begin(
        &self,
        name: &str,
        label: &str,
        durability: Option<Durability>,
        layers: u32,
    ) -> Result<Making, SnapshotError> {
        let mut all = folders();
        let made = point("snapshot.make").and_then(|()| all.recursive(true).create(&self.folder));
        made.map_err(|source| SnapshotError::io(&self.folder, source))?;
        self.check_free(name)?;
        let (folder, lock) = self.begin_folder(name)?;
        let tokens = create(&folder.join(TOKENS)).inspect_err(|_| remove(&folder))?;
        Ok(Making {
            snapshots: self.clone(),
            name: name.to_owned(),
            folder,
            _lock: lock,
            manifest: Manifest {
                durability,
                name: label.to_owned(),
                record: vec![],
                layers: vec![SavedLayer::default(); layers as usize],
            },
            tokens: BufWriter::with_capacity(PIECE_BYTES, tokens),
            pending: vec![],
            held: None,
            is_made: false,
        })
    }

    fn check_free(&self, name: &str) -> Result<(), SnapshotError> {
        if fs_err::symlink_metadata(self.place(name)).is_err() {
            return Ok(());
        }
        let name = name.to_owned();
        Err(SnapshotError::Exists { name })
    }

    /// A folder that nobody else has, locked.
    fn begin_folder(&self, name: &str) -> Result<(PathBuf, File), SnapshotError> {
        for folder in self.parts(name) {
            let failed = |source| SnapshotError::io(&folder, source);
            match folders().create(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => {
                    made.map_err(failed)?;
                    let lock = File::open(&folder).map_err(failed)?;
                    lock.try_lock().map_err(|error| failed(error.into()))?;
                    return Ok((folder, lock));
                }
            }
        }
        // There is no end to the numbers that a name can have.
        let name = name.to_owned();
        Err(SnapshotError::Exists { name })
    }
}

impl Making {
    /// Takes a segment of a collection on disk: its file gets another name, or will be copied by [`Making::settle_next`].
    ///
    /// # Errors
    /// [`SnapshotError`] when that has no such segment, or the system refuses.
    pub fn share_segment(&mut self, from: &StoredLayer, number: u64) -> Result<(), SnapshotError> {
        let _alive = from.collection.alive()?;
        let row = from.segment_row(number)?;
        let (source, path) = (
            from.segment_path(number),
            segment_path(&self.folder, from.layer, number),
        );
        let from_there = if linked(&source, &path)? {
            None
        } else {
            Some(self.hold(from, &source, &path)?)
        };
        let row = SegmentRow {
            origin: row.origin.or_else(|| Some(from.origin(number))),
            // Of contents within one data directory.
            digest: None,
            ..row
        };
        self.add(from.layer, number, row, from_there);
        Ok(())
    }

    /// Keeps the file at `source` from going until it was copied: another name for it in the data directory, or a copy where
    /// no file can have two names.
    fn hold(
        &mut self,
        from: &StoredLayer,
        source: &Path,
        path: &Path,
    ) -> Result<PathBuf, SnapshotError> {
        let held = if let Some(held) = &self.held {
            held.clone()
        } else {
            let name = self.folder.file_name().unwrap_or_default();
            let held = from.collection.shared.folder.join(name);
            make_folder(&held)?;
            self.held.insert(held).clone()
        };
        let name = held.join(path.file_name().unwrap_or_default());
        if !linked(source, &name)? {
            let copied = fs_err::copy(source, &name);
            copied.map_err(|error| SnapshotError::io(source, error))?;
        }
        Ok(name)
    }

    /// Writes the file of a segment that is in memory alone.
    ///
    /// # Errors
    /// [`SnapshotError`] when the system refuses.
    pub fn write_segment(
        &mut self,
        layer: u32,
        name: SegmentName,
        meaning: u32,
        columns: &Columns,
    ) -> Result<(), SnapshotError> {
        let origin = Origin {
            collection: self.manifest.name.clone(),
            generation: 0,
            layer,
            segment: name.number,
        };
        let label = Label {
            collection: origin.collection.clone(),
            generation: origin.generation,
            layer,
            segment: name.number,
            start: name.start,
            end: name.end,
            meaning,
        };
        let path = segment_path(&self.folder, layer, name.number);
        let _held = hold_all(columns)?;
        let seal = file::write(&path, &label, columns, Sync::System)?;
        let row = segment_row(&label, seal, Some(origin), None);
        self.add(layer, name.number, row, None);
        Ok(())
    }

    fn add(&mut self, layer: u32, number: u64, row: SegmentRow, from: Option<PathBuf>) {
        self.pending.push(Pending {
            path: segment_path(&self.folder, layer, number),
            seal: row.seal,
            from,
        });
        let segment = SavedSegment { layer, number, row };
        self.manifest.layers[layer as usize].segments.push(segment);
    }

    /// Of the files of all segments that it has so far.
    pub fn segment_bytes(&self) -> Bytes {
        Bytes(self.manifest.segment_bytes())
    }

    /// Stores tokens of a layer that no segment has; the layers must come in order, and the tokens of each. Of a sink, no
    /// segment ever has them.
    ///
    /// # Errors
    /// [`SnapshotError`] when the system refuses.
    pub fn write_run(
        &mut self,
        layer: u32,
        is_sink: bool,
        run: &Run<'_>,
    ) -> Result<Bytes, SnapshotError> {
        let path = self.folder.join(TOKENS);
        let tokens = run.tokens.max(1) as usize;
        let mut saved = SavedRun {
            is_sink,
            start: run.start,
            tokens: run.tokens,
            row_bytes: vec![],
            checksum: 0,
        };
        for plane in run.planes {
            let written = point("snapshot.write").and_then(|()| self.tokens.write_all(plane));
            written.map_err(|source| SnapshotError::io(&path, source))?;
            saved.row_bytes.push((plane.len() / tokens) as u32);
            saved.checksum = crc32c::crc32c_append(saved.checksum, plane);
        }
        let bytes = Bytes(saved.bytes());
        self.manifest.layers[layer as usize].runs.push(saved);
        Ok(bytes)
    }

    /// Copies what could get no other name, compares its checksum, and has the device take the file of one segment; how many
    /// bytes that has. `None` when there is none left.
    ///
    /// # Errors
    /// [`SnapshotError`] when a file is not as it was written, or the system refuses.
    pub fn settle_next(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        let Some(Pending { path, seal, from }) = self.pending.pop() else {
            return Ok(None);
        };
        if let Some(from) = from {
            copy(&from, &path, seal)?;
            // What stays goes with the folder.
            let _ = fs_err::remove_file(&from);
        }
        sync_file("snapshot.sync", &path)?;
        Ok(Some(Bytes(seal.bytes)))
    }

    /// Gives the snapshot its name. When this returns, it outlives a loss of power.
    ///
    /// # Errors
    /// [`SnapshotError`] when the name was taken meanwhile, or the system refuses; there is no snapshot then.
    pub fn commit(mut self, record: Vec<u8>) -> Result<(), SnapshotError> {
        while self.settle_next()?.is_some() {}
        self.manifest.record = record;
        let tokens = self.folder.join(TOKENS);
        let flushed = point("snapshot.write").and_then(|()| self.tokens.flush());
        flushed.map_err(|source| SnapshotError::io(&tokens, source))?;
        let path = self.folder.join(MANIFEST);
        let mut manifest = create(&path)?;
        let written = manifest.write_all(&self.manifest.encode());
        written.map_err(|source| SnapshotError::io(&path, source))?;
        for file in [&tokens, &path] {
            sync_file("snapshot.sync", file)?;
        }
        sync_folder("snapshot.folder", &self.folder)?;
        self.snapshots.check_free(&self.name)?;
        let place = self.snapshots.place(&self.name);
        let named = point("snapshot.rename").and_then(|()| rename(&self.folder, &place));
        named.map_err(|source| SnapshotError::io(&place, source))?;
        // From here on it has its name, under which it goes if the device does not take that.
        self.folder = place;
        sync_folder("snapshot.folder", &self.snapshots.folder)?;
        self.is_made = true;
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.is_made {
            remove(&self.folder);
        }
        if let Some(held) = &self.held {
            remove(held);
        }
    }
}

fn linked(from: &Path, to: &Path) -> Result<bool, SnapshotError> {
    link(from, to).map_err(|source| SnapshotError::io(from, source))
}

/// Copies a file that was sealed.
fn copy(from: &Path, to: &Path, seal: Seal) -> Result<(), SnapshotError> {
    let (unread, unwritten) = (
        |source| SnapshotError::io(from, source),
        |source| SnapshotError::io(to, source),
    );
    let mut source = File::open(from).map_err(unread)?;
    let mut copied = create(to)?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut checksum) = (0, 0);
    loop {
        let len = source.read(&mut piece).map_err(unread)?;
        if len == 0 {
            break;
        }
        let written = point("snapshot.copy").and_then(|()| copied.write_all(&piece[..len]));
        written.map_err(unwritten)?;
        checksum = crc32c::crc32c_append(checksum, &piece[..len]);
        bytes += len as u64;
    }
    let path = from.to_owned();
    if bytes != seal.bytes {
        let (got, expected) = (bytes, seal.bytes);
        return Err(FileError::Length {
            path,
            got,
            expected,
        }
        .into());
    }
    if checksum != seal.checksum {
        return Err(FileError::Checksum {
            path,
            column: None,
            got: checksum,
            expected: seal.checksum,
        }
        .into());
    }
    Ok(())
}

/// Makes folders for their user alone.
fn folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// A file for its user alone.
fn create(path: &Path) -> Result<File, SnapshotError> {
    let created = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    created.map_err(|source| SnapshotError::io(path, source))
}
