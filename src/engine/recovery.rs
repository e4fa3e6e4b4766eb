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
    /// That were found, and of these, those that are open.
    all: u64,
    opened: AtomicU64,
    stopped: AtomicBool,
}

impl Recovery {
    /// Reads the records; no tokens are looked at. Of two collections of one name the later was never acknowledged: the
    /// daemon ended while it found that the name was taken. One whose record cannot be had is refused, and the others go on.
    pub(super) fn of(store: &Store, kernels: Kernels, budget: &Budget) -> Result<Self, Error> {
        let mut found: BTreeMap<CollectionName, Collection> = BTreeMap::new();
        for record in store.collections()? {
            let next = Collection::found(record, kernels, budget.clone())?;
            let (next, lost) = match found.remove(next.name()) {
                None => (next, None),
                // Which of the two was acknowledged nobody knows.
                Some(first) if next.refusal().is_some() => (first, Some(next)),
                Some(first) if first.refusal().is_some() => (next, Some(first)),
                Some(first) => {
                    let (name, generation) = (first.name(), first.generation());
                    tracing::warn!(%name, first = %generation, second = %next.generation(), "a name twice: the second is removed");
                    next.delete_stored()?;
                    (first, None)
                }
            };
            for collection in lost
                .map(Collection::renamed_lost)
                .transpose()?
                .into_iter()
                .chain([next])
            {
                found.insert(collection.name().clone(), collection);
            }
        }
        Ok(Self {
            all: found.len() as u64,
            found: Mutex::new(found.into_values().collect()),
            opened: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }
}

impl Engine {
    /// How many of the collections that the last process left are open, and how many there are.
    pub fn opened_of(&self) -> (u64, u64) {
        let Recovery { opened, all, .. } = &self.recovery;
        (opened.load(Ordering::Relaxed), *all)
    }

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
        self.sweep_snapshots();
        let found = std::mem::take(&mut *self.recovery.found.lock());
        let (all, refused) = (found.len(), AtomicU64::new(0));
        tracing::info!(collections = all, "opening");
        found.into_par_iter().for_each(|collection| {
            if self.recovery.stopped.load(Ordering::Relaxed) {
                return;
            }
            let collection = Arc::new(collection.restored());
            collection.use_at(self.clock.uptime());
            if let Some(error) = collection.refusal() {
                refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(collection = %collection.name(), %error, "collection not opened");
            }
            self.cluster_where_due(&collection);
            self.registry.put_back(collection);
            let opened = self.recovery.opened.fetch_add(1, Ordering::Relaxed) + 1;
            if opened.is_multiple_of(PROGRESS) {
                tracing::info!(opened, of = all, "opening");
            }
        });
        let refused = refused.into_inner();
        tracing::info!(collections = all, refused, took = ?self.clock.uptime().saturating_sub(began), "opened");
    }
}

#[cfg(test)]
mod tests {
    use wavekv_kernels::Dtype;
    use wavekv_storage::store::Durability;
    use wavekv_storage::{Bytes, DataDir, Residence};

    use super::*;
    use crate::collection::record;
    use crate::model::{ErrorKind, Geometry, IndexParameters, LayerKind, Retention};

    #[test]
    fn a_record_that_is_damaged_costs_its_collection_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path().join("data")).unwrap();
        let budget = Budget::new(Bytes(1 << 20));
        let residence = Residence::new(&budget, std::thread::yield_now);
        let store = Store::open(&dir, residence).unwrap();
        let geometry = Geometry {
            layers: vec![LayerKind::Full],
            dtype: Dtype::F32,
            ..Geometry::unknown()
        };
        let parameters = IndexParameters::DEFAULT;
        let name = |name| CollectionName::new("ns", name).unwrap();
        let sound =
            record::encode(&name("b"), &geometry, &parameters, Retention::default()).unwrap();
        let newer = String::from_utf8(sound.clone())
            .unwrap()
            .replace("\"version\":1", "\"version\":9");
        let records = [
            ("ns/a", b"{".to_vec()),
            ("ns/b", sound),
            // The same name, as far as it is known, before and after the other.
            ("ns/b", newer.into_bytes()),
            ("no name", vec![]),
        ];
        for (generation, (label, record)) in (1..).zip(records) {
            drop(
                store
                    .create(generation, label, Durability::Process, record)
                    .unwrap(),
            );
        }
        let recovery = Recovery::of(&store, Kernels::detect(), &budget).unwrap();
        let found = recovery.found.into_inner();
        let seen: Vec<(String, u64, Option<ErrorKind>)> = found
            .iter()
            .map(|one| {
                (
                    one.name().to_string(),
                    one.generation().0,
                    one.refusal().map(Error::kind),
                )
            })
            .collect();
        let lost = Some(ErrorKind::DataLoss);
        let expected = [
            ("lost/generation-3", 3, lost),
            ("lost/generation-4", 4, lost),
            ("ns/a", 1, lost),
            ("ns/b", 2, None),
        ];
        let expected = expected.map(|(name, generation, kind)| (name.to_owned(), generation, kind));
        assert_eq!(seen, expected);
        let newer = found[0].refusal().unwrap().message().to_owned();
        assert!(newer.contains("version 9: expected at most 2"), "{newer}");
    }
}
