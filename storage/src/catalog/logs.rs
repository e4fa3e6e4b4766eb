//! RocksDB's logs (that of writes, `*.log`, and that of its files, `MANIFEST-*`), looked at before RocksDB reads them.
//!
//! RocksDB takes a record that is longer than what is left of its file for one that was being written when the process
//! ended, and what is all zeros for room that was reserved: it drops that, and what follows, without a word. So a single byte
//! of a length, or a page that has become zeros, would have it forget what was acknowledged. Here a log that breaks off is
//! told from one that is damaged: after the place where a write broke off there is no whole record.
//!
//! A log is blocks of 32 KiB of records, of which none goes over the end of its block:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC-32C of all that follows from byte 6 on, masked |
//! | 4 | 2 | length of the content |
//! | 6 | 1 | type |
//! | 7 | 4 | of the types 5 to 8, 11 and 131 only: number of the log |
//! | 7 or 11 | … | content |
//!
//! Must not know: what a record says.

use std::io::{self, Read as _};
use std::path::Path;

use fs_err::File;

use super::CatalogError;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// With the number of the log.
const LONG_HEADER_BYTES: usize = 11;
/// What RocksDB adds to the checksums that it stores.
const MASK: u32 = 0xa282_ead8;

/// Looks at every log of the catalog in `folder`; that there is none is not wrong.
///
/// # Errors
/// [`CatalogError::Log`] naming the file and the byte; [`CatalogError::Refused`] when the system refuses.
pub(super) fn check(folder: &Path) -> Result<(), CatalogError> {
    let failed = |error: io::Error| CatalogError::io(folder, &error);
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let is_of_writes = path.extension().is_some_and(|extension| extension == "log");
        if !is_of_writes && !name.starts_with("MANIFEST-") {
            continue;
        }
        let mut file = match File::open(&path) {
            // RocksDB removes those that it no longer needs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        if let Some(byte) = damage(&mut file).map_err(failed)? {
            let path = folder.to_owned();
            return Err(CatalogError::Log { path, name, byte });
        }
    }
    Ok(())
}

/// What a look at a block ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All of it are records, and perhaps the room for none.
    Whole,
    /// From here on there is none, as where a write broke off.
    Broken(usize),
    /// Here is one that is not as it was written.
    Damaged(usize),
}

/// Where a log is damaged, if it is.
fn damage(log: &mut File) -> io::Result<Option<u64>> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let (mut start, mut broken) = (0, None);
    loop {
        block.clear();
        log.by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(None);
        }
        match broken {
            Some(_) if has_record(&block) => return Ok(broken),
            Some(_) => {}
            None => match end(&block) {
                End::Whole => {}
                End::Damaged(at) => return Ok(Some(start + at as u64)),
                End::Broken(at) if has_record(&block[at + 1..]) => {
                    return Ok(Some(start + at as u64));
                }
                End::Broken(at) => broken = Some(start + at as u64),
            },
        }
        start += block.len() as u64;
    }
}

fn end(block: &[u8]) -> End {
    let mut at = 0;
    while BLOCK_BYTES - at >= HEADER_BYTES {
        let rest = &block[at..];
        match record(rest) {
            Some(len) => at += len,
            None => return of_no_record(rest, at),
        }
    }
    End::Whole
}

/// What a place is that has no whole record.
fn of_no_record(rest: &[u8], at: usize) -> End {
    let Some(header) = Header::of(rest) else {
        // In the last block, or the loop had ended.
        return if rest.is_empty() {
            End::Whole
        } else {
            End::Broken(at)
        };
    };
    let is_last_block = at + rest.len() < BLOCK_BYTES;
    if header.bytes() > rest.len() && is_last_block {
        // One that is all there but for what its header says of its length breaks nothing off.
        let is_there = header.is_of_any_kind(rest);
        return if is_there {
            End::Damaged(at)
        } else {
            End::Broken(at)
        };
    }
    if rest[..HEADER_BYTES] == [0; HEADER_BYTES] {
        End::Broken(at)
    } else {
        End::Damaged(at)
    }
}

/// Whether a whole record begins anywhere.
fn has_record(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| record(&bytes[at..]).is_some())
}

/// Bytes of the whole record that begins here, if one does.
fn record(bytes: &[u8]) -> Option<usize> {
    let header = Header::of(bytes)?;
    let record = bytes.get(..header.bytes())?;
    let is_kind = matches!(header.kind, 1..=11 | 130 | 131);
    (is_kind && header.is_of(record, header.kind)).then_some(record.len())
}

/// Of a record.
#[derive(Clone, Copy, Debug)]
struct Header {
    checksum: u32,
    content: usize,
    kind: u8,
}

impl Header {
    /// None where there is no room for one.
    fn of(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, low, high, kind] = *bytes.first_chunk::<HEADER_BYTES>()?;
        Some(Self {
            checksum: u32::from_le_bytes([a, b, c, d]),
            content: usize::from(u16::from_le_bytes([low, high])),
            kind,
        })
    }

    /// Of header and content.
    fn bytes(self) -> usize {
        let header = match self.kind {
            5..=8 | 11 | 131 => LONG_HEADER_BYTES,
            _ => HEADER_BYTES,
        };
        header + self.content
    }

    /// Whether the checksum is that of these bytes as a record of a kind.
    fn is_of(self, record: &[u8], kind: u8) -> bool {
        // As RocksDB stores them, so that none is that of bytes which have it among them.
        let unmasked = self.checksum.wrapping_sub(MASK).rotate_right(17);
        let content = &record[HEADER_BYTES..];
        crc32c::crc32c_append(crc32c::crc32c(&[kind]), content) == unmasked
    }

    fn is_of_any_kind(self, record: &[u8]) -> bool {
        (0..=u8::MAX).any(|kind| self.is_of(record, kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A log of records with these contents.
    fn log(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut log = vec![];
        for content in contents {
            let mut rest = content.as_slice();
            let mut first = true;
            loop {
                let left = BLOCK_BYTES - log.len() % BLOCK_BYTES;
                if left < HEADER_BYTES {
                    log.resize(log.len() + left, 0);
                    continue;
                }
                let (part, after) = rest.split_at(rest.len().min(left - HEADER_BYTES));
                let kind = match (first, after.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let covered = [&[kind], part].concat();
                let checksum = crc32c::crc32c(&covered).rotate_right(15);
                log.extend_from_slice(&checksum.wrapping_add(MASK).to_le_bytes());
                log.extend_from_slice(&(part.len() as u16).to_le_bytes());
                log.extend_from_slice(&covered);
                (rest, first) = (after, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        log
    }

    fn damage_of(bytes: &[u8]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000004.log");
        fs_err::write(&path, bytes).unwrap();
        let found = damage(&mut File::open(&path).unwrap()).unwrap();
        let checked = check(folder.path());
        assert_eq!(found.is_some(), checked.is_err(), "{checked:?}");
        found
    }

    fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let content = (1..70_000_usize, any::<u8>())
            .prop_map(|(bytes, salt)| (0..bytes).map(|at| (at / 3) as u8 ^ salt).collect());
        let small = prop::collection::vec(any::<u8>(), 1..40);
        prop::collection::vec(prop_oneof![3 => small.boxed(), 1 => content.boxed()], 1..12)
    }

    proptest! {
        #[test]
        fn a_log_that_breaks_off_anywhere_is_sound_and_one_with_a_flipped_bit_is_not(
            contents in contents(), at: prop::sample::Index, bit in 0..8_u32,
        ) {
            let whole = log(&contents);
            prop_assert_eq!(damage_of(&whole), None);
            let at = at.index(whole.len());
            prop_assert_eq!(damage_of(&whole[..at]), None, "cut at {}", at);
            let mut flipped = whole.clone();
            flipped[at] ^= 1_u8 << bit;
            let trailer = BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES && whole[at] == 0;
            if !trailer {
                let found = damage_of(&flipped);
                prop_assert!(found.is_some_and(|byte| byte <= at as u64), "{found:?} of byte {at}");
            }
        }
    }

    #[test]
    fn a_page_of_zeros_between_records_is_damage_and_one_after_them_is_room() {
        let contents: Vec<Vec<u8>> = (0..40).map(|at| vec![at; 1000]).collect();
        let whole = log(&contents);
        let mut zeroed = whole.clone();
        zeroed[4096..8192].fill(0);
        assert!(damage_of(&zeroed).is_some_and(|byte| byte < 8192));
        // From the beginning of a record on, to the end of its block, where RocksDB goes on with the next block.
        let mut zeroed = whole.clone();
        let first = 1007 * 3;
        zeroed[first..BLOCK_BYTES].fill(0);
        assert_eq!(damage_of(&zeroed), Some(first as u64));
        let mut longer = whole.clone();
        longer.resize(whole.len() + 100_000, 0);
        assert_eq!(damage_of(&longer), None);
    }
}
