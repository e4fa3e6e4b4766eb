//! What rows must be, when a batch that touched them failed: whether it is in the log all the same, nobody knows.

use std::collections::BTreeMap;

use rocksdb::{DB, Direction, ErrorKind, IteratorMode, WriteBatch};

use super::keys::{Family, Key};

/// The rows that a batch changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) keys: Vec<Key>,
    /// All rows of the family whose keys begin so.
    pub(super) prefixes: Vec<(Family, Vec<u8>)>,
}

/// Rows as they are when no batch is made that failed; those that are not there have no value.
#[derive(Debug, Default)]
pub(super) struct Truth(BTreeMap<Key, Option<Vec<u8>>>);

impl Truth {
    /// Adds the rows that batches have touched, as `db` shows them, which has none of the batches in its memory. Those that
    /// are damaged nobody can have back.
    pub(super) fn read(&mut self, db: &DB, touched: &[Touched]) -> Result<(), rocksdb::Error> {
        for Touched { keys, prefixes } in touched {
            for key in keys {
                unless_damaged(self.read_one(db, key))?;
            }
            for (family, prefix) in prefixes {
                unless_damaged(self.read_all(db, *family, prefix))?;
            }
        }
        Ok(())
    }

    fn read_one(&mut self, db: &DB, key: &Key) -> Result<(), rocksdb::Error> {
        if let Some(family) = db.cf_handle(key.family().name()) {
            let value = db.get_cf(family, key.bytes())?;
            self.0.insert(key.clone(), value);
        }
        Ok(())
    }

    fn read_all(&mut self, db: &DB, family: Family, prefix: &[u8]) -> Result<(), rocksdb::Error> {
        let Some(handle) = db.cf_handle(family.name()) else {
            return Ok(());
        };
        for row in db.iterator_cf(handle, IteratorMode::From(prefix, Direction::Forward)) {
            let (key, value) = row?;
            if !key.starts_with(prefix) {
                break;
            }
            let key = Key::of_bytes(family, &key);
            self.0.insert(key, Some(value.into_vec()));
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batch that makes the rows so.
    pub(super) fn batch(&self, db: &DB) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for (key, value) in &self.0 {
            match (db.cf_handle(key.family().name()), value) {
                (Some(family), Some(value)) => batch.put_cf(family, key.bytes(), value),
                (Some(family), None) => batch.delete_cf(family, key.bytes()),
                (None, _) => {}
            }
        }
        batch
    }
}

fn unless_damaged(read: Result<(), rocksdb::Error>) -> Result<(), rocksdb::Error> {
    match read {
        Err(error) if error.kind() == ErrorKind::Corruption => Ok(()),
        read => read,
    }
}
