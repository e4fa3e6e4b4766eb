//! One collection on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use super::{Durability, Shared, StoreError, StoredLayer};
use crate::catalog::Batch;
use crate::catalog::keys::{self, Family, Key, of_collection};
use crate::catalog::rows::SegmentRow;
use crate::faults::point;
use crate::{Bytes, Home};

/// A collection that a start of the daemon finds.
#[derive(Debug)]
pub struct FoundCollection {
    /// What its owner stored with it.
    pub record: Vec<u8>,
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
        self.delete_contents(&mut batch, &prefix)?;
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

pub(super) fn folder_of(collections: &Path, generation: u64) -> PathBuf {
    collections.join(format!("{generation:016x}"))
}
