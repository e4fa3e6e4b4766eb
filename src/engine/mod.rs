//! The many: every collection of the daemon, the threads that compute, the clustering in the background, and the start
//! that opens what the last process left.
//!
//! Kernels run on the compute pool, or on a thread that has a light call and may wait: [`Engine::compute`] and
//! [`Engine::compute_soon`] are the door. It must not know the wire.
//!
//! Start reading at [`Engine`], then [`batch`] (what a call does), [`background`], `backpressure.rs`, `audits.rs`,
//! `recovery.rs`, `retention.rs`, [`snapshots`], [`verify`], [`health`], [`activity`], [`describe`], [`heads`] and
//! `memory.rs`.

pub mod activity;
mod audits;
pub mod background;
mod backpressure;
pub mod batch;
pub mod describe;
pub mod heads;
pub mod health;
mod memory;
mod pool;
mod recovery;
mod refusals;
mod registry;
mod retention;
mod sharing;
pub mod sizes;
pub mod snapshots;
pub mod verify;
mod weight;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::trace_span;
use wavekv_kernels::{Isa, Kernels};
use wavekv_storage::store::Store;
use wavekv_storage::store::snapshots::Snapshots;
use wavekv_storage::{Budget, Bytes, Reservation};

use self::activity::Work;
use self::audits::Audits;
use self::background::Background;
use self::pool::ComputePool;
pub use self::pool::while_the_disk_reads;
use self::recovery::Recovery;
use self::refusals::Refusals;
use self::registry::Registry;
use self::retention::Deleted;
use self::snapshots::Archive;
use self::verify::Verifications;
pub use self::weight::Weight;
use crate::clock::Clock;
use crate::collection::{Collection, Fork, on_disk, record};
use crate::index::audit::Seed;
use crate::model::{
    BootEpoch, CollectionName, Durability, Error, Generation, Geometry, IndexParameters, Mode,
    Retention,
};

/// What the engine is given at start; plain values.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Of the compute pool; 0 for one a core.
    pub threads: usize,
    /// That cluster; 0 for one a core.
    pub background_threads: usize,
    /// Where a creator does not say.
    pub parameters: IndexParameters,
    /// Where a creator does not say.
    pub durability: Durability,
    /// Where a call does not say.
    pub mode: Mode,
    /// Of the answers, audited unasked: 0 to 1.
    pub audit_share: f64,
    /// Collections at once.
    pub max_collections: usize,
    /// Tokens of a layer.
    pub max_tokens_per_layer: u32,
    /// Where snapshots are, if there may be any.
    pub snapshot_dir: Option<PathBuf>,
}

/// Memory that counts in the budget.
#[derive(Debug)]
pub struct Reserved(#[expect(dead_code, reason = "counted while it lives")] Reservation);

/// All collections and the threads that work on them.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    boot_epoch: BootEpoch,
    clock: Clock,
    kernels: Kernels,
    budget: Budget,
    store: Store,
    recovery: Recovery,
    registry: Registry,
    created: AtomicU64,
    pool: ComputePool,
    work: Work,
    background: Background,
    audits: Audits,
    archive: Archive,
    deleted: Deleted,
    refusals: Refusals,
    verifications: Verifications,
    #[expect(dead_code, reason = "it watches while it lives")]
    memory: memory::Watcher,
}

impl Engine {
    /// An engine that knows the collections of `store` and has opened none: [`Engine::open_collections`] does. K, V and index
    /// of all of them count in the budget that the store's files do. Its threads run until it is dropped.
    ///
    /// # Errors
    /// `DataLoss` when the catalog cannot be read; `Internal` when the system gives no threads.
    pub fn start(
        settings: EngineSettings,
        boot_epoch: BootEpoch,
        clock: Clock,
        store: Store,
    ) -> Result<Arc<Self>, Error> {
        let kernels = Kernels::detect();
        tracing::info!(isa = %kernels.isa(), "kernels chosen");
        let budget = store.residence().budget().clone();
        let engine = Arc::new(Self {
            boot_epoch,
            clock,
            kernels,
            recovery: Recovery::of(&store, kernels, &budget)?,
            budget,
            registry: Registry::new(settings.max_collections),
            created: AtomicU64::new(0),
            pool: ComputePool::start(settings.threads)?,
            work: Work::default(),
            background: Background::start(settings.background_threads, boot_epoch.0 << 32, clock)?,
            audits: Audits::start(settings.audit_share, Seed(boot_epoch.0))?,
            archive: Archive::start(settings.snapshot_dir.clone().map(Snapshots::new))?,
            deleted: Deleted::default(),
            refusals: Refusals::default(),
            verifications: Verifications::default(),
            memory: memory::Watcher::start(store.residence().clone())?,
            store,
            settings,
        });
        let whose = Arc::downgrade(&engine);
        let reclaim = move |missing| {
            let engine = whose.upgrade();
            engine.is_some_and(|engine| engine.make_room(missing))
        };
        engine.store.reclaim_with(Box::new(reclaim));
        Ok(engine)
    }

    /// Which start of the daemon this is.
    pub fn boot_epoch(&self) -> BootEpoch {
        self.boot_epoch
    }

    /// The instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.kernels.isa()
    }

    /// What holds where a request does not say.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Runs `work` on the compute pool.
    ///
    /// # Errors
    /// `Internal` when `work` panics, which is a bug; the daemon lives on.
    pub async fn compute<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let engine = Arc::clone(self);
        let span = trace_span!("engine.compute");
        self.pool.run(move || span.in_scope(|| work(&engine))).await
    }

    /// Runs `work` of a known weight, and gives `done` its result: on this thread, which may compute and wait, when that is
    /// quicker than to hand it over and no core is without work; else on the compute pool, later. `done` must not compute.
    pub fn compute_soon<T: 'static>(
        self: &Arc<Self>,
        weight: Weight,
        work: impl FnOnce(&Self) -> T + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let engine = Arc::clone(self);
        let span = trace_span!("engine.compute");
        let work = move || span.in_scope(|| work(&engine));
        self.pool.run_soon(weight.is_light(), work, done);
    }

    /// Counts memory that a transport has for a client in `memory.budget`, until what is answered is dropped.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no room.
    pub fn reserve(&self, bytes: u64) -> Result<Reserved, Error> {
        let reserved = self.budget.reserve(Bytes(bytes)).map_err(Error::from);
        self.told_if_full(reserved).map(Reserved)
    }

    /// Makes an empty collection, on disk first. Call it on the compute pool.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, `ResourceExhausted` when there are too many collections or the disk is full,
    /// `Unavailable` when the disk does not work.
    pub fn create(
        &self,
        name: CollectionName,
        geometry: Geometry,
        parameters: IndexParameters,
        durability: Durability,
        retention: Retention,
    ) -> Result<Arc<Collection>, Error> {
        self.told_if_full(self.registry.check_free(&name))?;
        let generation = self.next_generation();
        let budget = self.budget.clone();
        let stored = on_disk(durability).map(|durability| {
            let record = record::encode(&name, &geometry, &parameters, retention)?;
            let label = name.to_string();
            let stored = self.store.create(generation.0, &label, durability, record);
            self.told_if_full(stored.map_err(Error::from))
        });
        let collection = Collection::new(
            name,
            generation,
            geometry,
            parameters,
            self.kernels,
            budget,
            stored.transpose()?,
        )?;
        let collection = self.added(collection.retained(retention))?;
        tracing::info!(
            collection = %collection.name(),
            model = collection.geometry().fingerprint,
            kind = collection.parameters().kind.name(),
            "collection created"
        );
        Ok(collection)
    }

    /// Makes a collection that begins with the first `length` tokens of another (all that every layer has, when none are
    /// given) and shares them with it, on disk first. Without a durability it has that of its source. It is kept as long
    /// as its source, which this is a use of. Call it on the compute pool.
    ///
    /// # Errors
    /// As [`Engine::find`], [`Engine::create`] and [`Collection::fork`].
    pub fn fork(
        &self,
        source: (&CollectionName, Option<Generation>),
        name: CollectionName,
        length: Option<u32>,
        durability: Option<Durability>,
    ) -> Result<Arc<Collection>, Error> {
        let source = self.find_to_use(source.0, source.1)?;
        self.registry.check_free(&name)?;
        let fork = Fork {
            name,
            generation: self.next_generation(),
            length,
            durability: durability.unwrap_or_else(|| source.durability()),
        };
        let forked = self.told_if_full(source.fork(fork, &self.store))?;
        let collection = self.added(forked)?;
        self.cluster_where_due(&collection);
        tracing::info!(collection = %collection.name(), source = %source.name(), "collection forked");
        Ok(collection)
    }

    /// Puts a collection that is on disk into the registry.
    fn added(&self, collection: Collection) -> Result<Arc<Collection>, Error> {
        let collection = Arc::new(collection);
        collection.use_at(self.clock.uptime());
        self.registry.add(Arc::clone(&collection)).inspect_err(|_| {
            // Another has just taken the name. What stays of this one is removed at the next start.
            let _ = collection.delete_stored();
        })
    }

    /// The collection of a name, and of a generation when one is given.
    ///
    /// # Errors
    /// `NotFound` when there is none, `FailedPrecondition` when it is of another generation.
    pub fn find(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Arc<Collection>, Error> {
        self.registry.find(name, generation)
    }

    /// The same, to insert into it or to query it: it is used now.
    ///
    /// # Errors
    /// As [`Engine::find`].
    pub fn find_to_use(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Arc<Collection>, Error> {
        let found = self.registry.find(name, generation)?;
        found.use_at(self.clock.uptime());
        Ok(found)
    }

    /// How long nobody has inserted into a collection or queried it.
    pub fn unused_for(&self, collection: &Collection) -> Duration {
        self.clock.uptime().saturating_sub(collection.used_at())
    }

    /// Removes a collection, on disk first; calls in progress finish on what they hold. Call it on the compute pool.
    ///
    /// # Errors
    /// As [`Engine::find`]; `ResourceExhausted` or `Unavailable` when the disk refuses: then it is there as it was.
    pub fn delete(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Generation, Error> {
        let deleted = self.remove(name, generation)?;
        tracing::info!(collection = %name, reason = "asked", "collection deleted");
        Ok(deleted)
    }

    fn remove(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Generation, Error> {
        let found = self.registry.find(name, generation)?;
        found.delete_stored()?;
        self.background.retry();
        Ok(self
            .registry
            .remove(name, Some(found.generation()))?
            .generation())
    }

    /// At most `limit` collections in order of name, of a namespace (`None` for all), whose names begin with `prefix`
    /// and come after `after`.
    pub fn list(
        &self,
        namespace: Option<&str>,
        prefix: &str,
        after: Option<&CollectionName>,
        limit: usize,
    ) -> Vec<Arc<Collection>> {
        self.registry.list(namespace, prefix, after, limit)
    }

    /// The boot epoch above a count of creations: never used again within a data directory.
    fn next_generation(&self) -> Generation {
        let count = self.created.fetch_add(1, Ordering::Relaxed) + 1;
        Generation((self.boot_epoch.0 << 32) | count)
    }
}
