//! Whether a file has the bytes that were written.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use super::parse::{Found, parse};
use super::{FileError, Label, Seal};
use crate::reread::Reread;
use crate::residence::Mapping;
use crate::segment::Schema;

/// Reads all of the segment file at `path` from its device, compares its checksums and its label; a refusal names the column
/// where a checksum differs. No copy of it is held, nor of it in the system's cache (see `reread.rs`). `see` is told how many
/// bytes were read, and may break it off.
///
/// # Errors
/// As [`super::open`].
pub fn verify(
    path: &Path,
    label: &Label,
    schema: &Schema,
    seal: Seal,
    see: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let mapping = super::open::map(path, seal)?;
    let mut file = Reread::open(path).map_err(failed)?;
    let mut whole = 0;
    let read = file.read_through(0..seal.bytes, |piece| {
        whole = crc32c::crc32c_append(whole, piece);
        see(piece.len() as u64)
    });
    if read.map_err(failed)?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let found = parse(path, mapping.bytes(), label, schema)?;
    if whole != seal.checksum {
        let of = |range: Range<usize>| {
            let mut checksum = 0;
            let read = file.read_through(range.start as u64..range.end as u64, |piece| {
                checksum = crc32c::crc32c_append(checksum, piece);
                ControlFlow::Continue(())
            });
            read.map(|_| checksum).map_err(failed)
        };
        compare_all(path, schema, &found, of, [whole, seal.checksum])?;
    }
    Ok(ControlFlow::Continue(()))
}

/// The columns of a mapped file all of whose checksums are right.
pub(super) fn checked(
    path: &Path,
    mapping: &Mapping,
    label: &Label,
    schema: &Schema,
    seal: Seal,
) -> Result<Vec<Found>, FileError> {
    let checksum = |range| {
        let mut checksum = 0;
        let read = mapping.read_through(range, |piece| {
            checksum = crc32c::crc32c_append(checksum, piece);
        });
        let failed = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        read.map(|()| checksum).map_err(failed)
    };
    checked_by(checksum, (path, mapping.bytes()), label, schema, seal)
}

/// The same of a file whose `bytes` are made the checksums of by `checksum`.
pub(super) fn checked_by(
    checksum: impl Fn(Range<usize>) -> Result<u32, FileError>,
    (path, bytes): (&Path, &[u8]),
    label: &Label,
    schema: &Schema,
    seal: Seal,
) -> Result<Vec<Found>, FileError> {
    // First, so that what is looked at below was read without an error.
    let whole = checksum(0..bytes.len())?;
    let found = parse(path, bytes, label, schema)?;
    if whole == seal.checksum {
        return Ok(found);
    }
    compare_all(path, schema, &found, checksum, [whole, seal.checksum])?;
    Ok(found)
}

/// Names the first column that is not as it was written, or else the whole file, whose checksums are given as they are and
/// as they were.
fn compare_all(
    path: &Path,
    schema: &Schema,
    found: &[Found],
    mut checksum: impl FnMut(Range<usize>) -> Result<u32, FileError>,
    [whole, expected]: [u32; 2],
) -> Result<(), FileError> {
    for (column, found) in schema.columns().iter().zip(found) {
        let got = checksum(found.range.clone())?;
        compare(path, Some(column.name), got, found.checksum)?;
    }
    compare(path, None, whole, expected)
}

fn compare(
    path: &Path,
    column: Option<&'static str>,
    got: u32,
    expected: u32,
) -> Result<(), FileError> {
    if got == expected {
        return Ok(());
    }
    Err(FileError::Checksum {
        path: path.to_owned(),
        column,
        got,
        expected,
    })
}
