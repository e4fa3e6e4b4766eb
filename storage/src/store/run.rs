//! Tokens in a row: how they are written, inline or to a file, and read back.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::space::Taken;
use super::{INLINE_BYTES, StoreError, StoredCollection};
use crate::catalog::rows::{TailContent, TailRow};
use crate::faults::{file_synced, folder_synced, point};
use crate::segment::file::Sync;

/// Some tokens with neighbouring positions.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Of the first.
    pub start: u32,
    /// How many.
    pub tokens: u32,
    /// Each has all tokens, one after the other, as many bytes each.
    pub planes: &'a [&'a [u8]],
}

/// A run as a row of the catalog, and the file that has its tokens where they are not in the row.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) value: Vec<u8>,
    pub(super) file: Option<u64>,
    /// Row and file.
    pub(super) taken: Taken,
}

impl Run<'_> {
    fn bytes(&self) -> usize {
        self.planes.iter().map(|plane| plane.len()).sum()
    }

    /// Makes the row of a key of so many bytes, and the file where there is one. `take` is asked for their bytes.
    pub(super) fn write(
        &self,
        to: &StoredCollection,
        key_bytes: usize,
        take: impl FnOnce(u64) -> Result<Taken, StoreError>,
    ) -> Result<Written, StoreError> {
        let tokens = self.tokens.max(1) as usize;
        let row_bytes = self
            .planes
            .iter()
            .map(|plane| (plane.len() / tokens) as u32);
        let row = |content| TailRow {
            tokens: self.tokens,
            stored: self.tokens,
            row_bytes: row_bytes.clone().collect(),
            content,
        };
        if self.bytes() < INLINE_BYTES {
            let inline = self.planes.concat();
            let value = row(TailContent::Inline(&inline)).encode();
            let taken = take((key_bytes + value.len()) as u64)?;
            return Ok(Written {
                value,
                file: None,
                taken,
            });
        }
        let number = to.shared.next_file();
        let of_file = |checksum| row(TailContent::File { number, checksum }).encode();
        let taken = take((key_bytes + of_file(0).len() + self.bytes()) as u64)?;
        let path = path_of(to.folder(), number);
        let checksum = match self.write_file(&path, to.durability.sync()) {
            Ok(checksum) => checksum,
            Err(source) => {
                remove(to.folder(), number);
                return Err(StoreError::io(&path, source));
            }
        };
        Ok(Written {
            value: of_file(checksum),
            file: Some(number),
            taken,
        })
    }

    /// Writes the planes one after the other; returns their checksum.
    fn write_file(&self, path: &Path, sync: Sync) -> std::io::Result<u32> {
        point("tail.create")?;
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let mut checksum = 0;
        for plane in self.planes {
            point("tail.write")?;
            file.write_all(plane)?;
            checksum = crc32c::crc32c_append(checksum, plane);
        }
        if sync == Sync::Device {
            point("tail.sync")?;
            file.sync_all()?;
            file_synced(path);
            if let Some(folder) = path.parent() {
                point("tail.folder")?;
                File::open(folder)?.sync_all()?;
                folder_synced(folder);
            }
        }
        Ok(checksum)
    }
}

/// Shows the tokens of a row.
pub(super) fn read<E: From<StoreError>>(
    folder: &Path,
    start: u32,
    row: &TailRow<'_>,
    see: impl FnOnce(Run<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match row.content {
        TailContent::Inline(bytes) => see_planes(start, row, bytes, see),
        TailContent::File { number, checksum } => {
            let path = path_of(folder, number);
            let bytes = fs_err::read(&path).map_err(|source| StoreError::io(&path, source))?;
            check_length(&path, bytes.len() as u64, row.stored_bytes())?;
            check_checksum(&path, crc32c::crc32c(&bytes), checksum)?;
            see_planes(start, row, &bytes, see)
        }
    }
}

/// That a file has the bytes that were written.
pub(super) fn check_length(path: &Path, got: u64, expected: u64) -> Result<(), StoreError> {
    if got == expected {
        return Ok(());
    }
    Err(StoreError::Damaged {
        path: path.to_owned(),
        what: format!("{got} bytes: expected {expected}"),
    })
}

/// That they have the checksum that they had.
pub(super) fn check_checksum(path: &Path, got: u32, expected: u32) -> Result<(), StoreError> {
    if got == expected {
        return Ok(());
    }
    Err(StoreError::Damaged {
        path: path.to_owned(),
        what: format!("its checksum is {got:08x}: expected {expected:08x}"),
    })
}

/// `bytes` has all planes of the row, as the caller has checked.
fn see_planes<E>(
    start: u32,
    row: &TailRow<'_>,
    mut bytes: &[u8],
    see: impl FnOnce(Run<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let planes: Vec<&[u8]> = row
        .row_bytes
        .iter()
        .map(|row_bytes| {
            let (plane, rest) = bytes.split_at(*row_bytes as usize * row.stored as usize);
            bytes = rest;
            &plane[..*row_bytes as usize * row.tokens as usize]
        })
        .collect();
    see(Run {
        start,
        tokens: row.tokens,
        planes: &planes,
    })
}

/// Removes the file of a row that is gone, or never came. One that stays is nobody's, and removed at the next start.
pub(super) fn remove(folder: &Path, number: u64) {
    let _ = point("tail.remove").and_then(|()| fs_err::remove_file(path_of(folder, number)));
}

pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("tail-{number:016x}"))
}
