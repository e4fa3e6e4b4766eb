//! Why a data directory was not opened, and how to mend it.

use std::path::PathBuf;

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A system call failed.
    #[error("data directory {}: {source}", path.display())]
    Io {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else is there.
    #[error(
        "data directory {} is not a directory: remove it, or choose another data_dir",
        path.display()
    )]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error(
        "data directory {} belongs to user {owner}, but this process is user {process}: \
         run `chown {process} {}`, or choose another data_dir",
        path.display(),
        path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
        /// User id of this process.
        process: u32,
    },
    /// Its group or everybody may read, write or enter it.
    #[error(
        "data directory {} is open to other users (mode {mode:04o}), expected 0700: run `chmod 700 {}`",
        path.display(),
        path.display()
    )]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error(
        "data directory {} is in use by {}: stop that first, or choose another data_dir",
        path.display(),
        holder.as_ref().map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id of the holder, if it has written it yet.
        holder: Option<u64>,
    },
    /// Another build has written it.
    #[error(
        "data directory {} has format {got}, expected format {expected}: use the build that wrote it, \
         or choose another data_dir",
        path.display()
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// The version found.
        got: u64,
        /// The version that this build knows.
        expected: u64,
    },
    /// One of its files is not what was written there.
    #[error("{} is damaged: got {got:?}, expected one whole number and a newline; {mend}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its content, cut short.
        got: String,
        /// What an operator can do.
        mend: &'static str,
    },
}
