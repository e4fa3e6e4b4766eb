//! From a file to columns in memory: for a file in a folder that is not this process's alone. It is read once, checked, and
//! not looked at again, so that whoever changes it later changes nothing here.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;

use super::verify::checked_by;
use super::{FileError, Label, Seal};
use crate::segment::columns::{Content, Filled};
use crate::segment::{Columns, Schema};
use crate::{Budget, BudgetExceeded};

/// Why a file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not as expected.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no memory for it.
    #[error(transparent)]
    NoMemory(#[from] BudgetExceeded),
}

/// Reads the segment file at `path`, which must bear `label`, have the columns of `schema` and be the one that `seal` was
/// made of. It counts in `budget` as long as the columns are there.
///
/// # Errors
/// [`LoadError`] saying what of it is not as expected, or that the budget has no room.
pub fn load(
    path: &Path,
    label: &Label,
    schema: &Arc<Schema>,
    seal: Seal,
    budget: &Budget,
) -> Result<Columns, LoadError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let got = file.metadata().map_err(failed)?.len();
    if got != seal.bytes {
        let (path, expected) = (path.to_owned(), seal.bytes);
        return Err(FileError::Length {
            path,
            got,
            expected,
        }
        .into());
    }
    let mut buffer = budget.allocate(usize::try_from(got).unwrap_or(usize::MAX))?;
    file.read_exact(buffer.as_bytes_mut()).map_err(failed)?;
    let bytes = buffer.as_bytes();
    let checksum = |range: Range<usize>| Ok(crc32c::crc32c(&bytes[range]));
    let found = checked_by(checksum, (path, bytes), label, schema, seal)?;
    let buffer = Arc::new(buffer);
    let filled = found.into_iter().map(|found| Filled {
        rows: found.rows,
        content: Content::Loaded {
            file: Arc::clone(&buffer),
            range: found.range,
        },
    });
    Ok(Columns::sealed(Arc::clone(schema), filled.collect()))
}
