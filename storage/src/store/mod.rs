//! What outlives the process: the collections of a data directory, each with its files and its rows of the catalog.
//!
//! | in the data directory | content |
//! | --- | --- |
//! | `catalog/` | RocksDB |
//! | `collections/<generation>/` | files of one collection |
//! | `…/<layer>-<segment>.arrow` | a segment |
//! | `…/tail-<number>` | tokens that no segment has, of one large append |
//!
//! A file is made before the row that names it and removed after it: whatever stops the process in between leaves a file
//! that no row names, which [`Store::sweep`] removes at the next start, and never a row without its file. A file that
//! several collections have is one file with a name in the folder of each: the file system counts its references.
//!
//! Tokens of an append stand in the row itself, or from 64 KiB on in a file of their own that the row names:
//! RocksDB writes a value to its log and again to its table, with a checksum that is slow where SSE 4.2 may not be
//! assumed, and a file is written once.
//!
//! Must not know: what a token, a column or a record means. Start at [`Store::open`], then [`StoredLayer`], [`Assembly`] and
//! [`snapshots`]; `verify.rs` reads what is there again.

mod assembly;
mod collection;
mod contents;
mod device;
mod durability;
mod error;
mod layer;
mod limbo;
mod opened;
mod run;
pub mod snapshots;
mod space;
mod sweep;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use assembly::{Assembled, Assembly};
pub use collection::{FoundCollection, StoredCollection};
pub use device::Device;
pub use durability::Durability;
use error::NotMade;
pub use error::{Remedy, StoreError};
pub use layer::{FoundSegment, PendingSegment, SegmentName, StoredLayer};
pub use run::Run;
pub use space::Reclaim;
pub use sweep::Swept;
pub use verify::{FoundRun, LayerRows, See};

use fs_err::File;

use self::limbo::Limbo;
use self::opened::Opened;
use self::space::Space;
pub use crate::catalog::CatalogSize;
use crate::catalog::keys::Key;
use crate::catalog::rows::CollectionRow;
use crate::catalog::{self, Batch, Catalog, CatalogError};
use crate::faults::{folder_synced, point};
use crate::{Bytes, DataDir, Residence};

/// From how many bytes on an append has a file of its own.
const INLINE_BYTES: usize = 64 << 10;

/// The collections on disk. Clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    catalog: Catalog,
    /// `collections/`.
    folder: PathBuf,
    space: Arc<Space>,
    opened: Opened,
    residence: Residence,
    limbo: Limbo,
    /// Of the next file of tokens: the boot epoch above a count.
    next_file: AtomicU64,
}

impl Store {
    /// Opens what is in the data directory, or begins it. Rows are checked; files are not looked at. What of them is in
    /// memory is decided by `residence`.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog is a newer build's or damaged, or the system refuses.
    pub fn open(dir: &DataDir, residence: Residence) -> Result<Self, StoreError> {
        Self::open_within(dir, residence, Bytes(u64::MAX))
    }

    /// The same, with a limit on what all collections may store together. What is there already may be more.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_within(
        dir: &DataDir,
        residence: Residence,
        limit: Bytes,
    ) -> Result<Self, StoreError> {
        let folder = dir.path().join("collections");
        make_folder(&folder)?;
        let path = dir.path().join("catalog");
        if !catalog::exists(&path) && !sweep::entries(&folder)?.is_empty() {
            // RocksDB would make an empty one, and all files were nobody's.
            return Err(CatalogError::Missing { path }.into());
        }
        let catalog = Catalog::open(&path)?;
        catalog.begin_boot(dir.boot_epoch())?;
        Ok(Self {
            shared: Arc::new(Shared {
                catalog,
                folder,
                space: Arc::new(Space::new(limit)),
                opened: Opened::default(),
                residence,
                limbo: Limbo::default(),
                next_file: AtomicU64::new(dir.boot_epoch() << 32),
            }),
        })
    }

    /// Which blocks of its files are in memory.
    pub fn residence(&self) -> &Residence {
        &self.shared.residence
    }

    /// Begins a collection. When this returns, it is there after a restart.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses; the collection is not there then.
    pub fn create(
        &self,
        generation: u64,
        name: &str,
        durability: Durability,
        record: Vec<u8>,
    ) -> Result<Arc<StoredCollection>, StoreError> {
        let stored = StoredCollection::new(&self.shared, generation, name.to_owned(), durability);
        make_folder(stored.folder())?;
        if durability == Durability::Power {
            let folder = &self.shared.folder;
            let synced = point("collection.sync").and_then(|()| File::open(folder)?.sync_all());
            synced.map_err(|source| StoreError::io(folder, source))?;
            folder_synced(folder);
        }
        let row = CollectionRow {
            durability: durability.number(),
            name: name.to_owned(),
            record,
        };
        let (key, value) = (Key::collection(generation), row.encode());
        let bytes = (key.len() + value.len()) as u64;
        let taken = self.shared.space.take(generation, bytes)?;
        let mut batch = self.shared.catalog.batch();
        batch.put(&key, &value)?;
        let committed = self.shared.commit(batch, durability);
        committed.map_err(|failed| failed.error)?;
        taken.keep();
        Ok(Arc::new(stored))
    }

    /// Every collection that there is, in order of generation; one whose row cannot be had is there without its name and record.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read.
    pub fn collections(&self) -> Result<Vec<FoundCollection>, StoreError> {
        let mut found = vec![];
        collection::visit(&self.shared, |generation, row| {
            let row = row.and_then(|value| self.shared.collection_row(value));
            let (durability, name, record) = match row {
                Ok((durability, row)) => (durability, row.name, Ok(row.record)),
                Err(error) => (Durability::Process, String::new(), Err(error)),
            };
            let stored = StoredCollection::new(&self.shared, generation, name, durability);
            let stored = Arc::new(stored);
            found.push(FoundCollection { record, stored });
        })?;
        Ok(found)
    }

    /// What all collections have stored: files, and rows of the catalog by their own bytes. Exact after [`Store::sweep`].
    pub fn used(&self) -> Bytes {
        self.shared.space.used()
    }

    /// What they may store together.
    pub fn limit(&self) -> Bytes {
        self.shared.space.limit()
    }

    /// The file system that the collections are on, as it is now.
    ///
    /// # Errors
    /// What the system says.
    pub fn device(&self) -> std::io::Result<Device> {
        Device::of(&self.shared.folder)
    }

    /// How big the catalog is; nothing while it is not open.
    pub fn catalog_size(&self) -> Option<CatalogSize> {
        self.shared.catalog.size()
    }

    /// Whether nothing can be stored for now: a write of the catalog has failed, and none has succeeded since.
    pub fn is_refusing(&self) -> bool {
        self.shared.catalog.is_refusing()
    }

    /// Has `reclaim` asked for the bytes that are missing before anything is refused for want of them. It may delete
    /// collections of this store. The first that is given stays.
    pub fn reclaim_with(&self, reclaim: Reclaim) {
        self.shared.space.reclaim_with(reclaim);
    }

    /// Counts what every collection has stored, and removes the files that no row names. Nobody may be storing meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read; a file that cannot be removed stays.
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        sweep::sweep(&self.shared)
    }
}

impl Shared {
    /// Commits a batch, and removes the files of those that had failed before.
    fn commit(&self, batch: Batch<'_>, durability: Durability) -> Result<(), NotMade> {
        let committed = batch.commit(durability == Durability::Power);
        committed.map_err(NotMade::of)?;
        self.limbo.clear(self.catalog.heals());
        Ok(())
    }

    fn collection_row(&self, value: &[u8]) -> Result<(Durability, CollectionRow), StoreError> {
        let row = CollectionRow::decode(value);
        let row = row.and_then(|row| Some((Durability::of_number(row.durability)?, row)));
        Ok(row.ok_or_else(|| self.catalog.damaged("the row of a collection"))?)
    }

    /// Of a collection that the catalog has.
    fn collection_name(&self, generation: u64) -> Option<String> {
        let value = self.catalog.get(&Key::collection(generation)).ok()??;
        Some(CollectionRow::decode(&value)?.name)
    }

    fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }
}

/// A folder for its user alone; one that is there already is as good.
fn make_folder(path: &Path) -> Result<(), StoreError> {
    let made =
        point("collection.make").and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(path));
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::io(path, error))
        }
        _ => Ok(()),
    }
}
