//! Why a segment file was not written, or is not the one that was asked for.

use std::io;
use std::path::{Path, PathBuf};

/// Always with the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A system call failed.
    #[error("segment {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is shorter or longer than it was when it was sealed.
    #[error("segment {} has {got} bytes: expected {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        got: u64,
        /// Those that it had.
        expected: u64,
    },
    /// It is no segment file, or so damaged that it cannot be told.
    #[error("segment {} is no whole segment file: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer build has written it.
    #[error("segment {} has format {got}: expected at most {expected}, use the build that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
        /// The newest that this build reads.
        expected: u32,
    },
    /// It is another segment than its place says.
    #[error("segment {} says {key} is {got:?}: expected {expected:?}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Of the metadata.
        key: &'static str,
        /// What it says.
        got: String,
        /// What was expected.
        expected: String,
    },
    /// It does not have the columns of the schema.
    #[error("segment {}: column {column:?} is {got}: expected {expected}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// Name in the schema.
        column: &'static str,
        /// What is there.
        got: String,
        /// What was expected.
        expected: String,
    },
    /// Bytes are not those that were written.
    #[error("segment {}: the checksum of {} is {got:08x}: expected {expected:08x}", path.display(), part(*column))]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Name in the schema; none of the whole file.
        column: Option<&'static str>,
        /// CRC-32C of the bytes that are there.
        got: u32,
        /// CRC-32C of the bytes that were written.
        expected: u32,
    },
}

impl FileError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Length { path, .. }
            | Self::Damaged { path, .. }
            | Self::Newer { path, .. }
            | Self::Label { path, .. }
            | Self::Column { path, .. }
            | Self::Checksum { path, .. } => path,
        }
    }

    /// The column, where it is one that is not as expected.
    pub fn column(&self) -> Option<&'static str> {
        match self {
            Self::Column { column, .. } => Some(column),
            Self::Checksum { column, .. } => *column,
            Self::Io { .. }
            | Self::Length { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Label { .. } => None,
        }
    }
}

fn part(column: Option<&str>) -> String {
    column.map_or_else(
        || "the whole file".to_owned(),
        |column| format!("column {column:?}"),
    )
}
