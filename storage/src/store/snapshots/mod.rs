//! Snapshots: a collection as it was at one moment, in a directory of its own that needs nothing else, not even the data
//! directory that it was made in. `FORMAT.md` beside this file has the byte map.
//!
//! A snapshot has the files of the segments by hard links where the file system allows that, and copies of them otherwise;
//! the tokens that no segment has; and a manifest. It is made in a folder whose name begins with a dot, and has its own name
//! when the device has all of it: so it is there whole or not at all. What a crash leaves behind is removed by
//! [`Snapshots::sweep`]; whoever is making one has its folder locked meanwhile, since several daemons may use one directory.
//!
//! Must not know: what a record or a token means. Start at [`Snapshots::begin`] and [`Snapshots::open`].

mod error;
mod making;
mod manifest;
mod saved;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use error::SnapshotError;
use fs_err::File;
pub use making::Making;
pub use saved::{Saved, SavedSegment};

use super::Swept;
use super::assembly::sync_folder;
use crate::faults::{point, renamed};

/// Version of the format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Of the file that says what a snapshot has.
const MANIFEST: &str = "MANIFEST";
/// Of the file of the tokens that no segment has.
const TOKENS: &str = "tokens";
/// What the name of a folder begins and ends with that is no snapshot yet, or none any more.
const PART: (&str, &str) = (".", ".part");

/// The directory of all snapshots, which is made when the first one is.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

/// A snapshot, as a look at the directory finds it.
#[derive(Debug)]
pub struct Listed {
    /// Of its folder.
    pub name: String,
    /// When it was made, by the clock of the file system.
    pub made: Option<SystemTime>,
    /// What it has, or why that cannot be told.
    pub saved: Result<Saved, SnapshotError>,
}

impl Snapshots {
    /// The snapshots in `folder`. Names of snapshots are given without a path, and do not begin with a dot: whoever calls has
    /// checked that.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What the snapshot of a name has.
    ///
    /// # Errors
    /// [`SnapshotError`] when there is none, or it cannot be told what it has.
    pub fn open(&self, name: &str) -> Result<Saved, SnapshotError> {
        self.check_there(name)?;
        Saved::open(self.place(name))
    }

    /// The snapshots whose names come after `after`, at most `limit`, in order of name.
    ///
    /// # Errors
    /// [`SnapshotError`] when the directory cannot be read; of a snapshot that cannot, its entry says so.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, SnapshotError> {
        let mut names: Vec<String> = self
            .entries()?
            .into_iter()
            .filter(|name| !name.starts_with(PART.0) && after.is_none_or(|after| &**name > after))
            .filter(|name| self.check_there(name).is_ok())
            .collect();
        names.sort_unstable();
        names.truncate(limit);
        Ok(names.iter().map(|name| self.look(name)).collect())
    }

    /// A snapshot as [`Snapshots::list`] finds it.
    pub fn look(&self, name: &str) -> Listed {
        let manifest = fs_err::metadata(self.place(name).join(MANIFEST));
        Listed {
            name: name.to_owned(),
            made: manifest.and_then(|found| found.modified()).ok(),
            saved: self.open(name),
        }
    }

    /// Removes a snapshot. What was made of it stays.
    ///
    /// # Errors
    /// [`SnapshotError`] when there is none, or the system refuses: then it is there as it was.
    pub fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        self.check_there(name)?;
        let folder = self.place(name);
        let mut parts = self.parts(name);
        let part = parts.find(|part| !part.exists()).unwrap_or_default();
        let renamed = point("snapshot.rename").and_then(|()| rename(&folder, &part));
        renamed.map_err(|source| SnapshotError::io(&folder, source))?;
        sync_folder("snapshot.folder", &self.folder).inspect_err(|_| {
            // Where that fails too, it is gone until somebody gives it its name again.
            let _ = rename(&part, &folder);
        })?;
        remove(&part);
        Ok(())
    }

    /// Removes what was left behind by those who were stopped while they made or removed a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] when the directory cannot be read; what cannot be removed stays.
    pub fn sweep(&self) -> Result<Swept, SnapshotError> {
        let mut swept = Swept::default();
        let left = |name: &String| name.starts_with(PART.0) && name.ends_with(PART.1);
        for name in self.entries()?.into_iter().filter(left) {
            let path = self.place(&name);
            // Whoever is at it has it locked.
            let unlocked = File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
            let remove = || point("sweep.remove").and_then(|()| fs_err::remove_dir_all(&path));
            if unlocked && remove().is_ok() {
                swept.removed += 1;
            }
        }
        Ok(swept)
    }

    /// A folder is a snapshot, whole or damaged, that has one of the files which every snapshot has: no other is ever removed.
    fn check_there(&self, name: &str) -> Result<(), SnapshotError> {
        let folder = self.place(name);
        if [MANIFEST, TOKENS]
            .iter()
            .any(|file| folder.join(file).is_file())
        {
            return Ok(());
        }
        let name = name.to_owned();
        Err(SnapshotError::Missing { name })
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Paths under which something of this name may be that is no snapshot.
    fn parts(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        (0_u64..).map(move |number| self.place(&format!("{}{name}.{number}{}", PART.0, PART.1)))
    }

    /// The names in the directory that are text; none when there is no directory.
    fn entries(&self) -> Result<Vec<String>, SnapshotError> {
        let found = super::sweep::entries(&self.folder)?;
        let names = found.into_iter().map(|(_, name)| name.into_string());
        Ok(names.filter_map(Result::ok).collect())
    }
}

fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::rename(from, to)?;
    renamed(from, to);
    Ok(())
}

/// Removes what is no snapshot. What stays goes at the next start.
fn remove(folder: &Path) {
    let _ = point("snapshot.remove").and_then(|()| fs_err::remove_dir_all(folder));
}
