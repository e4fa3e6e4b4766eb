//! The file system that the collections are on.

use std::io;
use std::path::Path;

use crate::Bytes;

/// A file system as it is now, whoever else uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// All that it has.
    pub total: Bytes,
    /// What of it this user may still take.
    pub free: Bytes,
}

impl Device {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| Bytes(blocks.saturating_mul(found.f_frsize));
        Ok(Self {
            total: bytes(found.f_blocks),
            free: bytes(found.f_bavail),
        })
    }
}
