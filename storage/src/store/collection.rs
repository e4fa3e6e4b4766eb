//! One collection on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use super::{Durability, Remedy, Shared, StoreError, StoredLayer, sweep};
use crate::catalog::keys::{self, Family, Key, of_collection};
use crate::catalog::rows::SegmentRow;
use crate::catalog::{Batch, CatalogError};
use crate::faults::point;
use crate::{Bytes, Home};

/// A collection that a start of the daemon finds.
#[derive(Debug)]
pub struct FoundCollection {
    /// What its owner stored with it, or why nobody knows.
    pub record: Result<Vec<u8>, StoreError>,
    /// Its place.
    pub stored: Arc<StoredCollection>,
}

/// Where a collection is stored.
#[derive(Debug)]
pub struct StoredCollection {
    pub(super) shared: Arc<Shared>,
    pub(super) generation: u64,
    pub(super) name: String,
    pub(super) durability: Durability,
    folder: PathBuf,
    home: Home,
    /// Held to read while something is stored, so that nothing is after the deletion.
    alive: RwLock<bool>,
}

impl StoredCollection {
    pub(super) fn new(
        shared: &Arc<Shared>,
        generation: u64,
        name: String,
        durability: Durability,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            generation,
            name,
            durability,
            folder: folder_of(&shared.folder, generation),
            home: Home::new(&shared.residence),
            alive: RwLock::new(true),
        }
    }

    /// Which collection of its name.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// As it was created.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its acknowledgements promise.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What it has stored: files, and rows of the catalog by their own bytes.
    pub fn used(&self) -> Bytes {
        self.shared.space.of(self.generation)
    }

    /// Where the blocks of its files live.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Where one of its layers is stored.
    pub fn layer(self: &Arc<Self>, layer: u32) -> StoredLayer {
        StoredLayer::new(Arc::clone(self), layer)
    }

    /// Deletes it with all that it has. When this returns, it is not there after a restart.
    ///
    /// # Errors
    /// [`StoreError`] when it was deleted before, or the system refuses: then it is there as it was.
    pub fn delete(&self) -> Result<(), StoreError> {
        let mut alive = self.alive.write();
        if !*alive {
            return Err(self.deleted());
        }
        let mut batch = self.shared.catalog.batch();
        batch.delete(&Key::collection(self.generation))?;
        let prefix = of_collection(self.generation);
        match self.delete_contents(&mut batch, &prefix) {
            // What cannot be read must not keep it from going; a content that names no segment is none.
            Err(error) if error.remedy() == Remedy::Restore => {}
            deleted => deleted?,
        }
        batch.delete_all(Family::Segments, &prefix)?;
        batch.delete_all(Family::Tails, &prefix)?;
        let committed = self.shared.commit(batch, self.durability);
        committed.map_err(|failed| failed.error)?;
        *alive = false;
        self.shared.space.forget(self.generation);
        // What stays is nobody's, and removed at the next start.
        let _ = point("collection.remove").and_then(|()| fs_err::remove_dir_all(&self.folder));
        Ok(())
    }

    /// That its segments have their contents.
    fn delete_contents(&self, batch: &mut Batch<'_>, prefix: &[u8]) -> Result<(), StoreError> {
        let catalog = &self.shared.catalog;
        catalog.visit(Family::Segments, prefix, |key, value| {
            let digest = SegmentRow::decode(value).and_then(|row| row.digest);
            if let Some(((layer, segment), digest)) = keys::segment(key).zip(digest) {
                batch.delete(&Key::content(&digest, self.generation, layer, segment))?;
            }
            Ok::<(), StoreError>(())
        })?
    }

    /// Whether that was done.
    pub fn is_deleted(&self) -> bool {
        !*self.alive.read()
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps it from being deleted for as long as the guard lives.
    pub(super) fn alive(&self) -> Result<RwLockReadGuard<'_, bool>, StoreError> {
        let alive = self.alive.read();
        if *alive {
            Ok(alive)
        } else {
            Err(self.deleted())
        }
    }

    fn deleted(&self) -> StoreError {
        let name = self.name.clone();
        StoreError::Deleted { name }
    }
}

/// Shows the row of every collection, in order of generation. Where RocksDB cannot read through them all, every collection that
/// has a folder is looked up by itself: the rows that are damaged then fail alone.
///
/// # Errors
/// [`StoreError`] when the catalog cannot be read at all.
pub(super) fn visit(
    shared: &Shared,
    mut see: impl FnMut(u64, Result<&[u8], StoreError>),
) -> Result<(), StoreError> {
    let catalog = &shared.catalog;
    let sound = catalog.visit(Family::Collections, &[], |_, _| Ok::<(), StoreError>(()));
    if !matches!(sound, Err(CatalogError::Corrupt { .. })) {
        sound??;
        return catalog.visit(Family::Collections, &[], |key, value| {
            let generation = keys::generation(key);
            let generation =
                generation.ok_or_else(|| catalog.damaged("the key of a collection"))?;
            see(generation, Ok(value));
            Ok(())
        })?;
    }
    let folders = sweep::entries(&shared.folder)?;
    let generations = folders
        .iter()
        .filter_map(|(_, name)| u64::from_str_radix(name.to_str()?, 16).ok());
    let mut generations: Vec<u64> = generations.collect();
    generations.sort_unstable();
    for generation in generations {
        match catalog.get(&Key::collection(generation)) {
            Ok(Some(value)) => see(generation, Ok(&value)),
            // Left behind by what was stopped in between.
            Ok(None) => {}
            Err(error) => see(generation, Err(error.into())),
        }
    }
    Ok(())
}

pub(super) fn folder_of(collections: &Path, generation: u64) -> PathBuf {
    collections.join(format!("{generation:016x}"))
}
