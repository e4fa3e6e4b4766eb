//! A file that is one number, replaced as a whole or not at all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::DataDirError;
use crate::faults::point;

/// More than 2^64 and its newline need.
const MAX_BYTES: u64 = 32;

/// The number in `file`, or `None` when there is no such file. `mend` is what to do about anything else in it.
pub(super) fn read(file: &Path, mend: &'static str) -> Result<Option<u64>, DataDirError> {
    let failed = |source| DataDirError::Io {
        path: file.to_owned(),
        source,
    };
    let opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    opened
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    // `parse` would take a sign too.
    let digits = text
        .strip_suffix('\n')
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(DataDirError::Damaged {
            path: file.to_owned(),
            got: text.into_owned(),
            mend,
        }),
    }
}

/// Makes `name` in `dir` hold `number`, durably: after a crash it holds the old number or the new one.
pub(super) fn write(dir: &Path, name: &str, number: u64) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Io {
        path: dir.to_owned(),
        source,
    };
    let told = |name| point(name).map_err(failed);
    told("number.write")?;
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    writeln!(file, "{number}").map_err(failed)?;
    told("number.sync")?;
    file.sync_all().map_err(failed)?;
    told("number.rename")?;
    fs_err::rename(&temporary, dir.join(name)).map_err(failed)?;
    told("number.folder")?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)
}
