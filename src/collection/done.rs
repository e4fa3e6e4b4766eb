//! What was done with one collection since the daemon's start, for an operator who asks which ones keep it busy. Hot path: no
//! allocation, no lock, no log; a call touches the counters of its own collection alone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collection::{Collection, Inserted};
use crate::model::Cost;

/// Counted as entries of calls are done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    attends: AtomicU64,
    inserts: AtomicU64,
    inserted_tokens: AtomicU64,
    read_bytes: AtomicU64,
    full_bytes: AtomicU64,
}

/// What `Counts` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Answers.
    pub attends: u64,
    /// Inserts, those of tokens that were stored already too.
    pub inserts: u64,
    /// Stored, without those that were stored already.
    pub inserted_tokens: u64,
    /// Read for the answers.
    pub read_bytes: u64,
    /// What exact answers would have read.
    pub full_bytes: u64,
}

impl Collection {
    /// Counts what an insert has come to; one of nothing, as an attend without one is, is none.
    pub fn note_insert(&self, inserted: &Inserted) {
        if inserted.stored == 0 && inserted.already_stored == 0 {
            return;
        }
        add(&self.done.inserts, 1);
        add(&self.done.inserted_tokens, inserted.stored.into());
    }

    /// Counts an answer.
    pub fn note_attend(&self, cost: &Cost) {
        add(&self.done.attends, 1);
        add(&self.done.read_bytes, cost.bytes_read);
        add(&self.done.full_bytes, cost.full_bytes);
    }

    /// What was done with it so far.
    pub fn done(&self) -> Done {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Done {
            attends: of(&self.done.attends),
            inserts: of(&self.done.inserts),
            inserted_tokens: of(&self.done.inserted_tokens),
            read_bytes: of(&self.done.read_bytes),
            full_bytes: of(&self.done.full_bytes),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
