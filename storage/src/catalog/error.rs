//! Why the catalog was not opened, read or changed.

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

impl CatalogError {
    pub(super) fn of(path: &Path, error: rocksdb::Error) -> Self {
        let (path, kind) = (path.to_owned(), error.kind());
        let message = error.into_string();
        if kind == ErrorKind::Corruption {
            Self::Corrupt { path, message }
        } else if message.contains("No space left") || message.contains("NoSpace") {
            // RocksDB hands on the system's words and keeps the number to itself.
            Self::Full { path, message }
        } else {
            Self::Refused { path, message }
        }
    }
}
