//! Whether a file has the bytes that were written.

use std::path::Path;

use super::parse::{Found, parse};
use super::{FileError, Label, Seal};
use crate::segment::Schema;

/// Reads all of the segment file at `path` and compares every checksum, those of the columns first, so that a refusal
/// names the column. It maps the file and holds no copy of it.
///
/// # Errors
/// As [`super::open`].
pub fn verify(path: &Path, label: &Label, schema: &Schema, seal: Seal) -> Result<(), FileError> {
    let mapping = super::open::map(path, seal)?;
    let found = parse(path, mapping.bytes(), label, schema)?;
    check(path, mapping.bytes(), schema, &found, seal)
}

/// Compares all checksums of a file that was parsed.
pub(super) fn check(
    path: &Path,
    bytes: &[u8],
    schema: &Schema,
    found: &[Found],
    seal: Seal,
) -> Result<(), FileError> {
    let mut whole = 0;
    let mut done = 0;
    for (
        column,
        Found {
            range, checksum, ..
        },
    ) in schema.columns().iter().zip(found)
    {
        let got = crc32c::crc32c(&bytes[range.clone()]);
        compare(path, || format!("column {:?}", column.name), got, *checksum)?;
        // Columns stand in the order of the schema; what was not read before is between them.
        if range.start >= done {
            whole = crc32c::crc32c_append(whole, &bytes[done..range.start]);
            whole = crc32c::crc32c_combine(whole, got, range.len());
            done = range.end;
        }
    }
    whole = crc32c::crc32c_append(whole, &bytes[done..]);
    compare(path, || "the whole file".to_owned(), whole, seal.checksum)
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
