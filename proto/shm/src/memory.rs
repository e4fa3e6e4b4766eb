//! Memory that two processes share: the one place that points into it.
//!
//! All of it is a slice of atomic words, which either side may change at any time, so that a torn or stale word is the
//! worst that the other can cause. Nobody gets a `&[u8]` of it: bytes are copied out and in, word by word.
#![expect(
    unsafe_code,
    reason = "a mapping is a pointer; the safety comments name the checks"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::layout::{Layout, MAGIC, Region, VERSION, WORD_BYTES, word};
use crate::ring::Words;

/// Without them the other side could cut the memory, and whoever touches it then would end with SIGBUS.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A region that is not in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {} with {} bytes: expected a multiple of 8 within the arena of {arena_bytes} bytes", region.offset, region.bytes)]
pub struct OutOfArena {
    region: Region,
    arena_bytes: u64,
}

impl OutOfArena {
    /// Refuses a region that is not in the arena of `layout`.
    ///
    /// # Errors
    /// [`OutOfArena`].
    pub fn unless_within(layout: Layout, region: Region) -> Result<(), Self> {
        if layout.has(region) {
            return Ok(());
        }
        Err(Self {
            region,
            arena_bytes: layout.arena_bytes(),
        })
    }
}

/// The shared memory of one connection. It is unmapped when this is dropped, whatever the other side does.
#[derive(Debug)]
pub struct Memory {
    mapping: MmapRaw,
    layout: Layout,
}

impl Memory {
    /// Makes the memory, zeroed but for its header, and the descriptor to hand to the client. Its size is sealed.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(layout: Layout, boot_epoch: u64) -> io::Result<(Self, OwnedFd)> {
        let file =
            rustix::fs::memfd_create(c"wavekv", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, layout.total_bytes())?;
        rustix::fs::fcntl_add_seals(&file, SEALS)?;
        let memory = Self::map(&file, layout)?;
        for (at, value) in [
            (word::MAGIC, MAGIC),
            (word::VERSION, VERSION.into()),
            (word::BOOT_EPOCH, boot_epoch),
            (word::TOTAL_BYTES, layout.total_bytes()),
            (word::RING_ENTRIES, layout.ring_entries()),
            (word::SUBMISSIONS, Layout::SUBMISSIONS_START),
            (word::COMPLETIONS, layout.completions_start()),
            (word::ARENA, layout.arena_start()),
            (word::ARENA_BYTES, layout.arena_bytes()),
        ] {
            memory.store(at, value, Ordering::Relaxed);
        }
        Ok((memory, file))
    }

    /// Maps memory that a daemon has made.
    ///
    /// # Errors
    /// `InvalidData` when it is of another size or could be cut; else what the system says.
    pub fn open(file: &OwnedFd, layout: Layout) -> io::Result<Self> {
        let size = rustix::fs::fstat(file)?.st_size;
        let sealed = rustix::fs::fcntl_get_seals(file)?.contains(SEALS);
        if u64::try_from(size) != Ok(layout.total_bytes()) || !sealed {
            let said = format!(
                "the shared memory has {size} bytes, sealed: {sealed}; expected {}, sealed",
                layout.total_bytes()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        Self::map(file, layout)
    }

    fn map(file: &OwnedFd, layout: Layout) -> io::Result<Self> {
        let bytes = usize::try_from(layout.total_bytes()).map_err(io::Error::other)?;
        let mapping = MmapOptions::new().len(bytes).map_raw(file)?;
        Ok(Self { mapping, layout })
    }

    /// Its sizes, as they were agreed: not read from it.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// A copy of a region, as it was at some moment of the call.
    ///
    /// # Errors
    /// [`OutOfArena`]; nothing was read.
    pub fn read(&self, region: Region) -> Result<Vec<u8>, OutOfArena> {
        OutOfArena::unless_within(self.layout, region)?;
        let mut copy = vec![0; region.bytes as usize];
        self.read_into(region.offset, &mut copy)?;
        Ok(copy)
    }

    /// Makes all of `copy` a copy of the region at `offset`, as it was at some moment of the call.
    ///
    /// # Errors
    /// [`OutOfArena`]; nothing was read.
    pub fn read_into(&self, offset: u64, copy: &mut [u8]) -> Result<(), OutOfArena> {
        let words = self.arena(Region {
            offset,
            bytes: copy.len() as u64,
        })?;
        let (whole, rest) = copy.as_chunks_mut::<WORD_BYTES>();
        for (bytes, word) in whole.iter_mut().zip(words) {
            *bytes = word.load(Ordering::Relaxed).to_le().to_le_bytes();
        }
        if let Some(last) = words.get(whole.len()) {
            let last = last.load(Ordering::Relaxed).to_le().to_le_bytes();
            rest.copy_from_slice(&last[..rest.len()]);
        }
        Ok(())
    }

    /// Writes `bytes` at `offset` of the arena. Up to seven bytes after them become zero, to the end of a word.
    ///
    /// # Errors
    /// [`OutOfArena`]; nothing was written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), OutOfArena> {
        let words = self.arena(Region {
            offset,
            bytes: bytes.len() as u64,
        })?;
        let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
        for (word, bytes) in words.iter().zip(whole) {
            word.store(u64::from_le_bytes(*bytes).to_le(), Ordering::Relaxed);
        }
        if let (Some(word), false) = (words.get(whole.len()), rest.is_empty()) {
            let mut last = [0; WORD_BYTES];
            last[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_le_bytes(last).to_le(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The words that a region of the arena touches.
    fn arena(&self, region: Region) -> Result<&[AtomicU64], OutOfArena> {
        OutOfArena::unless_within(self.layout, region)?;
        let start = ((self.layout.arena_start() + region.offset) / WORD_BYTES as u64) as usize;
        let words = region.bytes.div_ceil(WORD_BYTES as u64) as usize;
        Ok(&self.words()[start..start + words])
    }

    #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
    fn words(&self) -> &[AtomicU64] {
        let start = self.mapping.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: `Memory::map` has mapped `mapping.len()` bytes from a page's beginning on, readable and writable, and they
        // stay mapped while `self` lives. They exist whatever the other process does: the file is as long (`create` sets
        // its size, `open` checks it) and its seals, which `create` sets and `open` checks, keep it so. This process
        // reaches them through these atomics alone, and any bits are a `u64`.
        unsafe { std::slice::from_raw_parts(start, self.mapping.len() / WORD_BYTES) }
    }
}

impl Words for Memory {
    fn load(&self, word: usize, order: Ordering) -> u64 {
        u64::from_le(self.words()[word].load(order))
    }

    fn store(&self, word: usize, value: u64, order: Ordering) {
        self.words()[word].store(value.to_le(), order);
    }

    fn swap(&self, word: usize, value: u64, order: Ordering) -> u64 {
        u64::from_le(self.words()[word].swap(value.to_le(), order))
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn memory() -> (Memory, OwnedFd) {
        Memory::create(Layout::new(2, 65_536).unwrap(), 7).unwrap()
    }

    #[test]
    fn what_is_written_in_one_mapping_is_read_in_another() {
        let (memory, file) = memory();
        let other = Memory::open(&file, memory.layout()).unwrap();
        assert_eq!(other.load(word::MAGIC, Ordering::Relaxed), MAGIC);
        assert_eq!(other.load(word::BOOT_EPOCH, Ordering::Relaxed), 7);
        for bytes in [0, 1, 7, 8, 9, 16, 100] {
            let content: Vec<u8> = (1..=bytes).collect();
            memory.write(64, &content).unwrap();
            let region = Region {
                offset: 64,
                bytes: bytes.into(),
            };
            assert_eq!(other.read(region).unwrap(), content);
            let mut into = vec![0xaa; usize::from(bytes) + 1];
            other
                .read_into(64, &mut into[..usize::from(bytes)])
                .unwrap();
            assert_eq!(into, [&content[..], &[0xaa]].concat());
        }
        // To the end of the arena, and no further.
        let region = |bytes| Region {
            offset: 65_536 - 8,
            bytes,
        };
        memory.write(65_536 - 8, &[9; 8]).unwrap();
        assert_eq!(other.read(region(8)).unwrap(), [9; 8]);
        assert!(other.read(region(9)).is_err() && memory.write(65_536 - 8, &[9; 9]).is_err());
    }

    #[test]
    fn a_word_after_what_is_written_stays() {
        let (memory, _file) = memory();
        memory.write(0, &[1; 24]).unwrap();
        memory.write(0, &[2; 9]).unwrap();
        let all = memory.read(Region {
            offset: 0,
            bytes: 24,
        });
        assert_eq!(
            all.unwrap(),
            [[2; 8], [2, 0, 0, 0, 0, 0, 0, 0], [1; 8]].concat()
        );
    }

    #[test]
    fn the_size_is_sealed() {
        let (memory, file) = memory();
        let total = memory.layout().total_bytes();
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, total + 1), Err(Errno::PERM));
        let more = rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE);
        assert_eq!(more, Err(Errno::PERM));
    }

    #[test]
    fn a_hole_in_the_file_reads_as_zeros() {
        let (memory, file) = memory();
        memory.write(0, &[3; 8192]).unwrap();
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, flags, 0, memory.layout().total_bytes()).unwrap();
        let region = Region {
            offset: 0,
            bytes: 8192,
        };
        assert_eq!(memory.read(region).unwrap(), [0; 8192]);
    }

    #[test]
    fn memory_that_could_be_cut_is_not_mapped() {
        let layout = Layout::new(2, 65_536).unwrap();
        let file = rustix::fs::memfd_create(c"short", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, layout.total_bytes()).unwrap();
        assert!(Memory::open(&file, layout).is_err());
        let (_, sealed) = memory();
        let larger = Layout::new(2, 131_072).unwrap();
        assert!(Memory::open(&sealed, larger).is_err());
    }
}
