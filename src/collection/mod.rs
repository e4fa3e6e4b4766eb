//! One sequence's KV cache: layers of steady tokens and sealed segments, and what is done with them.
//!
//! Readers work on immutable snapshots; each layer has one writer at a time; no lock is held across a kernel. Every change
//! is on disk before anybody sees it. An attend
//! is plan, fetch, compute, merge: the index plans, this room finds the bytes and runs the kernels. It must not know
//! other collections, threads, the clock or the wire.
//!
//! Start reading at [`layer`] (what is stored, and how it is swapped), then [`insert`] and [`attend`].

pub mod attend;
mod audit;
mod audited;
mod block;
mod clusters;
mod done;
pub mod fetch;
mod fork;
mod gather;
pub mod insert;
pub mod layer;
pub mod look;
mod persist;
pub mod record;
mod refusal;
mod residence;
mod restore;
#[cfg(test)]
pub(crate) mod sample;
mod seal;
mod search;
mod shape;
pub mod snapshots;
mod steady;
mod truncate;
mod used;
mod verify;
mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wavekv_kernels::Kernels;
use wavekv_storage::Budget;
use wavekv_storage::segment::Schema;
use wavekv_storage::store::StoredCollection;

pub use self::attend::Attended;
pub use self::audited::{AuditSize, AuditedHead};
pub use self::clusters::{HeadRanking, Ranked, Ranking};
pub use self::done::Done;
pub use self::fetch::{Fetched, What};
pub use self::fork::Fork;
pub use self::insert::Inserted;
pub use self::layer::{Layer, LayerSize, Snapshot};
pub use self::persist::on_disk;
pub use self::residence::{Placement, Traffic};
pub use self::seal::{PartEnd, Sealed, Sealing, Workbench};
pub use self::shape::Shape;
pub use self::used::HeadUse;
pub use self::verify::{Finding, Report};
use crate::index::build::Builder;
use crate::index::schema;
use crate::model::{
    CollectionName, Durability, Error, ErrorKind, Generation, Geometry, IndexParameters, LayerId,
    Retention,
};

/// What every layer of a collection needs to know.
#[derive(Debug)]
pub struct Fixed {
    /// Checked.
    pub geometry: Geometry,
    /// Checked.
    pub parameters: IndexParameters,
    /// Of the arithmetic.
    pub kernels: Kernels,
    /// Pays for K, V and index.
    pub budget: Budget,
    /// Of its segments.
    pub schema: Arc<Schema>,
    /// Files are shared with collections of the same namespace alone: who shares is told by how long a seal takes.
    pub namespace: String,
}

impl Fixed {
    /// What builds its segments.
    fn builder(&self) -> Builder {
        Builder {
            kernels: self.kernels,
            schema: Arc::clone(&self.schema),
            parameters: self.parameters,
            budget: self.budget.clone(),
        }
    }
}

/// The KV cache of one sequence.
#[derive(Debug)]
pub struct Collection {
    name: CollectionName,
    generation: Generation,
    fixed: Arc<Fixed>,
    layers: Vec<Layer>,
    /// Where it is on disk, if it is.
    stored: Option<Arc<StoredCollection>>,
    retention: Retention,
    /// Milliseconds of the engine's time.
    used_at: AtomicU64,
    /// What was done with it.
    done: done::Counts,
    /// Why none of its tokens can be had.
    refusal: Option<Error>,
}

impl Collection {
    /// An empty collection of a checked geometry; without a place on disk it ends with the process.
    ///
    /// # Errors
    /// `Internal` when the geometry has no schema.
    pub fn new(
        name: CollectionName,
        generation: Generation,
        geometry: Geometry,
        parameters: IndexParameters,
        kernels: Kernels,
        budget: Budget,
        stored: Option<Arc<StoredCollection>>,
    ) -> Result<Self, Error> {
        let schema = schema::schema(&geometry, parameters.kind).map_err(Error::internal)?;
        let fixed = Arc::new(Fixed {
            geometry,
            parameters,
            kernels,
            budget,
            schema,
            namespace: name.namespace().to_owned(),
        });
        let kinds = fixed.geometry.layers.iter().enumerate();
        let layers = kinds
            .map(|(layer, kind)| {
                let stored = stored.as_ref().map(|stored| stored.layer(layer as u32));
                Layer::new(Arc::clone(&fixed), *kind, stored)
            })
            .collect();
        Ok(Self {
            name,
            generation,
            fixed,
            layers,
            stored,
            retention: Retention::default(),
            used_at: AtomicU64::new(0),
            done: done::Counts::default(),
            refusal: None,
        })
    }

    /// The same, kept for as long as that says.
    #[must_use]
    pub fn retained(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The same after it was found damaged: none of its tokens is there, and it answers with the reason.
    #[must_use]
    pub fn refused(&self, error: &Error) -> Self {
        let message = format!("collection {} is not served: {error}", self.name);
        Self {
            name: self.name.clone(),
            generation: self.generation,
            fixed: Arc::clone(&self.fixed),
            layers: vec![],
            stored: self.stored.clone(),
            retention: self.retention,
            used_at: AtomicU64::new(self.used_at.load(Ordering::Relaxed)),
            done: done::Counts::default(),
            refusal: Some(Error::new(error.kind(), message)),
        }
    }

    /// Removes what is on disk of it; from then on nothing is stored in it.
    ///
    /// # Errors
    /// `NotFound` when that was done before; `Unavailable` or `ResourceExhausted` when the disk refuses: then it is there
    /// as it was.
    pub fn delete_stored(&self) -> Result<(), Error> {
        self.stored.as_ref().map_or(Ok(()), |stored| {
            stored.delete()?;
            Ok(())
        })
    }

    /// What it is called.
    pub fn name(&self) -> &CollectionName {
        &self.name
    }

    /// Which of the collections of its name it is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What its vectors are.
    pub fn geometry(&self) -> &Geometry {
        &self.fixed.geometry
    }

    /// What its acknowledgements promise.
    pub fn durability(&self) -> Durability {
        persist::lasting(self.stored.as_ref().map(|stored| stored.durability()))
    }

    /// Why none of its tokens can be had, when that is so.
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// When it may be deleted that nobody has deleted.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Notes that it is used, so long after the engine's start.
    pub fn use_at(&self, uptime: Duration) {
        let now = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        self.used_at.fetch_max(now, Ordering::Relaxed);
    }

    /// When it was used last, as [`Collection::use_at`] was told.
    pub fn used_at(&self) -> Duration {
        Duration::from_millis(self.used_at.load(Ordering::Relaxed))
    }

    /// Whether it is on disk.
    pub fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Bytes on disk, with the rows of the catalog.
    pub fn disk_bytes(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.used().0)
    }

    /// Memory that building a segment takes at most beside the tokens themselves: K and V in their new order, what is kept
    /// of them beside, and the copies that threads work on; with a search, the keys in `f32`.
    pub fn build_bytes(&self) -> u64 {
        const COPIES: u64 = 3;
        let geometry = self.geometry();
        let token = geometry.kv_heads as usize * (geometry.key_bytes() + geometry.value_bytes());
        COPIES * u64::from(self.parameters().segment_tokens) * token as u64
    }

    /// How it is indexed.
    pub fn parameters(&self) -> &IndexParameters {
        &self.fixed.parameters
    }

    /// All layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// One layer.
    ///
    /// # Errors
    /// `NotFound` when the geometry has no such layer; when nothing of the collection can be had, why.
    pub fn layer(&self, layer: LayerId) -> Result<&Layer, Error> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.layers.get(layer.index()).ok_or_else(|| {
            let layers = self.layers.len();
            let message = format!(
                "layer is {layer}: expected 0 to {} of collection {}",
                layers - 1,
                self.name
            );
            Error::new(ErrorKind::NotFound, message)
        })
    }

    /// Tokens of each layer.
    pub fn layer_lengths(&self) -> Vec<u32> {
        self.layers.iter().map(Layer::length).collect()
    }
}
