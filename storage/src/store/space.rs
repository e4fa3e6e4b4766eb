//! How much of the disk may be used, and how much is, by collection: the files of segments and of tokens, and the rows of
//! the catalog by their own bytes. What RocksDB needs beside them (its log, what it has not compacted yet) is not in it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::StoreError;
use crate::Bytes;

/// Asked for bytes when there is no room for them; says whether some were given back, so that asking again is worth it.
pub type Reclaim = Box<dyn Fn(Bytes) -> bool + Send + Sync>;

/// The disk of all collections of a data directory.
pub(super) struct Space {
    limit: Bytes,
    books: Mutex<Books>,
    reclaim: OnceLock<Reclaim>,
}

#[derive(Debug, Default)]
struct Books {
    used: u64,
    /// By generation; a deleted collection has nothing here.
    of: HashMap<u64, u64>,
}

/// Bytes of a collection that are given back when this is dropped, unless they are kept.
#[derive(Debug)]
pub(super) struct Taken {
    space: Arc<Space>,
    generation: u64,
    bytes: u64,
}

impl Space {
    pub(super) fn new(limit: Bytes) -> Self {
        Self {
            limit,
            books: Mutex::default(),
            reclaim: OnceLock::new(),
        }
    }

    pub(super) fn limit(&self) -> Bytes {
        self.limit
    }

    pub(super) fn used(&self) -> Bytes {
        Bytes(self.books.lock().used)
    }

    pub(super) fn of(&self, generation: u64) -> Bytes {
        Bytes(self.books.lock().of.get(&generation).copied().unwrap_or(0))
    }

    /// Who is asked when there is no room. The first that is set stays.
    pub(super) fn reclaim_with(&self, reclaim: Reclaim) {
        // A second one would be of the same store; whoever came first goes on.
        let _ = self.reclaim.set(reclaim);
    }

    /// # Errors
    /// [`StoreError::NoRoom`] when the limit would be passed and nobody gave anything back.
    pub(super) fn take(self: &Arc<Self>, generation: u64, bytes: u64) -> Result<Taken, StoreError> {
        loop {
            let used = {
                let mut books = self.books.lock();
                let after = books.used.checked_add(bytes);
                if after.is_some_and(|after| after <= self.limit.0) {
                    books.add(generation, bytes);
                    return Ok(self.taken(generation, bytes));
                }
                books.used
            };
            // How many are missing; the lock is not held while others are deleted.
            let missing = used.saturating_add(bytes).saturating_sub(self.limit.0);
            let reclaim = self.reclaim.get();
            if bytes > self.limit.0 || !reclaim.is_some_and(|reclaim| reclaim(Bytes(missing))) {
                return Err(StoreError::NoRoom {
                    asked: Bytes(bytes),
                    used: Bytes(used),
                    limit: self.limit,
                });
            }
        }
    }

    /// Takes whatever the limit says: for what makes more room than it needs.
    pub(super) fn force(self: &Arc<Self>, generation: u64, bytes: u64) -> Taken {
        self.count(generation, bytes);
        self.taken(generation, bytes)
    }

    /// Counts what a start of the daemon finds.
    pub(super) fn count(&self, generation: u64, bytes: u64) {
        self.books.lock().add(generation, bytes);
    }

    pub(super) fn give_back(&self, generation: u64, bytes: u64) {
        let mut books = self.books.lock();
        if let Some(held) = books.of.get_mut(&generation) {
            let given = bytes.min(*held);
            *held -= given;
            books.used -= given;
        }
    }

    /// Everything of a collection that is gone.
    pub(super) fn forget(&self, generation: u64) {
        let mut books = self.books.lock();
        if let Some(held) = books.of.remove(&generation) {
            books.used -= held;
        }
    }

    fn taken(self: &Arc<Self>, generation: u64, bytes: u64) -> Taken {
        Taken {
            space: Arc::clone(self),
            generation,
            bytes,
        }
    }
}

impl Books {
    fn add(&mut self, generation: u64, bytes: u64) {
        self.used += bytes;
        *self.of.entry(generation).or_default() += bytes;
    }
}

impl Taken {
    /// Counts the bytes for good; how many they are.
    pub(super) fn keep(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.give_back(self.generation, self.bytes);
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Space");
        shown
            .field("limit", &self.limit)
            .field("books", &self.books)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_is_not_kept_is_given_back_and_what_is_deleted_is_forgotten() {
        let space = Arc::new(Space::new(Bytes(100)));
        let kept = space.take(1, 60).unwrap().keep();
        drop(space.take(2, 40).unwrap());
        assert_eq!((kept, space.used(), space.of(2)), (60, Bytes(60), Bytes(0)));
        let refused = space.take(2, 41).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "41 bytes of disk were asked for: the disk budget does not allow it (60 bytes of 100 bytes are used)"
        );
        let late = space.take(1, 10).unwrap();
        space.forget(1);
        drop(late);
        assert_eq!((space.used(), space.of(1)), (Bytes(0), Bytes(0)));
        assert_eq!(space.force(3, 500).keep(), 500);
        space.give_back(3, 450);
        assert_eq!(space.used(), Bytes(50));
    }

    #[test]
    fn whoever_can_give_back_is_asked_until_there_is_room_or_nothing_more_comes() {
        let space = Arc::new(Space::new(Bytes(100)));
        for generation in 1..=4 {
            space.take(generation, 25).unwrap().keep();
        }
        let (asked, next) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(1));
        let (of, seen) = (Arc::downgrade(&space), Arc::clone(&asked));
        space.reclaim_with(Box::new(move |missing| {
            seen.fetch_add(missing.0, Ordering::Relaxed);
            let generation = next.fetch_add(1, Ordering::Relaxed);
            of.upgrade().unwrap().forget(generation);
            generation <= 4
        }));
        // More than there can ever be costs nobody anything.
        space.take(9, 101).unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        space.take(9, 40).unwrap().keep();
        assert_eq!(asked.load(Ordering::Relaxed), 40 + 15);
        assert_eq!(space.used(), Bytes(90));
        space.take(9, 60).unwrap().keep();
        space.take(9, 1).unwrap_err();
        assert_eq!((space.used(), space.of(9)), (Bytes(100), Bytes(100)));
    }
}
