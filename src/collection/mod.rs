//! One sequence's KV cache: layers of steady tokens and sealed segments, and what is done with them.
//!
//! Readers work on immutable snapshots; each layer has one writer at a time; no lock is held across a kernel. An attend
//! is plan, fetch, compute, merge: the index plans, this room finds the bytes and runs the kernels. It must not know
//! other collections, threads, the clock or the wire.
//!
//! Start reading at [`layer`] (what is stored, and how it is swapped), then [`insert`] and [`attend`].

pub mod attend;
mod audit;
mod audited;
mod block;
mod clusters;
pub mod fetch;
mod gather;
pub mod insert;
pub mod layer;
mod refusal;
mod seal;
mod search;
mod steady;
mod truncate;

use std::sync::Arc;

use wavekv_kernels::Kernels;
use wavekv_storage::Budget;
use wavekv_storage::segment::Schema;

pub use self::attend::Attended;
pub use self::audited::{AuditSize, AuditedHead};
pub use self::clusters::{HeadRanking, Ranked, Ranking};
pub use self::fetch::{Fetched, What};
pub use self::insert::Inserted;
pub use self::layer::{Layer, LayerSize, Snapshot};
pub use self::seal::{PartEnd, Sealed, Sealing, Workbench};
use crate::index::schema;
use crate::model::{
    CollectionName, Error, ErrorKind, Generation, Geometry, IndexParameters, LayerId,
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
}

/// The KV cache of one sequence.
#[derive(Debug)]
pub struct Collection {
    name: CollectionName,
    generation: Generation,
    fixed: Arc<Fixed>,
    layers: Vec<Layer>,
}

impl Collection {
    /// An empty collection of a checked geometry.
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
    ) -> Result<Self, Error> {
        let schema = schema::schema(&geometry, parameters.kind).map_err(Error::internal)?;
        let fixed = Arc::new(Fixed {
            geometry,
            parameters,
            kernels,
            budget,
            schema,
        });
        let kinds = fixed.geometry.layers.iter();
        let layers = kinds
            .map(|kind| Layer::new(Arc::clone(&fixed), *kind))
            .collect();
        Ok(Self {
            name,
            generation,
            fixed,
            layers,
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
    /// `NotFound` when the geometry has no such layer.
    pub fn layer(&self, layer: LayerId) -> Result<&Layer, Error> {
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
