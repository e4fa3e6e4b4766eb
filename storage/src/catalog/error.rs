//! Why the catalog was not opened, read or changed.

use std::io;
use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;

/// Always with the catalog's path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A newer build has written it.
    #[error("catalog {} has schema {got}: expected {expected}, use the build that wrote it", path.display())]
    Schema {
        /// The catalog.
        path: PathBuf,
        /// Its version.
        got: u32,
        /// The version of this build.
        expected: u32,
    },
    /// It is not as it was written.
    #[error("catalog {} is damaged: {what} is not as it was written", path.display())]
    Damaged {
        /// The catalog.
        path: PathBuf,
        /// Which part of it.
        what: &'static str,
    },
    /// A log of RocksDB's is not as it was written, and what follows was acknowledged.
    #[error(
        "catalog {} is damaged: {name} is not as it was written from byte {byte} on, and does not break off there: expected \
         it to be restored", path.display()
    )]
    Log {
        /// The catalog.
        path: PathBuf,
        /// The file.
        name: String,
        /// Of the record.
        byte: u64,
    },
    /// There are collections and no catalog that has them.
    #[error("catalog {} has no file CURRENT, and there are collections: expected it to be restored", path.display())]
    Missing {
        /// The catalog.
        path: PathBuf,
    },
    /// The directory's count of starts has gone back.
    #[error(
        "BOOT_EPOCH is {got}: expected more than {last}, which catalog {} was opened with: numbers would be given twice", path.display()
    )]
    Epoch {
        /// The catalog.
        path: PathBuf,
        /// The directory's.
        got: u64,
        /// That of the last start.
        last: u64,
    },
    /// RocksDB found it damaged.
    #[error("catalog {} is damaged: {message}", path.display())]
    Corrupt {
        /// The catalog.
        path: PathBuf,
        /// What RocksDB said.
        message: String,
    },
    /// The disk is full.
    #[error("catalog {}: no space left on the device: {message}", path.display())]
    Full {
        /// The catalog.
        path: PathBuf,
        /// What RocksDB said.
        message: String,
    },
    /// RocksDB did not do what it was asked.
    #[error("catalog {}: {message}", path.display())]
    Refused {
        /// The catalog.
        path: PathBuf,
        /// What RocksDB said.
        message: String,
    },
}

/// Whether there is no room on the device, or none for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A batch that was not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotCommitted {
    pub(crate) error: CatalogError,
    /// Set where a start of the process might find it made after all, until the catalog has [healed](super::Catalog::heals)
    /// more often than this.
    pub(crate) in_doubt: Option<u64>,
}

impl From<CatalogError> for NotCommitted {
    fn from(error: CatalogError) -> Self {
        let in_doubt = None;
        Self { error, in_doubt }
    }
}

impl CatalogError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let (path, message) = (path.to_owned(), error.to_string());
        if is_full(error) {
            Self::Full { path, message }
        } else {
            Self::Refused { path, message }
        }
    }

    pub(super) fn of(path: &Path, error: rocksdb::Error) -> Self {
        let (path, kind) = (path.to_owned(), error.kind());
        let message = error.into_string();
        if kind == ErrorKind::Corruption {
            Self::Corrupt { path, message }
        } else if ["No space left", "NoSpace", "Disk quota exceeded"]
            .iter()
            .any(|words| message.contains(words))
        {
            // RocksDB hands on the system's words and keeps the number to itself.
            Self::Full { path, message }
        } else {
            Self::Refused { path, message }
        }
    }
}
