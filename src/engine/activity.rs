//! What the engine has done since its start, and has to do, for those who watch it over time. [`sizes`](super::sizes) says how
//! big things are.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wavekv_storage::store::{CatalogSize, Device};

use crate::collection::{Collection, Done, Traffic};
use crate::engine::Engine;
use crate::engine::pool::PoolSize;
use crate::model::{Cost, IndexKind};

/// Something that was tried, by whether it was done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: AtomicU64,
    failed: AtomicU64,
}

/// What a `Tally` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// So often it was done.
    pub done: u64,
    /// So often not.
    pub failed: u64,
}

impl Tally {
    pub(super) fn count<T, E>(&self, tried: &Result<T, E>) {
        let count = if tried.is_ok() {
            &self.done
        } else {
            &self.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn tried(&self) -> Tried {
        Tried {
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// What calls have come to, counted as they end.
#[derive(Debug, Default)]
pub(super) struct Work {
    inserted_tokens: AtomicU64,
    /// By place of the kind of index.
    read_bytes: [AtomicU64; IndexKind::ALL.len()],
    full_bytes: [AtomicU64; IndexKind::ALL.len()],
    /// In the order of [`ZONES`].
    zones: [AtomicU64; ZONES.len()],
}

/// What may be done with a visible token.
const ZONES: [&str; 5] = ["steady", "retrieved", "coded", "estimated", "ignored"];

impl Work {
    pub(super) fn inserted(&self, tokens: u32) {
        let tokens = u64::from(tokens);
        self.inserted_tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    pub(super) fn attended(&self, kind: IndexKind, cost: &Cost) {
        let add = |count: &AtomicU64, more| count.fetch_add(more, Ordering::Relaxed);
        add(&self.read_bytes[kind as usize], cost.bytes_read);
        add(&self.full_bytes[kind as usize], cost.full_bytes);
        let tokens = [
            cost.steady_tokens,
            cost.retrieved_tokens,
            cost.coded_tokens,
            cost.estimated_tokens,
            cost.ignored_tokens,
        ];
        for (zone, tokens) in self.zones.iter().zip(tokens) {
            add(zone, tokens);
        }
    }
}

/// What was done since the start, and what there is to do.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Stored, without those that were stored already.
    pub inserted_tokens: u64,
    /// By kind of index.
    pub read_bytes: [(&'static str, u64); IndexKind::ALL.len()],
    /// By kind of index: what exact answers would have read.
    pub full_bytes: [(&'static str, u64); IndexKind::ALL.len()],
    /// Visible tokens of attends, by what was done with them.
    pub zones: [(&'static str, u64); ZONES.len()],
    /// The compute pool.
    pub compute: PoolSize,
    /// Answers whose error was measured because their callers asked for it.
    pub asked_audits: u64,
    /// Answers whose error was measured unasked.
    pub unasked_audits: u64,
    /// Snapshots.
    pub snapshots: Tried,
    /// Restores.
    pub restores: Tried,
    /// Of blocks of all collections that there ever were; in memory, of those that there are.
    pub blocks: Traffic,
    /// Files and rows of all collections on disk.
    pub stored_bytes: u64,
    /// None while the catalog is not open.
    pub catalog: Option<CatalogSize>,
    /// None where the system does not say.
    pub device: Option<Device>,
    /// Collections that are not served.
    pub refused: u64,
}

impl Engine {
    /// Of the collections that something was done with since the start, the `most` that were used last, the last one first, and
    /// what was done. It looks at every collection.
    pub fn used_last(&self, most: usize) -> Vec<(Arc<Collection>, Done)> {
        let all = self.registry.all().into_iter();
        let done = all.map(|collection| {
            let done = collection.done();
            (collection, done)
        });
        let mut used: Vec<_> = done.filter(|(_, done)| *done != Done::default()).collect();
        // Those that were used within the same moment stay in order of their names.
        used.sort_by_key(|(collection, _)| Reverse(collection.used_at()));
        used.truncate(most);
        used
    }

    /// What the engine has done and has to do. It asks the file system, and looks at every collection.
    pub fn activity(&self) -> Activity {
        let work = &self.work;
        let of = |counts: &[AtomicU64], place: usize| counts[place].load(Ordering::Relaxed);
        let by_kind = |counts| IndexKind::ALL.map(|kind| (kind.name(), of(counts, kind as usize)));
        let (asked_audits, unasked_audits) = self.audits.made();
        let (snapshots, restores) = self.archive.tried();
        Activity {
            inserted_tokens: work.inserted_tokens.load(Ordering::Relaxed),
            read_bytes: by_kind(&work.read_bytes),
            full_bytes: by_kind(&work.full_bytes),
            zones: std::array::from_fn(|zone| (ZONES[zone], of(&work.zones, zone))),
            compute: self.pool.size(),
            asked_audits,
            unasked_audits,
            snapshots,
            restores,
            blocks: self.store.residence().traffic(),
            stored_bytes: self.store.used().0,
            catalog: self.store.catalog_size(),
            device: self.store.device().ok(),
            refused: self.registry.refused(0).1 as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_place_that_it_has_among_all() {
        for (place, kind) in IndexKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
