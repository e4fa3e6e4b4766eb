//! Why something was not stored, or is not there any more.

use std::io;
use std::path::{Path, PathBuf};

use crate::Bytes;
use crate::catalog::{CatalogError, NotCommitted, is_full};
use crate::segment::file::FileError;

/// Always with a path, or the name of the collection.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The file of a segment.
    #[error(transparent)]
    Segment(#[from] FileError),
    /// Any other file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of tokens that no segment has is not as it was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It would pass the limit of the disk.
    #[error(
        "{asked} of disk were asked for: the disk budget does not allow it ({used} of {limit} are used)"
    )]
    NoRoom {
        /// What would have been stored.
        asked: Bytes,
        /// What all collections have stored.
        used: Bytes,
        /// What they may store together.
        limit: Bytes,
    },
    /// It was deleted before this.
    #[error("collection {name} was deleted")]
    Deleted {
        /// Of the collection.
        name: String,
    },
}

/// A change that was not made.
#[derive(Debug)]
pub(super) struct NotMade {
    pub(super) error: StoreError,
    /// See [`NotCommitted::in_doubt`].
    pub(super) in_doubt: Option<u64>,
}

impl<E: Into<StoreError>> From<E> for NotMade {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            in_doubt: None,
        }
    }
}

impl NotMade {
    pub(super) fn of(failed: NotCommitted) -> Self {
        Self {
            error: failed.error.into(),
            in_doubt: failed.in_doubt,
        }
    }
}

impl From<NotCommitted> for StoreError {
    fn from(failed: NotCommitted) -> Self {
        failed.error.into()
    }
}

/// What can be done about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Make room on the device, and do it again.
    Space,
    /// Do it again when the device works again.
    Repair,
    /// Restore what is damaged: doing it again does not help.
    Restore,
    /// None: the collection is gone.
    Gone,
}

impl StoreError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// What can be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Catalog(CatalogError::Full { .. }) | Self::NoRoom { .. } => Remedy::Space,
            Self::Catalog(CatalogError::Refused { .. }) => Remedy::Repair,
            Self::Io { source, .. } | Self::Segment(FileError::Io { source, .. }) => {
                Remedy::of(source)
            }
            Self::Catalog(
                CatalogError::Schema { .. }
                | CatalogError::Damaged { .. }
                | CatalogError::Log { .. }
                | CatalogError::Missing { .. }
                | CatalogError::Epoch { .. }
                | CatalogError::Corrupt { .. },
            )
            | Self::Damaged { .. }
            | Self::Segment(
                FileError::Length { .. }
                | FileError::Damaged { .. }
                | FileError::Newer { .. }
                | FileError::Label { .. }
                | FileError::Column { .. }
                | FileError::Checksum { .. },
            ) => Remedy::Restore,
            Self::Deleted { .. } => Remedy::Gone,
        }
    }
}

impl Remedy {
    pub(super) fn of(source: &io::Error) -> Self {
        if is_full(source) {
            Self::Space
        } else if source.kind() == io::ErrorKind::NotFound {
            // A file that the catalog names and that is not there is lost.
            Self::Restore
        } else {
            Self::Repair
        }
    }
}
