//! Where everything is in the shared memory. `LAYOUT.md` has the same numbers, and a test compares them.

use std::ops::RangeInclusive;

/// First word of the memory, and of both messages of the handshake: `WAVEKVSM` in ASCII.
pub const MAGIC: u64 = u64::from_le_bytes(*b"WAVEKVSM");
/// Of the layout, the bodies and the handshake together.
pub const VERSION: u32 = 1;

/// Of an index, a flag, a field of a descriptor: all of them are little-endian 64-bit words.
pub const WORD_BYTES: usize = 8;
/// Of a descriptor, in words.
pub const DESCRIPTOR_WORDS: usize = 8;
/// Header, indexes and flags.
pub const CONTROL_BYTES: u64 = 4096;
/// Entries of each ring; a power of two.
pub const RING_ENTRIES: RangeInclusive<u32> = 2..=4096;
/// Bytes of the arena; a multiple of [`PAGE_BYTES`].
pub const ARENA_BYTES: RangeInclusive<u64> = 65_536..=1 << 40;
/// The arena begins at a multiple of this, and is so long.
pub const PAGE_BYTES: u64 = 4096;
/// Every region begins at a multiple of this.
pub const REGION_ALIGNMENT: u64 = 8;
/// The least that an answer's region has: room for the sentence of a call that fails as a whole.
pub const LEAST_ANSWER_BYTES: u64 = 1024;
/// Collections that a connection may have open: an id's slot is its remainder.
pub const OPEN_COLLECTIONS: u64 = 4096;

/// Where the words of the control page are, as indexes of words. Each index and flag has two lines of a cache to itself,
/// since processors fetch lines in pairs.
pub mod word {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::VERSION`].
    pub const VERSION: usize = 1;
    /// Of the daemon that made this memory.
    pub const BOOT_EPOCH: usize = 2;
    /// Of the memory.
    pub const TOTAL_BYTES: usize = 3;
    /// Of each ring.
    pub const RING_ENTRIES: usize = 4;
    /// Where the submissions begin, in bytes.
    pub const SUBMISSIONS: usize = 5;
    /// Where the completions begin, in bytes.
    pub const COMPLETIONS: usize = 6;
    /// Where the arena begins, in bytes.
    pub const ARENA: usize = 7;
    /// Of the arena.
    pub const ARENA_BYTES: usize = 8;
    /// Submissions written since the beginning. The client writes it.
    pub const SUBMISSION_TAIL: usize = 128;
    /// Submissions read. The daemon writes it.
    pub const SUBMISSION_HEAD: usize = 144;
    /// Completions written. The daemon writes it.
    pub const COMPLETION_TAIL: usize = 160;
    /// Completions read. The client writes it.
    pub const COMPLETION_HEAD: usize = 176;
    /// 1 when the daemon waits to be rung.
    pub const DAEMON_SLEEPS: usize = 192;
    /// 1 when the client waits to be rung.
    pub const CLIENT_SLEEPS: usize = 208;
}

/// Bytes of the arena, from `offset` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Region {
    /// From the beginning of the arena, a multiple of [`REGION_ALIGNMENT`].
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

/// The sizes of one connection's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    ring_entries: u32,
    arena_bytes: u64,
}

/// Sizes that no memory can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct LayoutError {
    field: &'static str,
    value: u64,
    expected: String,
}

impl Layout {
    /// Where the submissions begin.
    pub const SUBMISSIONS_START: u64 = CONTROL_BYTES;

    /// Sizes within the limits of the contract.
    ///
    /// # Errors
    /// [`LayoutError`] naming the one that is not.
    pub fn new(ring_entries: u32, arena_bytes: u64) -> Result<Self, LayoutError> {
        if !RING_ENTRIES.contains(&ring_entries) || !ring_entries.is_power_of_two() {
            return Err(LayoutError {
                field: "ring_entries",
                value: ring_entries.into(),
                expected: format!(
                    "a power of two from {} to {}",
                    RING_ENTRIES.start(),
                    RING_ENTRIES.end()
                ),
            });
        }
        if !ARENA_BYTES.contains(&arena_bytes) || !arena_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(LayoutError {
                field: "arena_bytes",
                value: arena_bytes,
                expected: format!(
                    "a multiple of {PAGE_BYTES} from {} to {}",
                    ARENA_BYTES.start(),
                    ARENA_BYTES.end()
                ),
            });
        }
        Ok(Self {
            ring_entries,
            arena_bytes,
        })
    }

    /// Entries of each ring.
    pub fn ring_entries(self) -> u64 {
        self.ring_entries.into()
    }

    /// Bytes of the arena.
    pub fn arena_bytes(self) -> u64 {
        self.arena_bytes
    }

    /// Of the whole memory.
    pub fn total_bytes(self) -> u64 {
        self.arena_start() + self.arena_bytes
    }

    /// Where the completions begin.
    pub fn completions_start(self) -> u64 {
        Self::SUBMISSIONS_START + self.ring_bytes()
    }

    /// Where the arena begins.
    pub fn arena_start(self) -> u64 {
        (Self::SUBMISSIONS_START + 2 * self.ring_bytes()).next_multiple_of(PAGE_BYTES)
    }

    fn ring_bytes(self) -> u64 {
        u64::from(self.ring_entries) * (DESCRIPTOR_WORDS * WORD_BYTES) as u64
    }

    /// Whether a region begins where one may, and lies in the arena.
    pub fn has(self, region: Region) -> bool {
        region.offset.is_multiple_of(REGION_ALIGNMENT)
            && region
                .offset
                .checked_add(region.bytes)
                .is_some_and(|end| end <= self.arena_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_their_ranges_are_refused_by_name() {
        for (entries, arena, named) in [
            (1, 65_536, "ring_entries is 1: "),
            (3, 65_536, "ring_entries is 3: expected a power of two"),
            (8192, 65_536, "ring_entries is 8192: "),
            (2, 65_535, "arena_bytes is 65535: "),
            (2, 4096, "arena_bytes is 4096: "),
            (2, u64::MAX - 4095, "arena_bytes is 18446744073709547520: "),
        ] {
            let refused = Layout::new(entries, arena).unwrap_err().to_string();
            assert!(refused.starts_with(named), "{refused}");
        }
    }

    #[test]
    fn a_region_lies_in_the_arena_or_is_none() {
        let layout = Layout::new(2, 65_536).unwrap();
        let has = |offset, bytes| layout.has(Region { offset, bytes });
        assert!(has(0, 65_536) && has(65_536, 0) && has(8, 3));
        assert!(!has(4, 8) && !has(8, 65_536) && !has(8, u64::MAX) && !has(u64::MAX - 7, 8));
    }

    #[test]
    fn the_parts_follow_one_another() {
        let layout = Layout::new(256, 1 << 20).unwrap();
        assert_eq!(Layout::SUBMISSIONS_START, 4096);
        assert_eq!(layout.completions_start(), 4096 + 256 * 64);
        assert_eq!(layout.arena_start(), 4096 + 2 * 256 * 64);
        assert_eq!(layout.total_bytes(), 4096 + 2 * 256 * 64 + (1 << 20));
        // The smallest rings take a page together.
        assert_eq!(Layout::new(2, 65_536).unwrap().arena_start(), 8192);
    }

    /// What another client is written by.
    #[test]
    fn the_page_has_these_numbers() {
        let page = include_str!("../LAYOUT.md");
        let words = [
            ("magic", word::MAGIC),
            ("version", word::VERSION),
            ("boot_epoch", word::BOOT_EPOCH),
            ("total_bytes", word::TOTAL_BYTES),
            ("ring_entries", word::RING_ENTRIES),
            ("submissions_start", word::SUBMISSIONS),
            ("completions_start", word::COMPLETIONS),
            ("arena_start", word::ARENA),
            ("arena_bytes", word::ARENA_BYTES),
            ("submission_tail", word::SUBMISSION_TAIL),
            ("submission_head", word::SUBMISSION_HEAD),
            ("completion_tail", word::COMPLETION_TAIL),
            ("completion_head", word::COMPLETION_HEAD),
            ("daemon_sleeps", word::DAEMON_SLEEPS),
            ("client_sleeps", word::CLIENT_SLEEPS),
        ];
        for (name, word) in words {
            let row = format!("| {} | 8 | {name} |", word * WORD_BYTES);
            assert!(page.contains(&row), "LAYOUT.md lacks {row}");
        }
    }
}
