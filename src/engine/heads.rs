//! What the KV heads of a collection do with its queries, for the operator who looks at them.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::collection::{AuditedHead, Collection, HeadUse, Layer};
use crate::model::Error;

/// Clusters of all layers that are looked at for how sharp its heads are: a second's work at most, of all cores together.
const LOOKED_AT: u64 = 1 << 22;

/// The KV heads of one layer. Each list is empty, or has one entry a head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerHeads {
    /// What queries read; empty before the first that need not read everything.
    pub used: Vec<HeadUse>,
    /// What audits found; empty before the first.
    pub audited: Vec<AuditedHead>,
    /// How sharp the last kept query was, where the head had anything to choose among; empty where there are too many
    /// clusters to look at.
    pub sharpness: Vec<Option<f32>>,
}

/// Looks at the heads of the first `layers` layers. From now on queries are kept for a while, which tell how sharp heads are.
/// Call it on the compute pool.
///
/// # Errors
/// `Internal` only: a broken promise of our own code.
pub fn heads(collection: &Collection, layers: usize) -> Result<Vec<LayerHeads>, Error> {
    let layers = &collection.layers()[..layers.min(collection.layers().len())];
    let clusters: u64 = layers.iter().map(|layer| layer.size().clusters).sum();
    let is_small = clusters <= LOOKED_AT;
    let looked_at = layers.par_iter().map(|layer: &Layer| {
        let sharpness = is_small.then(|| layer.sharpness()).transpose()?;
        Ok(LayerHeads {
            used: layer.used(),
            audited: layer.audited_heads(),
            sharpness: sharpness.unwrap_or_default(),
        })
    });
    looked_at.collect()
}
