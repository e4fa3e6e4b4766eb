//! How much of the disk may be used, and how much is, by collection: the files of segments and of tokens, and the rows of
//! the catalog by their own bytes. What RocksDB needs beside them (its log, what it has not compacted yet) is not in it.
//! A file that several collections have is used by each of them, and once by all together.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::StoreError;
use crate::Bytes;
use crate::catalog::rows::{Origin, SegmentRow};

/// Asked for bytes when there is no room for them; says whether some were given back, so that asking again is worth it.
pub type Reclaim = Box<dyn Fn(Bytes) -> bool + Send + Sync>;

/// The disk of all collections of a data directory.
pub(super) struct Space {
    limit: Bytes,
    books: Mutex<Books>,
    reclaim: OnceLock<Reclaim>,
}

/// A file, whatever names it has: what it was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FileId {
    /// A segment's.
    Segment {
        generation: u64,
        layer: u32,
        segment: u64,
    },
    /// Of tokens that no segment has.
    Tail(u64),
}

impl FileId {
    /// The file of the segment with this row and this generation, layer and number.
    pub(super) fn of_segment(
        row: &SegmentRow,
        (generation, layer, segment): (u64, u32, u64),
    ) -> Self {
        let own = Self::Segment {
            generation,
            layer,
            segment,
        };
        row.origin.as_ref().map_or(own, Origin::file)
    }
}

impl Origin {
    /// The file that was written for it.
    pub(super) fn file(&self) -> FileId {
        FileId::Segment {
            generation: self.generation,
            layer: self.layer,
            segment: self.segment,
        }
    }
}

#[derive(Debug, Default)]
struct Books {
    /// Every file once.
    used: u64,
    /// By generation, every file that it has; a deleted collection has nothing here.
    of: HashMap<u64, u64>,
    /// The files that more than one collection has, and how many have them.
    shared: HashMap<FileId, u32>,
    /// The bytes of the files that a collection, by generation, has shared with another.
    sharing: HashMap<u64, HashMap<FileId, u64>>,
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

    /// Counts for `to` a file of so many bytes that `from` has.
    pub(super) fn share(&self, file: FileId, bytes: u64, [from, to]: [u64; 2]) {
        let mut books = self.books.lock();
        *books.of.entry(to).or_default() += bytes;
        *books.shared.entry(file).or_insert(1) += 1;
        for generation in [from, to] {
            let sharing = books.sharing.entry(generation).or_default();
            sharing.insert(file, bytes);
        }
    }

    /// Whether a collection shares a file with another.
    pub(super) fn has(&self, generation: u64, file: FileId) -> bool {
        let books = self.books.lock();
        let files = books.sharing.get(&generation);
        files.is_some_and(|files| files.contains_key(&file))
    }

    /// Counts what a start of the daemon finds of a file that was counted for both: it is there once.
    pub(super) fn found_shared(&self, file: FileId, bytes: u64, both: [u64; 2]) {
        self.share(file, bytes, both);
        let mut books = self.books.lock();
        books.take_away(both[1], bytes);
        books.used -= bytes;
    }

    /// A row of a collection that is gone, and its file where it has one.
    pub(super) fn give_back(&self, generation: u64, bytes: u64, file: Option<FileId>) {
        let mut books = self.books.lock();
        let given = books.take_away(generation, bytes);
        let stays = file.map_or(0, |file| books.unshare(generation, file));
        books.used -= given.saturating_sub(stays);
    }

    /// Everything of a collection that is gone.
    pub(super) fn forget(&self, generation: u64) {
        let mut books = self.books.lock();
        let files = books.sharing.get(&generation);
        let files: Vec<FileId> = files.map_or(vec![], |files| files.keys().copied().collect());
        let stays: u64 = files
            .into_iter()
            .map(|file| books.unshare(generation, file))
            .sum();
        if let Some(held) = books.of.remove(&generation) {
            books.used -= held.saturating_sub(stays);
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

    /// Of what a collection has; how many bytes it had of them.
    fn take_away(&mut self, generation: u64, bytes: u64) -> u64 {
        let Some(held) = self.of.get_mut(&generation) else {
            return 0;
        };
        let given = bytes.min(*held);
        *held -= given;
        given
    }

    /// A collection does not have a file any more; how many bytes of it others still have.
    fn unshare(&mut self, generation: u64, file: FileId) -> u64 {
        let Some(files) = self.sharing.get_mut(&generation) else {
            return 0;
        };
        let Some(bytes) = files.remove(&file) else {
            return 0;
        };
        if files.is_empty() {
            self.sharing.remove(&generation);
        }
        let Some(names) = self.shared.get_mut(&file) else {
            // The others have let go of it before.
            return 0;
        };
        *names -= 1;
        if *names == 1 {
            self.shared.remove(&file);
        }
        bytes
    }
}

impl Taken {
    /// How many.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts the bytes for good; how many they are.
    pub(super) fn keep(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.give_back(self.generation, self.bytes, None);
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
        space.give_back(3, 450, None);
        assert_eq!(space.used(), Bytes(50));
    }

    #[test]
    fn a_file_counts_until_the_last_that_has_it_lets_it_go() {
        let space = Arc::new(Space::new(Bytes(1000)));
        let (file, other) = (FileId::Tail(1), FileId::Tail(2));
        space.take(1, 110).unwrap().keep();
        space.share(file, 100, [1, 2]);
        space.share(file, 100, [2, 3]);
        assert_eq!((space.used(), space.of(3)), (Bytes(110), Bytes(100)));
        space.give_back(1, 110, Some(file));
        assert_eq!((space.used(), space.of(1)), (Bytes(100), Bytes(0)));
        space.forget(3);
        assert_eq!((space.used(), space.of(2)), (Bytes(100), Bytes(100)));
        // Twice the same two, from the other side.
        space.share(file, 100, [2, 4]);
        space.forget(2);
        assert_eq!(space.used(), Bytes(100));
        space.give_back(4, 100, Some(file));
        assert_eq!(space.used(), Bytes(0));

        space.count(5, 40);
        space.count(6, 45);
        space.found_shared(other, 40, [5, 6]);
        assert_eq!((space.used(), space.of(6)), (Bytes(45), Bytes(45)));
        space.forget(6);
        assert_eq!(space.used(), Bytes(40));
        space.forget(5);
        assert_eq!(space.used(), Bytes(0));
        let books = space.books.lock();
        assert!(books.shared.is_empty() && books.sharing.is_empty());
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
