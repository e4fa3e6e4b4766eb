//! A ring of descriptors with one writer and one reader, in two processes, and the flag by which one of them sleeps.
//!
//! Each side counts for itself and only shows its count to the other, so that a peer that rewrites any word of the memory
//! can lose or repeat its own descriptors and do nothing else; a count that cannot be is an error. `tests` has loom try
//! every order in which two threads may meet the words.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::layout::{DESCRIPTOR_WORDS, Layout, WORD_BYTES, word};

/// Words that two sides share.
pub trait Words {
    /// Reads a word.
    fn load(&self, word: usize, order: Ordering) -> u64;
    /// Writes a word.
    fn store(&self, word: usize, value: u64, order: Ordering);
    /// Writes a word and gives the one before.
    fn swap(&self, word: usize, value: u64, order: Ordering) -> u64;
    /// Orders all that is before it and all that is after, for those who do the same.
    fn fence(&self);
}

impl<W: Words> Words for Arc<W> {
    fn load(&self, word: usize, order: Ordering) -> u64 {
        (**self).load(word, order)
    }

    fn store(&self, word: usize, value: u64, order: Ordering) {
        (**self).store(word, value, order);
    }

    fn swap(&self, word: usize, value: u64, order: Ordering) -> u64 {
        (**self).swap(word, value, order)
    }

    fn fence(&self) {
        (**self).fence();
    }
}

/// A descriptor as it stands in a ring.
pub type Descriptor = [u64; DESCRIPTOR_WORDS];

/// The peer shows a count that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {found}: expected {least} to {most}")]
pub struct BrokenRing {
    name: &'static str,
    found: u64,
    least: u64,
    most: u64,
}

/// Why a descriptor was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The reader has not read enough.
    #[error("the ring is full")]
    Full,
    /// The reader lies.
    #[error(transparent)]
    Broken(#[from] BrokenRing),
}

/// Where the words of a ring are.
#[derive(Clone, Copy, Debug)]
struct Place {
    entries: u64,
    slots: usize,
    tail: usize,
    head: usize,
    tail_name: &'static str,
    head_name: &'static str,
}

impl Place {
    fn submissions(layout: Layout) -> Self {
        Self {
            entries: layout.ring_entries(),
            slots: Layout::SUBMISSIONS_START as usize / WORD_BYTES,
            tail: word::SUBMISSION_TAIL,
            head: word::SUBMISSION_HEAD,
            tail_name: "submission_tail",
            head_name: "submission_head",
        }
    }

    fn completions(layout: Layout) -> Self {
        Self {
            entries: layout.ring_entries(),
            slots: layout.completions_start() as usize / WORD_BYTES,
            tail: word::COMPLETION_TAIL,
            head: word::COMPLETION_HEAD,
            tail_name: "completion_tail",
            head_name: "completion_head",
        }
    }

    /// The first word of a descriptor, by its number since the beginning.
    fn slot(self, number: u64) -> usize {
        self.slots + (number & (self.entries - 1)) as usize * DESCRIPTOR_WORDS
    }
}

/// The writing side of a ring.
#[derive(Debug)]
pub struct Sender<W> {
    words: W,
    place: Place,
    written: u64,
    /// As last shown.
    read: u64,
}

/// The reading side of a ring.
#[derive(Debug)]
pub struct Receiver<W> {
    words: W,
    place: Place,
    read: u64,
}

/// The client's side of the submissions.
pub fn submitter<W: Words>(words: W, layout: Layout) -> Sender<W> {
    Sender::new(words, Place::submissions(layout))
}

/// The daemon's side of the submissions.
pub fn submissions<W: Words>(words: W, layout: Layout) -> Receiver<W> {
    Receiver::new(words, Place::submissions(layout))
}

/// The daemon's side of the completions.
pub fn completer<W: Words>(words: W, layout: Layout) -> Sender<W> {
    Sender::new(words, Place::completions(layout))
}

/// The client's side of the completions.
pub fn completions<W: Words>(words: W, layout: Layout) -> Receiver<W> {
    Receiver::new(words, Place::completions(layout))
}

impl<W: Words> Sender<W> {
    fn new(words: W, place: Place) -> Self {
        Self {
            words,
            place,
            written: 0,
            read: 0,
        }
    }

    /// Descriptors written that the reader has not read, as it shows.
    ///
    /// # Errors
    /// [`BrokenRing`] when what it shows cannot be.
    pub fn unread(&mut self) -> Result<u64, BrokenRing> {
        // Acquire: the reader has copied what it shows as read, so that its slot may be written.
        let read = self.words.load(self.place.head, Ordering::Acquire);
        if !(self.read..=self.written).contains(&read) {
            return Err(BrokenRing {
                name: self.place.head_name,
                found: read,
                least: self.read,
                most: self.written,
            });
        }
        self.read = read;
        Ok(self.written - read)
    }

    /// Writes a descriptor and shows it.
    ///
    /// # Errors
    /// [`SendError`]; nothing was written.
    pub fn send(&mut self, descriptor: &Descriptor) -> Result<(), SendError> {
        if self.written - self.read == self.place.entries && self.unread()? == self.place.entries {
            return Err(SendError::Full);
        }
        let slot = self.place.slot(self.written);
        for (at, value) in descriptor.iter().enumerate() {
            self.words.store(slot + at, *value, Ordering::Relaxed);
        }
        self.written += 1;
        // Release: the descriptor, and the bytes that it names, are there before it is shown.
        self.words
            .store(self.place.tail, self.written, Ordering::Release);
        Ok(())
    }
}

impl<W: Words> Receiver<W> {
    fn new(words: W, place: Place) -> Self {
        Self {
            words,
            place,
            read: 0,
        }
    }

    /// The next descriptor, if there is one.
    ///
    /// # Errors
    /// [`BrokenRing`] when the writer shows what cannot be.
    pub fn receive(&mut self) -> Result<Option<Descriptor>, BrokenRing> {
        // Acquire: what the writer wrote before it showed the descriptor is seen.
        let written = self.words.load(self.place.tail, Ordering::Acquire);
        if written == self.read {
            return Ok(None);
        }
        let most = self.read.saturating_add(self.place.entries);
        if !(self.read..=most).contains(&written) {
            return Err(BrokenRing {
                name: self.place.tail_name,
                found: written,
                least: self.read,
                most,
            });
        }
        let slot = self.place.slot(self.read);
        let descriptor = std::array::from_fn(|at| self.words.load(slot + at, Ordering::Relaxed));
        self.read += 1;
        // Release: the copy is made before the slot is given back.
        self.words
            .store(self.place.head, self.read, Ordering::Release);
        Ok(Some(descriptor))
    }
}

/// The flag of a side that sleeps until it is rung.
#[derive(Debug)]
pub struct Sleep<W> {
    words: W,
    flag: usize,
}

impl<W: Words> Sleep<W> {
    /// The daemon's.
    pub fn of_daemon(words: W) -> Self {
        let flag = word::DAEMON_SLEEPS;
        Self { words, flag }
    }

    /// The client's.
    pub fn of_client(words: W) -> Self {
        let flag = word::CLIENT_SLEEPS;
        Self { words, flag }
    }

    /// Says that this side is about to sleep. It must look at its ring once more before it does.
    pub fn begin(&self) {
        self.words.store(self.flag, 1, Ordering::Relaxed);
        // Either the other side sees the flag, or this side sees what the other has sent.
        self.words.fence();
    }

    /// Says that it is awake.
    pub fn end(&self) {
        self.words.store(self.flag, 0, Ordering::Relaxed);
    }

    /// Whether the other side, having sent something, must ring. It rings once for each sleep.
    pub fn must_ring(&self) -> bool {
        self.words.fence();
        self.words.load(self.flag, Ordering::Relaxed) == 1
            && self.words.swap(self.flag, 0, Ordering::Relaxed) == 1
    }
}

#[cfg(test)]
mod tests;
