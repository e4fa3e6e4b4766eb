//! A file in the address space: the one place that trusts it not to change.
#![expect(
    unsafe_code,
    reason = "a mapping is only as constant as its file; the safety comment says why ours is"
)]

use std::fmt;

use fs_err::File;
use memmap2::Mmap;

/// A mapped file, read only. It starts at the beginning of a page, so at a multiple of 64.
pub(super) struct Mapping {
    bytes: Mmap,
}

impl Mapping {
    /// Maps all of `file`, which nobody may change or cut from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        // SAFETY: a file that is renamed to a segment's name is never written again by this process, and no other
        // process of this user may: `DataDir::open` holds the directory's lock (flock) and has checked that it is 0700,
        // so that other users cannot reach it; the file itself is made 0600 by `file::write`. A file that its own user
        // cuts behind the daemon's back ends the daemon with SIGBUS, as it would every database that maps its files.
        let bytes = unsafe { Mmap::map(file) }?;
        Ok(Self { bytes })
    }

    /// The content.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Its size only: the content is as secret as the prompt it came from.
impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_bytes_of_the_file_from_a_page_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..10_000).map(|byte| byte as u8).collect();
        fs_err::write(&path, &content).unwrap();
        let mapping = Mapping::of(&File::open(&path).unwrap()).unwrap();
        fs_err::remove_file(&path).unwrap();
        assert_eq!(mapping.bytes(), content);
        assert_eq!(mapping.bytes().as_ptr().align_offset(4096), 0);
    }
}
