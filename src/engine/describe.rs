//! What a collection is made of, for the operator who wants to understand it.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::collection::{Collection, HeadUse, Layer, LayerSize, Shape, Snapshot};
use crate::engine::Engine;
use crate::engine::sharing::{self, Sharer};
use crate::model::Error;

/// Collections that are named of those that share.
const NAMED: usize = 64;

/// A collection, all of it looked at.
#[derive(Clone, Debug)]
pub struct Described {
    /// One a layer; none of a collection that is refused.
    pub layers: Vec<LayerDescribed>,
    /// Where its bytes are.
    pub tiers: Tiers,
    /// Those that share the most with it, the first of all the first.
    pub sharers: Vec<Sharer>,
    /// All that share anything with it.
    pub all_sharers: u64,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerDescribed {
    /// Its clusters.
    pub shape: Shape,
    /// What queries read of every KV head; none before the first that need not read everything.
    pub heads: Vec<HeadUse>,
}

/// Where bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "a field ends in its unit")]
pub struct Tiers {
    /// In memory: tokens that no segment has.
    pub steady_bytes: u64,
    /// In memory: the meta index of segments.
    pub meta_index_bytes: u64,
    /// In memory: K, V and codes of segments.
    pub block_bytes: u64,
    /// On disk: files, and rows of the catalog.
    pub disk_bytes: u64,
}

impl Engine {
    /// Looks at all of a collection, and at whom it shares with. It visits every collection of the namespace; call it on the
    /// compute pool.
    ///
    /// # Errors
    /// `Internal` only: a broken promise of our own code.
    pub fn describe(&self, collection: &Collection) -> Result<Described, Error> {
        let layers = collection.layers().par_iter().map(|layer| {
            Ok(LayerDescribed {
                shape: layer.shape()?,
                heads: layer.used(),
            })
        });
        let layers = layers.collect::<Result<Vec<_>, Error>>()?;
        let namespace = Some(collection.name().namespace());
        let all = self.registry.list(namespace, "", None, usize::MAX);
        let mut sharers = sharing::sharers(collection, &all);
        let all_sharers = sharers.len() as u64;
        sharers.truncate(NAMED);
        Ok(Described {
            layers,
            tiers: tiers(collection),
            sharers,
            all_sharers,
        })
    }
}

fn tiers(collection: &Collection) -> Tiers {
    let layers = collection.layers().iter();
    let snapshots: Vec<Snapshot> = layers.map(Layer::snapshot).collect();
    let size = snapshots
        .iter()
        .map(Snapshot::size)
        .fold(LayerSize::default(), LayerSize::plus);
    let steady_bytes: u64 = snapshots.iter().map(Snapshot::steady_bytes).sum();
    let meta_index_bytes = size.meta_index_bytes;
    let block_bytes = if collection.is_stored() {
        let segments = snapshots.iter().flat_map(Snapshot::segments);
        let unmapped: u64 = segments.map(|segment| segment.search_bytes()).sum();
        let resident = collection.traffic().resident_bytes;
        resident.saturating_sub(meta_index_bytes - unmapped)
    } else {
        size.payload_bytes - steady_bytes + size.code_bytes
    };
    Tiers {
        steady_bytes,
        meta_index_bytes,
        block_bytes,
        disk_bytes: collection.disk_bytes(),
    }
}
