//! Why a snapshot was not made, read or removed.

use std::io;
use std::path::{Path, PathBuf};

use crate::BudgetExceeded;
use crate::segment::file::{FileError, LoadError};
use crate::store::{Remedy, StoreError};

/// Always with the name, or a path.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is one of the name.
    #[error("{name} exists: expected a name that is not taken")]
    Exists {
        /// That was given.
        name: String,
    },
    /// There is none of the name.
    #[error("{name} does not exist: expected the name of a snapshot")]
    Missing {
        /// That was given.
        name: String,
    },
    /// A newer build has made it.
    #[error("{} has format {got}: expected at most {expected}, use the build that made it", path.display())]
    Newer {
        /// Its manifest.
        path: PathBuf,
        /// Its version.
        got: u32,
        /// The newest that this build reads.
        expected: u32,
    },
    /// A file of it is not as it was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file or folder of it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a segment.
    #[error(transparent)]
    Segment(#[from] FileError),
    /// What the collection has stored.
    #[error(transparent)]
    Store(StoreError),
    /// There is no memory for a segment.
    #[error(transparent)]
    NoMemory(#[from] BudgetExceeded),
}

impl From<StoreError> for SnapshotError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Io { path, source } = error {
            Self::Io { path, source }
        } else {
            Self::Store(error)
        }
    }
}

impl From<LoadError> for SnapshotError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::File(error) => error.into(),
            LoadError::NoMemory(error) => error.into(),
        }
    }
}

impl SnapshotError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// What can be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Exists { .. } | Self::Missing { .. } => Remedy::Gone,
            Self::NoMemory(_) => Remedy::Space,
            Self::Io { source, .. } | Self::Segment(FileError::Io { source, .. }) => {
                Remedy::of(source)
            }
            Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::Segment(
                FileError::Length { .. }
                | FileError::Damaged { .. }
                | FileError::Newer { .. }
                | FileError::Label { .. }
                | FileError::Column { .. }
                | FileError::Checksum { .. },
            ) => Remedy::Restore,
            Self::Store(error) => error.remedy(),
        }
    }
}
