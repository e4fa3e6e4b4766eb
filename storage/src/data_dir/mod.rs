//! The directory on disk that one daemon owns.
//!
//! It holds, at present:
//!
//! | file | content |
//! | --- | --- |
//! | `LOCK` | locked (flock) while a daemon runs; the daemon's process id |
//! | `FORMAT` | version of everything in the directory; written last when the directory is made |
//! | `BOOT_EPOCH` | how often the directory was opened |
//!
//! All of them are one decimal number and a newline. The rest of it is [`store`](crate::store)'s. A KV cache is as secret as its prompt, so the directory belongs to
//! its own user alone.
//!
//! Must not know: collections, or who asks. Start at [`DataDir::open`].

mod error;
mod lock;
mod number;

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use error::DataDirError;
use fs_err::File;

/// Version of the directory's layout that this build writes. 1 had no collections, 2 no file that two collections have.
const FORMAT: u64 = 3;
/// The oldest that it reads.
const OLDEST: u64 = 1;

/// An open data directory; no other process can open it until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    boot_epoch: u64,
    /// Holds the lock for as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, makes it first if there is none (mode 0700), and counts this boot durably.
    ///
    /// # Errors
    /// [`DataDirError`], always with a path, when it is no directory, not this user's own or open to others, when
    /// another process has it open, when a newer build has written it, when a file in it is damaged, or on a failed
    /// system call.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        make(&path)?;
        check_access(&path)?;
        let lock = lock::take(&path)?;
        let format = number::read(&path.join("FORMAT"), "remove the data directory")?;
        if let Some(got) = format.filter(|got| !(OLDEST..=FORMAT).contains(got)) {
            return Err(DataDirError::Format {
                path,
                got,
                expected: FORMAT,
            });
        }
        let boot_epoch = next_boot_epoch(&path, format.is_some())?;
        if format != Some(FORMAT) {
            number::write(&path, "FORMAT", FORMAT)?;
        }
        Ok(Self {
            path,
            boot_epoch,
            _lock: lock,
        })
    }

    /// How often the directory was opened, this time included: no two boots of a daemon have the same. From 1.
    pub fn boot_epoch(&self) -> u64 {
        self.boot_epoch
    }

    /// Where it is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn make(path: &Path) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs_err::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

/// That it is a directory which its own user alone can enter, and that we are this user.
fn check_access(path: &Path) -> Result<(), DataDirError> {
    let path = path.to_owned();
    let found = match fs_err::metadata(&path) {
        Ok(found) => found,
        Err(source) => return Err(DataDirError::Io { path, source }),
    };
    let mode = found.permissions().mode() & 0o7777;
    let process = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        Err(DataDirError::NotADirectory { path })
    } else if found.uid() != process {
        Err(DataDirError::Owner {
            path,
            owner: found.uid(),
            process,
        })
    } else if mode & 0o077 != 0 {
        Err(DataDirError::OpenToOthers { path, mode })
    } else {
        Ok(())
    }
}

/// Counts this boot on disk. Only a directory that was never opened to the end may lack the count: starting again at 1
/// would give an old boot's epoch to a new one.
fn next_boot_epoch(path: &Path, opened_before: bool) -> Result<u64, DataDirError> {
    let mend = "restore the file, or remove the data directory";
    let file = path.join("BOOT_EPOCH");
    let last = match number::read(&file, mend)? {
        None if opened_before => {
            return Err(DataDirError::Damaged {
                path: file,
                got: "no such file".into(),
                mend,
            });
        }
        last => last.unwrap_or(0),
    };
    let Some(next) = last.checked_add(1) else {
        return Err(DataDirError::Damaged {
            path: file,
            got: last.to_string(),
            mend,
        });
    };
    number::write(path, "BOOT_EPOCH", next)?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/data");
        (parent, path)
    }

    #[test]
    fn is_made_for_its_user_alone_and_counts_boots() {
        let (_parent, path) = fresh();
        for boot in 1..=3 {
            let dir = DataDir::open(&path).unwrap();
            assert_eq!((dir.boot_epoch(), dir.path()), (boot, path.as_path()));
        }
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o700
        );
        for file in ["LOCK", "FORMAT", "BOOT_EPOCH"] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_second_open_names_the_path_and_the_holder() {
        let (_parent, path) = fresh();
        let held = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(held);
        assert_eq!(DataDir::open(&path).unwrap().boot_epoch(), 2);
    }

    #[test]
    fn of_many_opens_at_once_one_wins() {
        let (_parent, path) = fresh();
        let (path, start) = (&path, std::sync::Barrier::new(8));
        let won = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                DataDir::open(path)
            };
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            let ends: Vec<_> = racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect();
            ends.iter().filter(|end| end.is_ok()).count()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn a_damaged_boot_epoch_is_refused_and_left_as_it_is() {
        let (_parent, path) = fresh();
        drop(DataDir::open(&path).unwrap());
        for damage in [
            "",
            "7",
            "x\n",
            "-1\n",
            "18446744073709551615\n",
            "1\n2\n",
            "+1\n",
        ] {
            fs::write(path.join("BOOT_EPOCH"), damage).unwrap();
            let refused = DataDir::open(&path).unwrap_err().to_string();
            assert!(
                refused.contains("BOOT_EPOCH") && refused.contains("expected"),
                "{refused}"
            );
            assert_eq!(fs::read_to_string(path.join("BOOT_EPOCH")).unwrap(), damage);
        }
        fs::remove_file(path.join("BOOT_EPOCH")).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains("no such file"), "{refused}");
    }

    #[test]
    fn a_first_open_that_was_cut_short_is_taken_up() {
        let (_parent, path) = fresh();
        drop(DataDir::open(&path).unwrap());
        fs::remove_file(path.join("FORMAT")).unwrap();
        fs::write(path.join("FORMAT.tmp"), "half").unwrap();
        assert_eq!(DataDir::open(&path).unwrap().boot_epoch(), 2);
        assert_eq!(DataDir::open(&path).unwrap().boot_epoch(), 3);
    }

    #[test]
    fn a_newer_format_is_refused_before_anything_is_written() {
        let (_parent, path) = fresh();
        drop(DataDir::open(&path).unwrap());
        fs::write(path.join("FORMAT"), "4\n").unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            refused.contains("format 4") && refused.contains("format 3"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(path.join("BOOT_EPOCH")).unwrap(), "1\n");
    }

    #[test]
    fn a_directory_of_the_formats_before_is_taken_up() {
        let (_parent, path) = fresh();
        drop(DataDir::open(&path).unwrap());
        for (before, boot_epoch) in [("1\n", 2), ("2\n", 3)] {
            fs::write(path.join("FORMAT"), before).unwrap();
            assert_eq!(DataDir::open(&path).unwrap().boot_epoch(), boot_epoch);
            assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "3\n");
        }
    }

    #[test]
    fn what_is_open_to_others_or_no_directory_is_refused() {
        let (_parent, path) = fresh();
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            refused.contains("0750") && refused.contains("chmod 700"),
            "{refused}"
        );
        assert!(fs::read_dir(&path).unwrap().next().is_none());

        let file = path.join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            DataDir::open(&file),
            Err(DataDirError::NotADirectory { .. })
        ));
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let (_parent, path) = fresh();
        drop(DataDir::open(&path).unwrap());
        // Only root can give a directory away, and any other user has `/` at hand.
        let foreign = if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() {
            &*path
        } else {
            Path::new("/")
        };
        let refused = DataDir::open(foreign).unwrap_err();
        assert!(matches!(refused, DataDirError::Owner { .. }), "{refused}");
    }
}
