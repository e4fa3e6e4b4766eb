//! The many: every collection of the daemon, the threads that compute, and the clustering in the background.
//!
//! Kernels run on the compute pool and nowhere else; [`Engine::compute`] is the door to it. It must not know the wire.
//!
//! Start reading at [`Engine`], then [`batch`] (what a call does), [`background`] and `audits.rs`.

mod audits;
pub mod background;
pub mod batch;
mod pool;
mod registry;
pub mod sizes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wavekv_kernels::{Isa, Kernels};
use wavekv_storage::{Budget, Bytes};

use self::audits::Audits;
use self::background::Background;
use self::pool::ComputePool;
use self::registry::Registry;
use crate::clock::Clock;
use crate::collection::Collection;
use crate::index::audit::Seed;
use crate::model::{BootEpoch, CollectionName, Error, Generation, Geometry, IndexParameters, Mode};

/// What the engine is given at start; plain values.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Bytes of K, V and index of all collections together.
    pub memory_budget: u64,
    /// Of the compute pool; 0 for one a core.
    pub threads: usize,
    /// That cluster; 0 for one a core.
    pub background_threads: usize,
    /// Where a creator does not say.
    pub parameters: IndexParameters,
    /// Where a call does not say.
    pub mode: Mode,
    /// Of the answers, audited unasked: 0 to 1.
    pub audit_share: f64,
    /// Collections at once.
    pub max_collections: usize,
    /// Tokens of a layer.
    pub max_tokens_per_layer: u32,
}

/// All collections and the threads that work on them.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    boot_epoch: BootEpoch,
    clock: Clock,
    kernels: Kernels,
    budget: Budget,
    registry: Registry,
    created: AtomicU64,
    pool: ComputePool,
    background: Background,
    audits: Audits,
}

impl Engine {
    /// An engine without collections; its threads run until it is dropped.
    ///
    /// # Errors
    /// `Internal` when the system gives no threads.
    pub fn start(
        settings: EngineSettings,
        boot_epoch: BootEpoch,
        clock: Clock,
    ) -> Result<Arc<Self>, Error> {
        let kernels = Kernels::detect();
        tracing::info!(isa = %kernels.isa(), "kernels chosen");
        Ok(Arc::new(Self {
            boot_epoch,
            clock,
            kernels,
            budget: Budget::new(Bytes(settings.memory_budget)),
            registry: Registry::new(settings.max_collections),
            created: AtomicU64::new(0),
            pool: ComputePool::start(settings.threads)?,
            background: Background::start(settings.background_threads)?,
            audits: Audits::start(settings.audit_share, Seed(boot_epoch.0))?,
            settings,
        }))
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
        self.pool.run(move || work(&engine)).await
    }

    /// Makes an empty collection.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, `ResourceExhausted` when there are too many collections.
    pub fn create(
        &self,
        name: CollectionName,
        geometry: Geometry,
        parameters: IndexParameters,
    ) -> Result<Arc<Collection>, Error> {
        let generation = self.next_generation();
        let budget = self.budget.clone();
        let collection =
            Collection::new(name, generation, geometry, parameters, self.kernels, budget)?;
        self.registry.add(Arc::new(collection))
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

    /// Removes a collection; calls in progress finish on what they hold.
    ///
    /// # Errors
    /// As [`Engine::find`].
    pub fn delete(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Generation, Error> {
        Ok(self.registry.remove(name, generation)?.generation())
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
