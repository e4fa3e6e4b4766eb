//! Whether a file has the bytes that were written.

use std::path::Path;

use super::parse::{Found, parse};
use super::{FileError, Label, Seal};
use crate::residence::Mapping;
use crate::segment::Schema;

/// Reads all of the segment file at `path` and compares its checksums; a refusal names the column where one differs. It maps
/// the file, a piece at a time, and holds no copy of it.
///
/// # Errors
/// As [`super::open`].
pub fn verify(path: &Path, label: &Label, schema: &Schema, seal: Seal) -> Result<(), FileError> {
    let mapping = super::open::map(path, seal)?;
    checked(path, &mapping, label, schema, seal).map(drop)
}

/// The columns of a file all of whose checksums are right.
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
    // First, so that what is looked at below was read without an error.
    let whole = checksum(0..mapping.bytes().len())?;
    let found = parse(path, mapping.bytes(), label, schema)?;
    if whole == seal.checksum {
        return Ok(found);
    }
    for (column, found) in schema.columns().iter().zip(&found) {
        let part = || format!("column {:?}", column.name);
        compare(path, part, checksum(found.range.clone())?, found.checksum)?;
    }
    compare(path, || "the whole file".to_owned(), whole, seal.checksum)?;
    Ok(found)
}

fn compare(
    path: &Path,
    part: impl FnOnce() -> String,
    got: u32,
    expected: u32,
) -> Result<(), FileError> {
    if got == expected {
        return Ok(());
    }
    Err(FileError::Checksum {
        path: path.to_owned(),
        part: part(),
        got,
        expected,
    })
}
