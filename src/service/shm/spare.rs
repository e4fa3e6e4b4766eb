//! Memory for copies of large tensors, which is used again: the first write to memory that is fresh from the system costs many
//! times as much as the copy.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// From how many bytes on a copy is worth it: an allocator keeps the memory of smaller ones.
const LARGE_BYTES: usize = 64 << 10;
/// That are kept for the next copies, those of all connections together.
const SPARE_BYTES: usize = 32 << 20;
/// Memory is of a multiple of this, so that it suits the next tensor of about the same size.
const STEP_BYTES: usize = 256 << 10;

/// What is not in use.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// The last that came back is the last: its bytes may still be in a cache.
    memory: Mutex<Vec<Box<[u8]>>>,
}

/// A copy, whose memory goes back when the last who has it is done.
struct Copied {
    memory: Box<[u8]>,
    len: usize,
    spare: Arc<Spare>,
}

impl Spare {
    /// `len` bytes that `write` has written, all of them: what they are before is anything.
    pub(super) fn filled<E>(
        self: &Arc<Self>,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if len < LARGE_BYTES {
            let mut bytes = vec![0; len];
            write(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut copied = Copied {
            memory: self.take(len),
            len,
            spare: Arc::clone(self),
        };
        write(&mut copied.memory[..len])?;
        Ok(Bytes::from_owner(copied))
    }

    /// The last that is long enough and not much longer, or another.
    fn take(&self, len: usize) -> Box<[u8]> {
        let wanted = len.next_multiple_of(STEP_BYTES);
        let fits = |bytes: usize| bytes >= len && bytes / 2 <= wanted;
        let mut spare = self.memory.lock();
        if let Some(at) = spare.iter().rposition(|memory| fits(memory.len())) {
            return spare.remove(at);
        }
        drop(spare);
        vec![0; wanted].into()
    }

    /// Keeps memory, in the place of what was not used for longest.
    fn put(&self, memory: Box<[u8]>) {
        let mut spare = self.memory.lock();
        spare.push(memory);
        let mut kept = 0;
        let fitting = spare.iter().rev().take_while(|memory| {
            kept += memory.len();
            kept <= SPARE_BYTES
        });
        let gone = spare.len() - fitting.count();
        let gone: Vec<_> = spare.drain(..gone).collect();
        // The system takes its time.
        drop(spare);
        drop(gone);
    }
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(spare: &Arc<Spare>, len: usize, with: u8) -> Bytes {
        let write = |bytes: &mut [u8]| {
            bytes.fill(with);
            Ok::<(), ()>(())
        };
        spare.filled(len, write).unwrap()
    }

    fn kept(spare: &Spare) -> Vec<usize> {
        spare
            .memory
            .lock()
            .iter()
            .map(|memory| memory.len())
            .collect()
    }

    #[test]
    fn memory_is_used_again_when_the_last_who_has_it_is_done() {
        let spare = Arc::<Spare>::default();
        let first = filled(&spare, 1_000_000, 1);
        let part = first.slice(10..20);
        let (at, again) = (first.as_ptr(), first.clone());
        drop((first, again));
        assert!(kept(&spare).is_empty());
        drop(part);
        assert_eq!(kept(&spare), [4 * STEP_BYTES]);
        let second = filled(&spare, 900_000, 2);
        assert_eq!((second.as_ptr(), second.len()), (at, 900_000));
        assert!(second.iter().all(|byte| *byte == 2));
        // While it is used, others have their own; much smaller ones always.
        let third = filled(&spare, 900_000, 3);
        drop(second);
        drop(filled(&spare, LARGE_BYTES, 4));
        assert_eq!(kept(&spare), [4 * STEP_BYTES, STEP_BYTES]);
        drop(third);
        drop(filled(&spare, LARGE_BYTES - 1, 5));
        assert_eq!(kept(&spare).len(), 3);
    }

    #[test]
    fn no_more_is_kept_than_is_allowed_and_the_oldest_goes() {
        let spare = Arc::<Spare>::default();
        let large: Vec<_> = (1..=5)
            .map(|of| filled(&spare, of * (4 << 20), 1))
            .collect();
        drop(large);
        assert_eq!(kept(&spare), [20 << 20]);
        drop(filled(&spare, SPARE_BYTES + 1, 1));
        assert!(kept(&spare).is_empty());
    }

    #[test]
    fn memory_that_could_not_be_written_is_kept_too() {
        let spare = Arc::<Spare>::default();
        assert_eq!(spare.filled(LARGE_BYTES, |_| Err("no")), Err("no"));
        assert_eq!(kept(&spare), [STEP_BYTES]);
    }
}
