//! The hand that goes round over all blocks of all files and has those leave that are not used.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::PagedFile;
use crate::Bytes;

/// One eviction comes by every block at most as often: once to take its credit, once to have it go.
const ROUNDS: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Clock {
    hand: Mutex<Hand>,
}

#[derive(Debug, Default)]
struct Hand {
    files: Vec<Weak<PagedFile>>,
    /// The file at which it stands.
    file: usize,
    /// And the window there.
    window: usize,
}

impl Clock {
    /// A file that has come.
    pub(super) fn add(&self, file: &Arc<PagedFile>) {
        self.hand.lock().files.push(Arc::downgrade(file));
    }

    /// Has blocks leave until `wanted` bytes are free, or no more can be; returns how many.
    pub(super) fn evict(&self, wanted: Bytes) -> Bytes {
        let mut hand = self.hand.lock();
        let mut freed = 0;
        // Where the hand started in the middle of a file, the rest of it comes last.
        let mut visits = ROUNDS * (hand.files.len() + 1);
        while freed < wanted.0 && visits > 0 && !hand.files.is_empty() {
            let at = hand.file % hand.files.len();
            let Some(file) = hand.files[at].upgrade() else {
                hand.files.swap_remove(at);
                hand.window = 0;
                continue;
            };
            let (left, window) = file.visit(hand.window, wanted.0 - freed);
            freed += left;
            hand.window = window.unwrap_or(0);
            hand.file = if window.is_some() { at } else { at + 1 };
            visits -= usize::from(window.is_none());
        }
        Bytes(freed)
    }
}
