//! A collection in the making that begins with tokens of others: their files get another name in its folder, so that
//! nothing is copied and whoever is deleted first harms nobody. Nothing of it counts before [`Assembly::commit`], which is
//! one batch of the catalog.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;

use super::contents;
use super::layer::{kept, segment_row};
use super::opened::Wanted;
use super::run::{self, Run, Written};
use super::space::{FileId, Taken};
use super::tail::Kept;
use super::{
    Durability, NotMade, SegmentName, Store, StoreError, StoredCollection, StoredLayer, make_folder,
};
use crate::catalog::keys::{self, Key, Place};
use crate::catalog::rows::{CollectionRow, SegmentRow, TailContent, TailRow};
use crate::faults::{file_synced, folder_synced, linked, point};
use crate::segment::Columns;
use crate::segment::file::{self, Check};
use crate::{Hold, Patience, ResidenceError};

/// The files and rows of a collection that is not there yet. Dropped without a commit, they go.
#[derive(Debug)]
pub struct Assembly {
    collection: Arc<StoredCollection>,
    layers: Vec<StoredLayer>,
    rows: Vec<(Key, Vec<u8>)>,
    /// Rows and files, but for those that others have too.
    taken: Vec<Taken>,
    committed: bool,
    /// The folder stays until the catalog has healed.
    in_limbo: bool,
}

/// A collection that was assembled.
#[derive(Debug)]
pub struct Assembled {
    /// Its place.
    pub stored: Arc<StoredCollection>,
    /// Its layers, in order.
    pub layers: Vec<StoredLayer>,
}

impl Store {
    /// Begins a collection of so many layers that is there once it is whole.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn assemble(
        &self,
        generation: u64,
        name: &str,
        durability: Durability,
        layers: u32,
    ) -> Result<Assembly, StoreError> {
        let stored = StoredCollection::new(&self.shared, generation, name.to_owned(), durability);
        make_folder(stored.folder())?;
        let collection = Arc::new(stored);
        Ok(Assembly {
            layers: (0..layers).map(|layer| collection.layer(layer)).collect(),
            collection,
            rows: vec![],
            taken: vec![],
            committed: false,
            in_limbo: false,
        })
    }
}

impl Assembly {
    /// Takes a segment of the same layer of another collection.
    ///
    /// # Errors
    /// [`StoreError`] when that has no such segment, or the system refuses.
    pub fn share_segment(&mut self, from: &StoredLayer, number: u64) -> Result<(), StoreError> {
        let _alive = from.collection.alive()?;
        let row = from.segment_row(number)?;
        let layer = self.layer(from.layer);
        let (key, path) = (layer.segment_key(number), layer.segment_path(number));
        let written_as = row.origin.clone().unwrap_or_else(|| from.origin(number));
        let (bytes, digest) = (row.seal.bytes, row.digest);
        let origin = Some(written_as.clone());
        let value = SegmentRow { origin, ..row }.encode();
        let row_bytes = (key.len() + value.len()) as u64 + keys::content_bytes(digest.as_ref());
        self.take(row_bytes)?;
        self.share_file(
            from,
            &from.segment_path(number),
            &path,
            (written_as.file(), bytes),
        )?;
        self.layer(from.layer)
            .keep_segment(number, row_bytes + bytes, &written_as);
        if let Some(digest) = digest {
            let generation = self.collection.generation;
            let key = Key::content(&digest, generation, from.layer, number);
            self.rows.push((key, vec![]));
        }
        self.rows.push((key, value));
        Ok(())
    }

    /// Takes the first `length` tokens of the same layer of another collection, but for those of its segments. `unsealed`
    /// has the tokens that a segment has there and none has here.
    ///
    /// # Errors
    /// [`StoreError`] when a row is not as it was written, or the system refuses.
    pub fn share_tail(
        &mut self,
        from: &StoredLayer,
        length: u32,
        unsealed: Option<&Run<'_>>,
    ) -> Result<(), StoreError> {
        let _alive = from.collection.alive()?;
        from.visit_tail(|place, row, _| {
            if unsealed.is_some() && place != Place::Sink {
                return Ok(());
            }
            let tokens = length.saturating_sub(place.start()).min(row.tokens);
            if tokens == 0 {
                return Ok(());
            }
            let row = TailRow {
                tokens,
                ..row.clone()
            };
            self.share_row(from, place, &row)
        })?;
        match unsealed {
            Some(run) => self.write_run(from.layer, run),
            None => Ok(()),
        }
    }

    fn share_row(
        &mut self,
        from: &StoredLayer,
        place: Place,
        row: &TailRow<'_>,
    ) -> Result<(), StoreError> {
        let key = Key::tail(self.collection.generation, from.layer, place);
        let value = row.encode();
        let row_bytes = self.take((key.len() + value.len()) as u64)?;
        if let TailContent::File { number, .. } = row.content {
            let path = run::path_of(from.collection.folder(), number);
            let new_path = run::path_of(self.collection.folder(), number);
            let file = (FileId::Tail(number), row.stored_bytes());
            self.share_file(from, &path, &new_path, file)?;
        }
        self.layer(from.layer).keep(place, kept(row, row_bytes));
        self.rows.push((key, value));
        Ok(())
    }

    /// Stores the first tokens of a layer, which no segment of it ever has.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn write_sink(&mut self, layer: u32, sink: &Run<'_>) -> Result<(), StoreError> {
        self.write_row(layer, Place::Sink, sink)
    }

    /// Stores tokens of a layer that no segment of it has.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn write_run(&mut self, layer: u32, run: &Run<'_>) -> Result<(), StoreError> {
        self.write_row(layer, Place::Run(run.start), run)
    }

    fn write_row(&mut self, layer: u32, place: Place, run: &Run<'_>) -> Result<(), StoreError> {
        let key = Key::tail(self.collection.generation, layer, place);
        let generation = self.collection.generation;
        let space = &self.collection.shared.space;
        let take = |bytes| space.take(generation, bytes);
        let Written { value, file, taken } = run.write(&self.collection, key.len(), take)?;
        let kept = Kept {
            tokens: run.tokens,
            file,
            bytes: taken.bytes(),
        };
        self.taken.push(taken);
        self.layer(layer).keep(place, kept);
        self.rows.push((key, value));
        Ok(())
    }

    /// Bytes for this collection; how many.
    fn take(&mut self, bytes: u64) -> Result<u64, StoreError> {
        let taken = self
            .collection
            .shared
            .space
            .take(self.collection.generation, bytes)?;
        self.taken.push(taken);
        Ok(bytes)
    }

    /// Writes the file of a segment, and maps it. Whoever seals the same content in the same scope later shares it.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn write_segment(
        &mut self,
        layer: u32,
        name: SegmentName,
        meaning: u32,
        scope: &str,
        columns: &Columns,
    ) -> Result<Arc<Columns>, StoreError> {
        let label = self.layer(layer).label(name, meaning, None);
        let _held = hold_all(columns)?;
        let digest = contents::digest(scope, name, meaning, columns);
        let row_bytes = self.layer(layer).segment_row_bytes(&label, Some(digest));
        let bytes = self.take(file::length(&label, columns) + row_bytes)?;
        let layer = self.layer(layer);
        let path = layer.segment_path(name.number);
        let seal = file::write(&path, &label, columns, self.collection.durability.sync())?;
        layer.keep_segment(name.number, bytes, &layer.origin(name.number));
        let row = segment_row(&label, seal, None, Some(digest));
        let (key, content) = (
            layer.segment_key(name.number),
            layer.content_key(&digest, name.number),
        );
        self.rows.push((key, row.encode()));
        self.rows.push((content, vec![]));
        let home = self.collection.home();
        let wanted = Wanted {
            label: &label,
            schema: columns.schema(),
            seal,
            check: Check::Frame,
        };
        self.collection.shared.opened.open(&path, wanted, home)
    }

    /// Puts the collection into the catalog. When this returns, it is there after a restart.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses; the collection is not there then.
    pub fn commit(mut self, record: Vec<u8>) -> Result<Assembled, StoreError> {
        let collection = &self.collection;
        let power = collection.durability == Durability::Power;
        if power {
            for folder in [collection.folder(), &collection.shared.folder] {
                sync_folder("fork.sync", folder)?;
            }
        }
        let row = CollectionRow {
            durability: collection.durability.number(),
            name: collection.name.clone(),
            record,
        };
        let (key, value) = (Key::collection(collection.generation), row.encode());
        let space = &collection.shared.space;
        let taken = space.take(collection.generation, (key.len() + value.len()) as u64)?;
        let mut batch = collection.shared.catalog.batch();
        batch.put(&key, &value)?;
        for (key, value) in &self.rows {
            batch.put(key, value)?;
        }
        if let Err(NotMade { error, in_doubt }) =
            collection.shared.commit(batch, collection.durability)
        {
            if let Some(heals) = in_doubt {
                let folder = collection.folder().to_owned();
                collection.shared.limbo.put(folder, heals, None);
                self.in_limbo = true;
            }
            return Err(error);
        }
        for taken in self.taken.drain(..).chain([taken]) {
            taken.keep();
        }
        self.committed = true;
        Ok(Assembled {
            stored: Arc::clone(&self.collection),
            layers: std::mem::take(&mut self.layers),
        })
    }

    fn layer(&self, layer: u32) -> &StoredLayer {
        &self.layers[layer as usize]
    }

    /// Has a file of another collection, of so many bytes, under another name too.
    fn share_file(
        &self,
        of: &StoredLayer,
        from: &Path,
        to: &Path,
        (file, bytes): (FileId, u64),
    ) -> Result<(), StoreError> {
        let copied = share(from, to)?;
        let generations = [of.collection.generation, self.collection.generation];
        // A copy is counted as if it were none, which few file systems need.
        self.collection.shared.space.share(file, bytes, generations);
        let (durability, wanted) = (of.collection.durability, self.collection.durability);
        if wanted == Durability::Power && (copied || durability != wanted) {
            sync_file("share.sync", to)?;
        }
        Ok(())
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        if !self.committed {
            if !self.in_limbo {
                // What stays is nobody's, and goes at the next start.
                let _ = fs_err::remove_dir_all(self.collection.folder());
            }
            self.collection
                .shared
                .space
                .forget(self.collection.generation);
        }
    }
}

/// Has all columns in memory while they are written.
pub(super) fn hold_all(columns: &Columns) -> Result<Hold<'_>, StoreError> {
    let ids = columns.schema().ids();
    let all = ids.map(|id| (id, 0..columns.rows(id) as usize));
    columns
        .hold(all, Patience::Stand)
        .map_err(|error| match error {
            ResidenceError::Read { path, source } => StoreError::Io { path, source },
            ResidenceError::NoRoom(refused) => {
                StoreError::io(Path::new("memory"), std::io::Error::other(refused))
            }
        })
}

/// Gives a file another name, or copies it where there can be none. Says whether it was copied.
pub(super) fn share(from: &Path, to: &Path) -> Result<bool, StoreError> {
    let shared = link(from, to).and_then(|linked| {
        if !linked {
            // With its mode. What is wrong with the copy is found by its checksum.
            fs_err::copy(from, to)?;
        }
        Ok(!linked)
    });
    shared.map_err(|source| StoreError::io(from, source))
}

/// Gives a file another name; whether there can be one: not between file systems, on one that knows none, or when it has too
/// many.
pub(super) fn link(from: &Path, to: &Path) -> std::io::Result<bool> {
    let impossible = |refused: &std::io::Error| {
        matches!(
            refused.kind(),
            ErrorKind::CrossesDevices
                | ErrorKind::PermissionDenied
                | ErrorKind::TooManyLinks
                | ErrorKind::Unsupported
        )
    };
    match point("share.link").and_then(|()| fs_err::hard_link(from, to)) {
        Err(refused) if impossible(&refused) => Ok(false),
        refused @ Err(_) => refused.map(|()| false),
        Ok(()) => {
            linked(from, to);
            Ok(true)
        }
    }
}

/// Has the device take a file; `name` is that of the point where a test has it fail.
pub(super) fn sync_file(name: &str, path: &Path) -> Result<(), StoreError> {
    sync(name, path)?;
    file_synced(path);
    Ok(())
}

/// Has the device take the names in a folder.
pub(super) fn sync_folder(name: &str, folder: &Path) -> Result<(), StoreError> {
    sync(name, folder)?;
    folder_synced(folder);
    Ok(())
}

fn sync(name: &str, path: &Path) -> Result<(), StoreError> {
    let synced = point(name).and_then(|()| File::open(path)?.sync_all());
    synced.map_err(|source| StoreError::io(path, source))
}
