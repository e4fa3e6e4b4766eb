//! How big everything is, for the operator.

use std::time::Duration;

use crate::collection::{Collection, Layer, LayerSize};
use crate::engine::Engine;
use crate::engine::background::ClusteringSize;

/// The daemon as a whole.
#[derive(Clone, Copy, Debug)]
pub struct EngineSize {
    /// Since the engine's start.
    pub uptime: Duration,
    /// Of K, V and index of all collections.
    pub budget_bytes: u64,
    /// Used of it now.
    pub used_bytes: u64,
    /// Collections.
    pub collections: u64,
    /// All layers of all collections.
    pub total: LayerSize,
    /// The background.
    pub clustering: ClusteringSize,
}

impl Engine {
    /// Sizes of the daemon. It visits every collection; call it on the compute pool.
    pub fn size(&self) -> EngineSize {
        let collections = self.registry.all();
        let layers = collections
            .iter()
            .flat_map(|collection| layer_sizes(collection));
        EngineSize {
            uptime: self.clock.uptime(),
            budget_bytes: self.budget.limit().0,
            used_bytes: self.budget.used().0,
            collections: collections.len() as u64,
            total: layers.fold(LayerSize::default(), LayerSize::plus),
            clustering: self.background.size(),
        }
    }
}

/// The sizes of each layer of a collection.
pub fn layer_sizes(collection: &Collection) -> impl Iterator<Item = LayerSize> {
    collection.layers().iter().map(Layer::size)
}
