//! How big everything is, for the operator.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::collection::{AuditSize, AuditedHead, Collection, Layer, LayerSize, Traffic};
use crate::engine::Engine;
use crate::engine::background::ClusteringSize;
use crate::engine::sharing::Sharing;
use crate::model::CollectionName;

/// The disk of all collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSize {
    /// What may be used; nothing where there is no limit.
    pub budget_bytes: Option<u64>,
    /// What is used.
    pub used_bytes: u64,
    /// Collections deleted since the start because nobody had used them for as long as their ttl.
    pub expired: u64,
    /// Expendable collections deleted since the start to make room.
    pub deleted_for_room: u64,
}

/// The daemon as a whole.
#[derive(Clone, Debug)]
pub struct EngineSize {
    /// Since the engine's start.
    pub uptime: Duration,
    /// Of K, V and index of all collections.
    pub budget_bytes: u64,
    /// Used of it now.
    pub used_bytes: u64,
    /// The disk.
    pub disk: DiskSize,
    /// What was done with the blocks of all collections.
    pub traffic: Traffic,
    /// Whether any of them is pinned.
    pub pinned: bool,
    /// Collections.
    pub collections: u64,
    /// All layers of all collections.
    pub total: LayerSize,
    /// The background.
    pub clustering: ClusteringSize,
    /// What audits found of all collections.
    pub audits: AuditSize,
    /// The head with the largest error of these.
    pub worst: Option<(CollectionName, AuditedHead)>,
    /// Answers chosen to be audited that were not, for want of time.
    pub skipped_audits: u64,
}

impl Engine {
    /// Sizes of the daemon. It visits every collection; call it on the compute pool.
    pub fn size(&self) -> EngineSize {
        let collections = self.registry.all();
        let layers = collections
            .iter()
            .flat_map(|collection| layer_sizes(collection));
        let audits: Vec<(&CollectionName, AuditSize)> = collections
            .iter()
            .map(|collection| (collection.name(), audits(collection)))
            .collect();
        let worst = audits
            .iter()
            .filter_map(|(name, size)| Some((*name, size.worst?)))
            .max_by(|(_, a), (_, b)| a.error.total_cmp(&b.error));
        let sharing = Sharing::among(collections.iter().map(|collection| &**collection));
        EngineSize {
            worst: worst.map(|(name, head)| (name.clone(), head)),
            audits: audits
                .into_iter()
                .map(|(_, size)| size)
                .fold(AuditSize::default(), AuditSize::plus),
            skipped_audits: self.audits.skipped(),
            traffic: collections
                .iter()
                .map(|collection| collection.traffic())
                .fold(Traffic::default(), Traffic::plus),
            pinned: collections.iter().any(|collection| collection.is_pinned()),
            uptime: self.clock.uptime(),
            budget_bytes: self.budget.limit().0,
            used_bytes: self.budget.used().0,
            disk: self.disk(),
            collections: collections.len() as u64,
            total: LayerSize {
                shared_bytes: sharing.repeated(),
                ..layers.fold(LayerSize::default(), LayerSize::plus)
            },
            clustering: self.background.size(),
        }
    }
}

impl Engine {
    /// The sizes of each layer of a collection, and what of it other collections have too. It visits every collection of
    /// the namespace; call it on the compute pool.
    pub fn layer_sizes(&self, collection: &Collection) -> Vec<LayerSize> {
        let namespace = Some(collection.name().namespace());
        let others = self.registry.list(namespace, "", None, usize::MAX);
        let sharing = Sharing::among(others.iter().map(|other| &**other));
        let layers = collection.layers().iter().map(|layer| {
            let snapshot = layer.snapshot();
            LayerSize {
                shared_bytes: sharing.of(&snapshot),
                ..snapshot.size()
            }
        });
        layers.collect()
    }

    fn disk(&self) -> DiskSize {
        let limit = self.store.limit().0;
        DiskSize {
            budget_bytes: (limit < u64::MAX).then_some(limit),
            used_bytes: self.store.used().0,
            expired: self.deleted.expired.load(Ordering::Relaxed),
            deleted_for_room: self.deleted.for_room.load(Ordering::Relaxed),
        }
    }
}

/// The sizes of each layer of a collection.
fn layer_sizes(collection: &Collection) -> impl Iterator<Item = LayerSize> {
    collection.layers().iter().map(Layer::size)
}

/// What audits found of each layer of a collection.
pub fn layer_audits(collection: &Collection) -> impl Iterator<Item = AuditSize> {
    let layers = collection.layers().iter().zip(0..);
    layers.map(|(layer, number)| layer.audits().of_layer(number))
}

/// What audits found of a collection.
pub fn audits(collection: &Collection) -> AuditSize {
    layer_audits(collection).fold(AuditSize::default(), AuditSize::plus)
}
