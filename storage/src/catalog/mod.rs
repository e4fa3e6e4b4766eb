//! The catalog: what there is, in RocksDB. Whatever is acknowledged is one atomic batch here; bulk stays in files that a
//! row of the catalog names, so that a file which no row names is nobody's.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `default` | `schema` | version of all keys and values |
//! | | `boot_epoch` | count of the data directory's starts at the last of them |
//! | `collections` | generation | durability, name, and the record of whoever owns the collection |
//! | `segments` | generation, layer, segment | range, and what its file is known by |
//! | `tails` | generation, layer, sink or run, first position | tokens that no segment has: themselves, or their file |
//! | `contents` | digest of the content, generation, layer, segment | nothing: the segment has this content |
//!
//! The write-ahead log is on. A log whose end was being written when the process ended is cut there; one that is damaged
//! before its end is refused, since what follows was acknowledged (`logs.rs` tells the two apart). A table of RocksDB's that is
//! damaged is an error of whoever reads rows in it, and of nobody else.
//!
//! Must not know: what a record or a token means. Nobody outside may know RocksDB. Start at [`Catalog::open`]; `keys.rs`
//! has every key and `rows.rs` every value.

mod error;
pub(crate) mod keys;
mod logs;
pub(crate) mod rows;
mod size;
#[cfg(test)]
mod tests;
mod truth;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use error::CatalogError;
pub(crate) use error::{NotCommitted, is_full};
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME,
    IteratorMode, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};
pub use size::CatalogSize;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use self::keys::{Family, Key};
use self::truth::{Touched, Truth};
use crate::faults::{catalog_write, point};

/// Version of all keys and values that this build writes. 1 knew no file that two collections have.
const SCHEMA: u32 = 2;
/// The oldest that it reads; every row says its own version.
const OLDEST: u32 = 1;
const SCHEMA_KEY: &[u8] = b"schema";
const BOOT_EPOCH_KEY: &[u8] = b"boot_epoch";

/// Bytes of one table of rows that are not in a file yet; there are two of each family at most.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// The log is cut by writing out what is older.
const MAX_LOG_BYTES: u64 = 64 << 20;
const MAX_OPEN_FILES: i32 = 256;

/// The default family has the schema's version and nothing else.
const SMALL_WRITE_BUFFER_BYTES: usize = 1 << 20;
/// More than opening the catalog writes beside what is in its logs.
const OPENING_BYTES: u64 = 1 << 20;

/// An open catalog.
///
/// After a write to its log failed, RocksDB refuses every further one until it is opened anew. So that no restart of the
/// process is needed, the next batch does that, when the device takes writes again. What had failed is in the log or it is
/// not, and would be made when the log is read: so the rows that it touched are read before, and written after.
pub(crate) struct Catalog {
    folder: PathBuf,
    state: RwLock<State>,
    /// Of batches that failed since the catalog was opened. Added to by whoever holds `state` to read.
    doubts: Mutex<Vec<Touched>>,
    heals: AtomicU64,
    /// Whether RocksDB has come upon damage, and is to go on beside it when it is opened anew.
    damaged: AtomicBool,
}

#[derive(Default)]
struct State {
    /// None after it could not be opened anew.
    db: Option<DB>,
    /// To be written when it is open.
    truth: Truth,
}

/// Changes that are made together or not at all.
pub(crate) struct Batch<'a> {
    catalog: &'a Catalog,
    writes: WriteBatch,
    touched: Touched,
}

impl Catalog {
    /// Opens the catalog in `folder`, or makes it.
    ///
    /// # Errors
    /// [`CatalogError`] when a newer build has written it, when it is damaged, or when the system refuses.
    pub(crate) fn open(folder: &Path) -> Result<Self, CatalogError> {
        let db = open(folder, false)?;
        check_schema(folder, &db)?;
        Ok(Self {
            folder: folder.to_owned(),
            damaged: AtomicBool::new(false),
            state: RwLock::new(State {
                db: Some(db),
                truth: Truth::default(),
            }),
            doubts: Mutex::default(),
            heals: AtomicU64::new(0),
        })
    }

    /// Notes which start of the data directory this is.
    ///
    /// # Errors
    /// [`CatalogError::Epoch`] when it was opened at this one, or at a later one.
    pub(crate) fn begin_boot(&self, boot_epoch: u64) -> Result<(), CatalogError> {
        self.with(|db| {
            let last = db.get(BOOT_EPOCH_KEY).map_err(|error| self.failed(error))?;
            let last = last.map(<[u8; 8]>::try_from).transpose();
            let last = last.map_err(|_| self.damaged("its count of starts"))?;
            if let Some(last) = last
                .map(u64::from_le_bytes)
                .filter(|last| *last >= boot_epoch)
            {
                let (path, got) = (self.folder.clone(), boot_epoch);
                return Err(CatalogError::Epoch { path, got, last });
            }
            let written = db.put(BOOT_EPOCH_KEY, boot_epoch.to_le_bytes());
            written.map_err(|error| self.failed(error))
        })
    }

    /// How often it was opened anew after a write had failed.
    pub(crate) fn heals(&self) -> u64 {
        self.heals.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(crate) fn write_schema(&self, version: u32) -> Result<(), CatalogError> {
        self.with(|db| write_schema(&self.folder, db, version))
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            catalog: self,
            writes: WriteBatch::default(),
            touched: Touched::default(),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CatalogError> {
        self.with(|db| {
            let found = db.get_cf(self.family(db, key.family())?, key.bytes());
            found.map_err(|error| self.failed(error))
        })
    }

    /// Shows every row of a family whose key begins with `prefix`, in order of the keys, until `see` fails; one is in
    /// memory at a time. The outer error is the catalog's, the inner one what `see` says, which may not use the catalog.
    pub(crate) fn visit<E>(
        &self,
        family: Family,
        prefix: &[u8],
        mut see: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, CatalogError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix);
        if let Some(end) = keys::end_of(prefix) {
            options.set_iterate_upper_bound(end);
        }
        // Read once, at a start: what is of use later must not leave the cache for it.
        options.fill_cache(false);
        self.with(|db| {
            let family = self.family(db, family)?;
            for row in db.iterator_cf_opt(family, options, IteratorMode::Start) {
                let (key, value) = row.map_err(|error| self.failed(error))?;
                if let Err(error) = see(&key, &value) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
    }

    /// The refusal of a row that is not as it was written.
    pub(crate) fn damaged(&self, what: &'static str) -> CatalogError {
        damaged(&self.folder, what)
    }

    /// Uses what is open; what is not is opened first.
    fn with<T>(&self, see: impl FnOnce(&DB) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        loop {
            if let Some(db) = &self.state.read().db {
                return see(db);
            }
            self.heal()?;
        }
    }

    /// Whether a write has failed, and the catalog was not opened anew since.
    pub(crate) fn is_refusing(&self) -> bool {
        // Whoever has it to write opens it anew.
        let state = self.state.try_read();
        state.is_none_or(|state| state.db.is_none()) || self.is_in_doubt()
    }

    fn is_in_doubt(&self) -> bool {
        !self.doubts.lock().is_empty()
    }

    /// Opens the catalog anew when a batch has failed, without what of it is in the log.
    fn heal(&self) -> Result<(), CatalogError> {
        let mut state = self.state.write();
        if state.db.is_some() && !self.is_in_doubt() {
            return Ok(());
        }
        self.probe()?;
        let State { db, truth } = &mut *state;
        if let Some(open) = db {
            let mut doubts = self.doubts.lock();
            let read = truth.read(open, &doubts);
            read.map_err(|error| self.failed(error))?;
            *db = None;
            doubts.clear();
        }
        let db = open(&self.folder, self.damaged.load(Ordering::Relaxed))?;
        if !state.truth.is_empty() {
            let batch = state.truth.batch(&db);
            let written = db.write_opt(batch, &synced(true));
            written.map_err(|error| self.failed(error))?;
        }
        state.truth = Truth::default();
        state.db = Some(db);
        self.heals.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Whether the device takes what opening the catalog would write; asked first, since that takes long.
    fn probe(&self) -> Result<(), CatalogError> {
        let path = self.folder.with_extension("probe");
        let probed = point("catalog.probe").and_then(|()| {
            let file = fs_err::File::create(&path)?;
            let bytes = log_bytes(&self.folder)? + OPENING_BYTES;
            match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
                // Not every file system can.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.sync_all(),
                Err(error) => Err(error.into()),
            }
        });
        // It may not have been made.
        let _ = fs_err::remove_file(&path);
        probed.map_err(|error| CatalogError::io(&self.folder, &error))
    }

    fn family<'a>(&self, db: &'a DB, family: Family) -> Result<&'a ColumnFamily, CatalogError> {
        let found = db.cf_handle(family.name());
        found.ok_or_else(|| self.damaged("its column families"))
    }

    fn failed(&self, error: rocksdb::Error) -> CatalogError {
        CatalogError::of(&self.folder, error)
    }
}

/// Opens it; one that is `damaged` without looking at tables that are not read yet.
fn open(folder: &Path, damaged: bool) -> Result<DB, CatalogError> {
    point("catalog.open").map_err(|error| CatalogError::io(folder, &error))?;
    logs::check(folder)?;
    match open_db(folder, !damaged) {
        // Of a table: the logs are sound. Whoever reads it is told again.
        Err(CatalogError::Corrupt { .. }) if !damaged => open_db(folder, false),
        opened => opened,
    }
}

/// RocksDB, which is `careful` where it opens nothing with a damaged table, nor writes after it has come upon one.
fn open_db(folder: &Path, careful: bool) -> Result<DB, CatalogError> {
    let mut options = Options::default();
    options.set_paranoid_checks(careful);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(MAX_LOG_BYTES);
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    let family = |name, bytes| {
        let mut options = Options::default();
        options.set_write_buffer_size(bytes);
        ColumnFamilyDescriptor::new(name, options)
    };
    let ours = Family::ALL.map(|of| family(of.name(), WRITE_BUFFER_BYTES));
    // RocksDB keeps as much of the device free for a log as its largest buffer has.
    let default = family(DEFAULT_COLUMN_FAMILY_NAME, SMALL_WRITE_BUFFER_BYTES);
    let families = ours.into_iter().chain([default]);
    DB::open_cf_descriptors(&options, folder, families)
        .map_err(|error| CatalogError::of(folder, error))
}

fn check_schema(folder: &Path, db: &DB) -> Result<(), CatalogError> {
    let failed = |error| CatalogError::of(folder, error);
    let Some(found) = db.get(SCHEMA_KEY).map_err(failed)? else {
        return write_schema(folder, db, SCHEMA);
    };
    match <[u8; 4]>::try_from(found).map(u32::from_le_bytes) {
        Ok(SCHEMA) => Ok(()),
        // From now on it may have rows that an older build does not read.
        Ok(OLDEST..SCHEMA) => write_schema(folder, db, SCHEMA),
        Ok(got) => Err(CatalogError::Schema {
            path: folder.to_owned(),
            got,
            expected: SCHEMA,
        }),
        Err(_) => Err(damaged(folder, "its schema's version")),
    }
}

fn write_schema(folder: &Path, db: &DB, version: u32) -> Result<(), CatalogError> {
    let written = db.put(SCHEMA_KEY, version.to_le_bytes());
    written.map_err(|error| CatalogError::of(folder, error))
}

/// Whether there is one in `folder`.
pub(crate) fn exists(folder: &Path) -> bool {
    folder.join("CURRENT").exists()
}

fn damaged(folder: &Path, what: &'static str) -> CatalogError {
    CatalogError::Damaged {
        path: folder.to_owned(),
        what,
    }
}

/// Of all logs: what of them is in no table yet is written to one when the catalog is opened.
fn log_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|name| name == "log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn synced(sync: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    options
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, key: &Key, value: &[u8]) -> Result<(), CatalogError> {
        let (catalog, writes) = (self.catalog, &mut self.writes);
        self.touched.keys.push(key.clone());
        catalog.with(|db| {
            let family = catalog.family(db, key.family())?;
            writes.put_cf(family, key.bytes(), value);
            Ok(())
        })
    }

    pub(crate) fn delete(&mut self, key: &Key) -> Result<(), CatalogError> {
        let (catalog, writes) = (self.catalog, &mut self.writes);
        self.touched.keys.push(key.clone());
        catalog.with(|db| {
            let family = catalog.family(db, key.family())?;
            writes.delete_cf(family, key.bytes());
            Ok(())
        })
    }

    /// Deletes every row of a family whose key begins with `prefix`.
    pub(crate) fn delete_all(&mut self, family: Family, prefix: &[u8]) -> Result<(), CatalogError> {
        let Some(end) = keys::end_of(prefix) else {
            return Ok(());
        };
        let (catalog, writes) = (self.catalog, &mut self.writes);
        self.touched.prefixes.push((family, prefix.to_vec()));
        catalog.with(|db| {
            let family = catalog.family(db, family)?;
            writes.delete_range_cf(family, prefix, &end);
            Ok(())
        })
    }

    /// Makes the changes. When this returns, they outlive the process; with `sync`, a loss of power too.
    ///
    /// # Errors
    /// [`NotCommitted`]: for this process, none is made.
    pub(crate) fn commit(self, sync: bool) -> Result<(), NotCommitted> {
        let Self {
            catalog,
            writes,
            touched,
        } = self;
        let state = loop {
            let state = catalog.state.read();
            if state.db.is_some() && !catalog.is_in_doubt() {
                break state;
            }
            drop(state);
            catalog.heal()?;
        };
        let Some(db) = &state.db else {
            return Err(catalog.damaged("its state").into());
        };
        let write = || {
            point("catalog.commit").map_err(|error| CatalogError::io(&catalog.folder, &error))?;
            let written = db.write_opt(writes, &synced(sync));
            written.map_err(|error| catalog.failed(error))
        };
        catalog_write(&catalog.folder, sync, write).map_err(|error| {
            if matches!(error, CatalogError::Corrupt { .. }) {
                catalog.damaged.store(true, Ordering::Relaxed);
            }
            // While the state is held: nobody opens the catalog anew without knowing this.
            catalog.doubts.lock().push(touched);
            let in_doubt = Some(catalog.heals());
            NotCommitted { error, in_doubt }
        })?;
        // An error would come too late.
        let _ = point("catalog.committed");
        Ok(())
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
