//! A file read from its device again, past what the system keeps of it in its cache.
//!
//! Where the file system has `O_DIRECT`, what is read neither comes from the cache nor drives out of it what others use.
//! Where it has none (tmpfs, some that are reached over a network), the cache may answer.
//!
//! Must not know: what the bytes mean. Start at [`Reread::open`].

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use fs_err::{File, OpenOptions};
use rustix::fs::OFlags;

/// Read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Of places and memory, which the device asks for: no device has larger blocks.
const ALIGNMENT: usize = 4096;

/// An open file, and memory for a piece of it.
#[derive(Debug)]
pub(crate) struct Reread {
    path: PathBuf,
    file: File,
    memory: Box<[u8]>,
    /// The first byte of the memory that is aligned.
    first: usize,
}

impl Reread {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let direct = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(path);
        let file = match direct {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => File::open(path)?,
            opened => opened?,
        };
        let memory = vec![0; PIECE_BYTES + ALIGNMENT].into_boxed_slice();
        let first = memory.as_ptr().align_offset(ALIGNMENT);
        Ok(Self {
            path: path.to_owned(),
            file,
            memory,
            first,
        })
    }

    /// Its bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Shows a range piece by piece, until `see` breaks it off.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` where the file ends before the range does.
    pub(crate) fn read_through(
        &mut self,
        range: Range<u64>,
        mut see: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut at = range.start;
        while at < range.end {
            let piece = at / PIECE_BYTES as u64 * PIECE_BYTES as u64;
            let bytes = self.piece(piece)?;
            let end = range.end.min(piece + bytes.len() as u64);
            if end <= at {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = &bytes[(at - piece) as usize..(end - piece) as usize];
            if see(part).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            at = end;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The piece that begins at `start`; shorter where the file ends.
    fn piece(&mut self, start: u64) -> io::Result<&[u8]> {
        let memory = &mut self.memory[self.first..][..PIECE_BYTES];
        let mut filled = 0;
        while filled < memory.len() {
            let place = start + filled as u64;
            match self.file.read_at(&mut memory[filled..], place) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && filled > 0 => {
                    // After a part that ended within a block, of which the rest can be had by the cache alone.
                    let more = File::open(&self.path)?.read_at(&mut memory[filled..], place)?;
                    filled += more;
                    if more == 0 {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(&memory[..filled])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_byte_of_a_range_once_and_stops_when_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..PIECE_BYTES * 2 + 777)
            .map(|at| (at / 5) as u8)
            .collect();
        fs_err::write(&path, &content).unwrap();
        let mut file = Reread::open(&path).unwrap();
        assert_eq!(file.len().unwrap(), content.len() as u64);
        let all = content.len();
        for range in [
            0..all,
            0..0,
            1..2,
            PIECE_BYTES - 1..PIECE_BYTES + 1,
            5000..all,
        ] {
            let mut shown = vec![];
            let read = file.read_through(range.start as u64..range.end as u64, |part| {
                shown.extend_from_slice(part);
                ControlFlow::Continue(())
            });
            assert!(read.unwrap().is_continue());
            assert!(shown == content[range]);
        }
        let mut parts = 0;
        let broken = file.read_through(0..all as u64, |_| {
            parts += 1;
            ControlFlow::Break(())
        });
        assert!(broken.unwrap().is_break() && parts == 1);
        let short = file.read_through(0..all as u64 + 1, |_| ControlFlow::Continue(()));
        assert_eq!(short.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn sees_what_was_written_since_by_whoever_did() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs_err::write(&path, [1; 100]).unwrap();
        let mut file = Reread::open(&path).unwrap();
        fs_err::write(&path, [2; 100]).unwrap();
        let mut last = 0;
        let read = file.read_through(0..100, |part| {
            last = part[part.len() - 1];
            ControlFlow::Continue(())
        });
        assert!(read.unwrap().is_continue());
        assert_eq!(last, 2);
    }
}
