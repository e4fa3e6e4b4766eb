//! What the clusters of a layer look like.

use crate::collection::{Layer, Snapshot};
use crate::index::Histogram;
use crate::model::{Error, KvHead};

/// The clusters of a layer, of all KV heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// How many tokens they have.
    pub cluster_sizes: Histogram,
    /// How far their keys are apart, beside those of others.
    pub key_spreads: Histogram,
}

impl Layer {
    /// Looks at the meta index of every segment, which is in memory. Call it where kernels may run.
    ///
    /// # Errors
    /// `Internal` only: a broken promise of our own code.
    pub fn shape(&self) -> Result<Shape, Error> {
        self.snapshot().shape()
    }
}

impl Snapshot {
    fn shape(&self) -> Result<Shape, Error> {
        let mut shape = Shape {
            cluster_sizes: Histogram::of_cluster_sizes(),
            key_spreads: Histogram::of_key_spreads(),
        };
        for segment in self.segments() {
            for head in (0..self.geometry().kv_heads).map(KvHead) {
                let Some(index) = segment.head(head)? else {
                    continue;
                };
                for count in index.counts {
                    shape.cluster_sizes.count(*count as f32);
                }
                for spread in index.key_spreads {
                    shape.key_spreads.count(*spread);
                }
            }
        }
        Ok(shape)
    }
}
