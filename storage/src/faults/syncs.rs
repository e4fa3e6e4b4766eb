//! What the device has: noted in a file, so that a test can kill the process and take away all the rest, as a loss of power
//! does.
//!
//! A line is `file BYTES PATH` (of the file, so many are on the device), `entry PATH` (its name is in its folder there),
//! `renamed FROM TO` (a file or a folder) or `linked FROM TO` (the file has another name).

#[cfg(feature = "failpoints")]
mod noted {
    use std::fmt::Display;
    use std::io::{self, Write as _};
    use std::path::Path;

    use fs_err::File;
    use parking_lot::Mutex;

    static NOTES: Mutex<Option<File>> = Mutex::new(None);
    static CATALOG: Mutex<()> = Mutex::new(());

    pub(in crate::faults) fn note(path: &str) -> io::Result<()> {
        *NOTES.lock() = Some(File::create(path)?);
        Ok(())
    }

    fn write(line: &dyn Display) {
        if let Some(file) = NOTES.lock().as_mut() {
            // What is not noted, a test takes away: it fails, and says so.
            let _ = writeln!(file, "{line}");
        }
    }

    fn file(path: &Path) {
        if let Ok(found) = fs_err::metadata(path) {
            write(&format_args!("file {} {}", found.len(), path.display()));
        }
    }

    /// All bytes of the file are on the device.
    pub(crate) fn file_synced(path: &Path) {
        file(path);
    }

    /// All names in the folder are.
    pub(crate) fn folder_synced(folder: &Path) {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            write(&format_args!("entry {}", entry.path().display()));
        }
    }

    pub(crate) fn renamed(from: &Path, to: &Path) {
        write(&format_args!("renamed {} {}", from.display(), to.display()));
    }

    pub(crate) fn linked(from: &Path, to: &Path) {
        write(&format_args!("linked {} {}", from.display(), to.display()));
    }

    /// Does a write to the catalog in `folder`; when it was synced, its logs are on the device as they are then. One write
    /// at a time, so that they have nothing that came after it.
    pub(crate) fn catalog_write<E>(
        folder: &Path,
        sync: bool,
        write: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let _turn = CATALOG.lock();
        write()?;
        if sync {
            for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|name| name == "log") {
                    file(&entry.path());
                }
            }
        }
        Ok(())
    }
}

#[cfg(not(feature = "failpoints"))]
mod noted {
    use std::path::Path;

    #[inline]
    pub(crate) fn file_synced(_: &Path) {}

    #[inline]
    pub(crate) fn folder_synced(_: &Path) {}

    #[inline]
    pub(crate) fn renamed(_: &Path, _: &Path) {}

    #[inline]
    pub(crate) fn linked(_: &Path, _: &Path) {}

    #[inline]
    pub(crate) fn catalog_write<E>(
        _: &Path,
        _: bool,
        write: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        write()
    }
}

#[cfg(feature = "failpoints")]
pub(super) use noted::note;
pub(crate) use noted::{catalog_write, file_synced, folder_synced, linked, renamed};
