//! A start of the daemon: every collection that the last process left, opened before any call is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use wavekv_kernels::Kernels;
use wavekv_storage::Budget;
use wavekv_storage::store::Store;

use crate::collection::Collection;
use crate::engine::Engine;
use crate::model::{CollectionName, Error};

/// Collections between two lines of the log.
const PROGRESS: u64 = 1000;

/// The collections that are to be opened.
#[derive(Debug)]
pub(super) struct Recovery {
    found: Mutex<Vec<Collection>>,
    stopped: AtomicBool,
}

impl Recovery {
    /// Reads the records; no tokens are looked at. Of two collections of one name the later was never acknowledged: the
    /// daemon ended while it found that the name was taken.
    pub(super) fn of(store: &Store, kernels: Kernels, budget: &Budget) -> Result<Self, Error> {
        let mut found: BTreeMap<CollectionName, Collection> = BTreeMap::new();
        for record in store.collections()? {
            let collection = Collection::found(record, kernels, budget.clone())?;
            if let Some(first) = found.get(collection.name()) {
                let (name, first) = (first.name(), first.generation());
                tracing::warn!(%name, %first, second = %collection.generation(), "a name twice: the second is removed");
                collection.delete_stored()?;
            } else {
                found.insert(collection.name().clone(), collection);
            }
        }
        let found = Mutex::new(found.into_values().collect());
        Ok(Self {
            found,
            stopped: AtomicBool::new(false),
        })
    }
}

impl Engine {
    /// Has [`Engine::open_collections`] end early, since the daemon is to end.
    pub fn stop_opening(&self) {
        self.recovery.stopped.store(true, Ordering::Relaxed);
    }

    /// Opens every collection that the last process left, side by side. One that cannot be had as it was answers with the
    /// reason; the others serve. Call it on the compute pool, once, before any other call.
    pub fn open_collections(&self) {
        let began = self.clock.uptime();
        match self.store.sweep() {
            Ok(swept) if swept.removed > 0 => {
                tracing::info!(
                    files = swept.removed,
                    bytes = swept.bytes,
                    "removed what nothing names"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "files that nothing names were not looked for"),
        }
        let found = std::mem::take(&mut *self.recovery.found.lock());
        let (all, opened, refused) = (found.len(), AtomicU64::new(0), AtomicU64::new(0));
        tracing::info!(collections = all, "opening");
        found.into_par_iter().for_each(|collection| {
            if self.recovery.stopped.load(Ordering::Relaxed) {
                return;
            }
            let collection = Arc::new(collection.restored());
            collection.use_at(self.clock.uptime());
            if let Some(error) = collection.refusal() {
                refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "collection not opened");
            }
            self.cluster_where_due(&collection);
            self.registry.put_back(collection);
            let opened = opened.fetch_add(1, Ordering::Relaxed) + 1;
            if opened.is_multiple_of(PROGRESS) {
                tracing::info!(opened, of = all, "opening");
            }
        });
        let refused = refused.into_inner();
        tracing::info!(collections = all, refused, took = ?self.clock.uptime().saturating_sub(began), "opened");
    }
}
