//! A file in the address space: the one place that trusts it not to change.
#![expect(
    unsafe_code,
    reason = "a mapping is only as constant as its file; the safety comments say why ours is"
)]

use std::fmt;
use std::io;
use std::ops::Range;

use fs_err::File;
use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Of [`Mapping::read_through`]: whole pages on every system.
const PIECE_BYTES: usize = 1 << 20;

/// What one table of pages maps, with pages of 4 KiB. Where they are larger, the system's reach is shorter than that.
const TABLE_BYTES: usize = 2 << 20;

/// A mapped file, read only. It starts at the beginning of a page, so at a multiple of 64. Byte ranges begin at a page.
pub(crate) struct Mapping {
    bytes: Mmap,
}

impl Mapping {
    /// Maps all of `file`, which nobody may change or cut from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: a file that is renamed to a segment's name is never written again by this process, and no other
        // process of this user may: `DataDir::open` holds the directory's lock (flock) and has checked that it is 0700,
        // so that other users cannot reach it; the file itself is made 0600 by `file::write`. A file that its own user
        // cuts behind the daemon's back ends the daemon with SIGBUS, as it would every database that maps its files.
        let bytes = unsafe { Mmap::map(file) }?;
        // Neighbours of what is read are somebody else's clusters. A system that cannot be told reads more than it must.
        let _ = bytes.advise(Advice::Random);
        // Where the system's cache has a file in huge pages, it would map one at the first touch of any of its bytes, and unmap all
        // of it when one block of it leaves: a process came to three times what it counted. A system without them needs no advice.
        let _ = bytes.advise(Advice::NoHugePage);
        Ok(Self { bytes })
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Has the device begin to read a range, and waits for nothing.
    pub(super) fn will_need(&self, range: Range<usize>) {
        // Advice: whoever needs the range reads it whatever comes of this.
        let _ = self
            .bytes
            .advise_range(Advice::WillNeed, range.start, range.len());
    }

    /// Whether the system has all of a range in its cache.
    pub(super) fn is_cached(&self, range: Range<usize>) -> bool {
        let page = rustix::param::page_size();
        let range = range.start / page * page..range.end.min(self.bytes.len());
        let mut pages = vec![0_u8; range.len().div_ceil(page)];
        let start = self.bytes[range.clone()].as_ptr();
        // SAFETY: the range is of the mapping, which lives, and starts at a page; `pages` has a byte for each of its pages.
        // The call writes nothing but those.
        let known =
            unsafe { libc::mincore(start.cast_mut().cast(), range.len(), pages.as_mut_ptr()) };
        known == 0 && pages.iter().all(|page| page & 1 == 1)
    }

    /// Maps every page of a range, and waits for the device where it must.
    ///
    /// # Errors
    /// What the system says, where touching a page would end the process.
    pub(super) fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let populated = self
            .bytes
            .advise_range(Advice::PopulateRead, range.start, range.len());
        match populated.as_ref().map_err(io::Error::raw_os_error) {
            Err(Some(libc::EINVAL)) => {
                // Linux before 5.14 does not know the call: pages come as they are touched.
                self.touch(range);
                Ok(())
            }
            Err(Some(libc::EFAULT)) => Err(io::Error::other(
                "the device does not give what was stored there",
            )),
            _ => populated,
        }
    }

    /// What the system may map of its own accord when it maps a range: pages around, or all of what it has in its cache in one
    /// piece (a large folio), but within one table of pages.
    pub(super) fn reach(&self, range: Range<usize>) -> Range<usize> {
        let base = self.bytes.as_ptr() as usize;
        let start = (base + range.start) / TABLE_BYTES * TABLE_BYTES;
        let end = (base + range.end).next_multiple_of(TABLE_BYTES);
        start.saturating_sub(base)..(end - base).min(self.bytes.len())
    }

    /// Shows a range piece by piece; none of it stays mapped.
    ///
    /// # Errors
    /// As [`Mapping::populate`].
    pub(crate) fn read_through(
        &self,
        range: Range<usize>,
        mut see: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut start = range.start;
        while start < range.end {
            let piece = start / PIECE_BYTES * PIECE_BYTES;
            let end = (piece + PIECE_BYTES).min(self.bytes.len());
            self.will_need(piece..(end + PIECE_BYTES).min(self.bytes.len()));
            self.populate(piece..end)?;
            see(&self.bytes[start..end.min(range.end)]);
            self.forget(piece..end);
            start = end;
        }
        Ok(())
    }

    fn touch(&self, range: Range<usize>) {
        for byte in self.bytes[range].iter().step_by(rustix::param::page_size()) {
            std::hint::black_box(*byte);
        }
    }

    /// Unmaps the pages of a range; the next reader of one of them has it mapped again.
    pub(super) fn forget(&self, range: Range<usize>) {
        // SAFETY: the mapping is of a file and read only, so its pages have no content but the file's, which is there again
        // when they are touched: no reader, of this range or beside it, can see a difference.
        let forgotten = unsafe {
            self.bytes
                .unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len())
        };
        debug_assert!(forgotten.is_ok(), "{forgotten:?}");
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

    const PAGES: usize = 40;

    fn mapping() -> (Vec<u8>, Mapping) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = PAGES * rustix::param::page_size() - 100;
        let content: Vec<u8> = (0..bytes).map(|byte| (byte / 7) as u8).collect();
        fs_err::write(&path, &content).unwrap();
        let mapping = Mapping::of(&File::open(&path).unwrap()).unwrap();
        fs_err::remove_file(&path).unwrap();
        (content, mapping)
    }

    #[test]
    fn shows_the_bytes_of_the_file_from_a_page_on() {
        let (content, mapping) = mapping();
        assert_eq!(mapping.bytes(), content);
        assert_eq!(mapping.bytes().as_ptr().align_offset(4096), 0);
    }

    #[test]
    fn what_is_forgotten_is_there_again() {
        let (content, mapping) = mapping();
        let (page, all) = (rustix::param::page_size(), 0..content.len());
        mapping.will_need(all.clone());
        mapping.populate(page..3 * page).unwrap();
        mapping.populate(all.clone()).unwrap();
        assert!(mapping.is_cached(all.clone()));
        mapping.forget(page..2 * page);
        mapping.forget(all.clone());
        mapping.touch(all);
        assert_eq!(mapping.bytes(), content);
    }

    #[test]
    fn what_a_device_would_not_give_is_an_error_and_no_end() {
        let (content, mapping) = mapping();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut");
        fs_err::write(&path, &content).unwrap();
        let cut = Mapping::of(&File::open(&path).unwrap()).unwrap();
        // Pages after the end of a file give SIGBUS when they are touched, as those of a bad sector do.
        fs_err::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(rustix::param::page_size() as u64)
            .unwrap();
        let refused = cut.populate(0..content.len()).unwrap_err();
        assert!(refused.to_string().contains("device"), "{refused}");
        drop(mapping);
    }
}
