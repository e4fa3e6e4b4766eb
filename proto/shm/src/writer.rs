//! The answer's region, filled from its beginning: tensors, then the body that names them.

use std::sync::Arc;

use crate::layout::{REGION_ALIGNMENT, Region};
use crate::memory::{Memory, OutOfArena};

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The region is too small.
    #[error("{bytes} bytes, where {left} are left")]
    Full {
        /// That were to be written.
        bytes: u64,
        /// Of the region.
        left: u64,
    },
    /// The region is not in the arena.
    #[error(transparent)]
    Outside(#[from] OutOfArena),
}

/// Writes into one region and nowhere else.
#[derive(Debug)]
pub struct Writer {
    memory: Arc<Memory>,
    region: Region,
    used: u64,
}

impl Writer {
    /// At the beginning of `region`.
    pub fn new(memory: Arc<Memory>, region: Region) -> Self {
        Self {
            memory,
            region,
            used: 0,
        }
    }

    /// Of the region, used or not.
    pub fn capacity(&self) -> u64 {
        self.region.bytes
    }

    /// Writes bytes after those that are there, and says where.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Region, WriteError> {
        let left = self.region.bytes.saturating_sub(self.used);
        let length = bytes.len() as u64;
        if length > left {
            return Err(WriteError::Full {
                bytes: length,
                left,
            });
        }
        let offset = self.region.offset + self.used;
        self.memory.write(offset, bytes)?;
        self.used += length.next_multiple_of(REGION_ALIGNMENT);
        Ok(Region {
            offset,
            bytes: length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn a_writer_fills_its_region_and_no_more() {
        let layout = Layout::new(2, 65_536).unwrap();
        let (memory, _file) = Memory::create(layout, 1).unwrap();
        let memory = Arc::new(memory);
        memory.write(0, &[7; 64]).unwrap();
        let region = Region {
            offset: 16,
            bytes: 24,
        };
        let mut writer = Writer::new(Arc::clone(&memory), region);
        let first = writer.put(&[1; 3]).unwrap();
        let second = writer.put(&[2; 16]).unwrap();
        assert_eq!((first.offset, second.offset), (16, 24));
        let full = WriteError::Full { bytes: 1, left: 0 };
        assert_eq!(writer.put(&[3]), Err(full));
        assert_eq!(writer.put(&[]).unwrap().bytes, 0);
        let all = memory.read(Region {
            offset: 0,
            bytes: 64,
        });
        let all = all.unwrap();
        assert_eq!(all[..16], [7; 16]);
        assert_eq!(all[16..24], [1, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(all[24..40], [2; 16]);
        assert_eq!(all[40..], [7; 24]);
    }
}
