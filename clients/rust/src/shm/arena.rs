//! Which bytes of the arena are in use: a block a call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use wavekv_shm::Region;

/// Blocks begin at a line of a cache.
const ALIGNMENT: u64 = 64;

/// The arena of a connection.
#[derive(Debug)]
pub(super) struct Arena {
    bytes: u64,
    /// Where what is free begins, and how long it is. No two are neighbours.
    free: Mutex<BTreeMap<u64, u64>>,
    freed: Notify,
}

/// Bytes of the arena that nobody else has until this is dropped.
#[derive(Debug)]
pub(super) struct Block {
    arena: Arc<Arena>,
    region: Region,
}

impl Arena {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            free: Mutex::new(BTreeMap::from([(0, bytes)])),
            freed: Notify::new(),
        })
    }

    /// Of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A block of so many bytes, at most all, when there is one; waits for it as long as `alive`.
    pub(super) async fn allocate(
        self: &Arc<Self>,
        bytes: u64,
        alive: impl Fn() -> bool,
    ) -> Option<Block> {
        loop {
            let freed = self.freed.notified();
            if let Some(block) = self.try_allocate(bytes) {
                return Some(block);
            }
            if !alive() {
                return None;
            }
            freed.await;
        }
    }

    /// The first block that is long enough.
    fn try_allocate(self: &Arc<Self>, bytes: u64) -> Option<Block> {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (offset, length) = free
            .iter()
            .find(|(_, length)| **length >= bytes)
            .map(|(offset, length)| (*offset, *length))?;
        free.remove(&offset);
        if length > bytes {
            free.insert(offset + bytes, length - bytes);
        }
        Some(Block {
            arena: Arc::clone(self),
            region: Region { offset, bytes },
        })
    }

    /// Has those who wait for a block look whether it is worth it.
    pub(super) fn wake(&self) {
        self.freed.notify_waiters();
    }
}

impl Block {
    /// Where it is.
    pub(super) fn region(&self) -> Region {
        self.region
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Region {
            mut offset,
            mut bytes,
        } = self.region;
        let mut free = self
            .arena
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(after) = free.remove(&(offset + bytes)) {
            bytes += after;
        }
        let before = free.range(..offset).next_back();
        if let Some((start, length)) = before.map(|(start, length)| (*start, *length))
            && start + length == offset
        {
            offset = start;
            bytes += length;
        }
        free.insert(offset, bytes);
        drop(free);
        self.arena.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_in_any_order_is_whole_again() {
        for order in [
            [0, 1, 2],
            [2, 1, 0],
            [1, 0, 2],
            [0, 2, 1],
            [1, 2, 0],
            [2, 0, 1],
        ] {
            let arena = Arena::new(192);
            let mut blocks: Vec<_> = (0..3).map(|_| arena.try_allocate(33)).collect();
            let offsets: Vec<u64> = blocks
                .iter()
                .map(|block| block.as_ref().unwrap().region().offset)
                .collect();
            assert_eq!(offsets, [0, 64, 128]);
            assert!(arena.try_allocate(1).is_none());
            for freed in order {
                blocks[freed] = None;
            }
            assert_eq!(arena.try_allocate(192).unwrap().region().bytes, 192);
        }
    }

    #[tokio::test]
    async fn one_waits_for_a_block_until_it_is_free_or_never_will_be() {
        let arena = Arena::new(64);
        let block = arena.try_allocate(64).unwrap();
        let waiting = tokio::spawn({
            let arena = Arc::clone(&arena);
            async move { arena.allocate(64, || true).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(block);
        assert!(waiting.await.unwrap());
        let _block = arena.try_allocate(64).unwrap();
        assert!(arena.allocate(64, || false).await.is_none());
    }
}
