//! The catalog: what there is, in RocksDB. Whatever is acknowledged is one atomic batch here; bulk stays in files that a
//! row of the catalog names, so that a file which no row names is nobody's.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `default` | `schema` | version of all keys and values |
//! | `collections` | generation | durability, name, and the record of whoever owns the collection |
//! | `segments` | generation, layer, segment | range, and what its file is known by |
//! | `tails` | generation, layer, sink or run, first position | tokens that no segment has: themselves, or their file |
//! | `contents` | digest of the content, generation, layer, segment | nothing: the segment has this content |
//!
//! The write-ahead log is on. A log whose end was being written when the process ended is cut there; one that is damaged
//! before its end is refused, since what follows was acknowledged.
//!
//! Must not know: what a record or a token means. Nobody outside may know RocksDB. Start at [`Catalog::open`]; `keys.rs`
//! has every key and `rows.rs` every value.

mod error;
pub(crate) mod keys;
pub(crate) mod rows;

use std::path::Path;

pub use error::CatalogError;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, IteratorMode, LogLevel, Options,
    ReadOptions, WriteBatch, WriteOptions,
};

use self::keys::{Family, Key};

/// Version of all keys and values that this build writes. 1 knew no file that two collections have.
const SCHEMA: u32 = 2;
/// The oldest that it reads; every row says its own version.
const OLDEST: u32 = 1;
const SCHEMA_KEY: &[u8] = b"schema";

/// Bytes of one table of rows that are not in a file yet; there are two of each family at most.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// The log is cut by writing out what is older.
const MAX_LOG_BYTES: u64 = 64 << 20;
const MAX_OPEN_FILES: i32 = 256;

/// An open catalog.
pub(crate) struct Catalog {
    db: DB,
}

/// Changes that are made together or not at all.
pub(crate) struct Batch<'a> {
    catalog: &'a Catalog,
    writes: WriteBatch,
}

impl Catalog {
    /// Opens the catalog in `folder`, or makes it.
    ///
    /// # Errors
    /// [`CatalogError`] when a newer build has written it, when it is damaged, or when the system refuses.
    pub(crate) fn open(folder: &Path) -> Result<Self, CatalogError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_max_total_wal_size(MAX_LOG_BYTES);
        options.set_max_open_files(MAX_OPEN_FILES);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(2);
        options.set_stats_dump_period_sec(0);
        let families = Family::ALL.map(|family| {
            let mut options = Options::default();
            options.set_write_buffer_size(WRITE_BUFFER_BYTES);
            ColumnFamilyDescriptor::new(family.name(), options)
        });
        let db = DB::open_cf_descriptors(&options, folder, families)
            .map_err(|error| CatalogError::of(folder, error))?;
        let catalog = Self { db };
        catalog.check_schema()?;
        Ok(catalog)
    }

    fn check_schema(&self) -> Result<(), CatalogError> {
        let failed = |error| CatalogError::of(self.db.path(), error);
        let Some(found) = self.db.get(SCHEMA_KEY).map_err(failed)? else {
            return self.write_schema(SCHEMA);
        };
        match <[u8; 4]>::try_from(found).map(u32::from_le_bytes) {
            Ok(SCHEMA) => Ok(()),
            // From now on it may have rows that an older build does not read.
            Ok(OLDEST..SCHEMA) => self.write_schema(SCHEMA),
            Ok(got) => Err(CatalogError::Schema {
                path: self.db.path().to_owned(),
                got,
                expected: SCHEMA,
            }),
            Err(_) => Err(self.damaged("its schema's version")),
        }
    }

    pub(crate) fn write_schema(&self, version: u32) -> Result<(), CatalogError> {
        let written = self.db.put(SCHEMA_KEY, version.to_le_bytes());
        written.map_err(|error| CatalogError::of(self.db.path(), error))
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            catalog: self,
            writes: WriteBatch::default(),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CatalogError> {
        let found = self.db.get_cf(self.family(key.family())?, key.bytes());
        found.map_err(|error| CatalogError::of(self.db.path(), error))
    }

    /// Shows every row of a family whose key begins with `prefix`, in order of the keys, until `see` fails; one is in
    /// memory at a time. The outer error is the catalog's, the inner one what `see` says.
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
        let rows = self
            .db
            .iterator_cf_opt(self.family(family)?, options, IteratorMode::Start);
        for row in rows {
            let (key, value) = row.map_err(|error| CatalogError::of(self.db.path(), error))?;
            if let Err(error) = see(&key, &value) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// The refusal of a row that is not as it was written.
    pub(crate) fn damaged(&self, what: &'static str) -> CatalogError {
        CatalogError::Damaged {
            path: self.db.path().to_owned(),
            what,
        }
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, CatalogError> {
        let found = self.db.cf_handle(family.name());
        found.ok_or_else(|| self.damaged("its column families"))
    }
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, key: &Key, value: &[u8]) -> Result<(), CatalogError> {
        let family = self.catalog.family(key.family())?;
        self.writes.put_cf(family, key.bytes(), value);
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &Key) -> Result<(), CatalogError> {
        let family = self.catalog.family(key.family())?;
        self.writes.delete_cf(family, key.bytes());
        Ok(())
    }

    /// Deletes every row of a family whose key begins with `prefix`.
    pub(crate) fn delete_all(&mut self, family: Family, prefix: &[u8]) -> Result<(), CatalogError> {
        if let Some(end) = keys::end_of(prefix) {
            let family = self.catalog.family(family)?;
            self.writes.delete_range_cf(family, prefix, &end);
        }
        Ok(())
    }

    /// Makes the changes. When this returns, they outlive the process; with `sync`, a loss of power too.
    pub(crate) fn commit(self, sync: bool) -> Result<(), CatalogError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let db = &self.catalog.db;
        db.write_opt(self.writes, &options)
            .map_err(|error| CatalogError::of(db.path(), error))
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("path", &self.db.path())
            .finish_non_exhaustive()
    }
}
