//! One process at a time.

use std::fs::TryLockError;
use std::io::Write as _;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::{DataDirError, number};

/// Locks the directory for this process. The file stays for ever: to remove a lock file is to race with its next user.
pub(super) fn take(dir: &Path) -> Result<File, DataDirError> {
    let failed = |source| DataDirError::Io {
        path: dir.to_owned(),
        source,
    };
    let path = dir.join("LOCK");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = number::read(&path, "").ok().flatten();
            return Err(DataDirError::InUse {
                path: dir.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}
