//! How big the catalog is, and what RocksDB has to do beside what it is asked for.

use rocksdb::{DB, DEFAULT_COLUMN_FAMILY_NAME, properties};

use super::keys::Family;
use super::{Catalog, log_bytes};

/// Of all column families together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogSize {
    /// Rows in memory that are in no table on disk yet.
    pub unwritten_bytes: u64,
    /// Tables on disk.
    pub table_bytes: u64,
    /// The logs of writes.
    pub log_bytes: u64,
    /// About so many bytes of tables are to be merged.
    pub to_compact_bytes: u64,
    /// Blocks of tables in memory.
    pub cache_bytes: u64,
    /// Of the tables themselves in memory: indices and filters.
    pub readers_bytes: u64,
    /// Merges of tables that run.
    pub compactions: u64,
    /// Tables that are being written.
    pub flushes: u64,
    /// Errors of either since the catalog was opened.
    pub errors: u64,
    /// How often it was opened anew after a write had failed.
    pub heals: u64,
}

impl Catalog {
    /// None while it is not open.
    pub(crate) fn size(&self) -> Option<CatalogSize> {
        let state = self.state.try_read()?;
        let db = state.db.as_ref()?;
        let one = |property| db.property_int_value(property).ok().flatten().unwrap_or(0);
        Some(CatalogSize {
            unwritten_bytes: sum(db, properties::CUR_SIZE_ALL_MEM_TABLES),
            table_bytes: sum(db, properties::TOTAL_SST_FILES_SIZE),
            log_bytes: log_bytes(&self.folder).unwrap_or(0),
            to_compact_bytes: sum(db, properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            cache_bytes: sum(db, properties::BLOCK_CACHE_USAGE),
            readers_bytes: sum(db, properties::ESTIMATE_TABLE_READERS_MEM),
            compactions: one(properties::NUM_RUNNING_COMPACTIONS),
            flushes: one(properties::NUM_RUNNING_FLUSHES),
            errors: one(properties::BACKGROUND_ERRORS),
            heals: self.heals(),
        })
    }
}

/// Of what every family has for itself; a figure that RocksDB does not have is none.
fn sum(db: &DB, property: &properties::PropName) -> u64 {
    let names = Family::ALL.map(Family::name).into_iter();
    let names = names.chain([DEFAULT_COLUMN_FAMILY_NAME]);
    let values = names.filter_map(|name| {
        let family = db.cf_handle(name)?;
        db.property_int_value_cf(family, property).ok()?
    });
    values.sum()
}
