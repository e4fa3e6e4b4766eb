//! One KV head of a segment, in steps of a millisecond or so: its clusters, then what is kept of its keys and values.

use wavekv_kernels::{Kernels, ShapeError};

use super::clusters::Clusters;
use super::encode::Encoded;
use super::kmeans::{Clustering, KMeans};
use super::{Builder, HeadTokens};
use crate::model::{IndexParameters, TokenRange};

/// No cluster has more than this many times the average: a giant one would be read whole for one token. Half of it
/// cost clusters and gained nothing on real traces.
const LARGEST_CLUSTER: usize = 4;

/// Tokens of the largest cluster that a build makes.
pub(in crate::index) fn largest_cluster(parameters: &IndexParameters) -> usize {
    LARGEST_CLUSTER * parameters.cluster_tokens as usize
}

/// A head in the making, and room for the next one: the memory is used again.
#[derive(Debug)]
pub struct HeadBuild {
    kernels: Kernels,
    wanted: Clustering,
    stage: Stage,
    kmeans: KMeans,
    pub(super) keys: Encoded,
    pub(super) values: Encoded,
}

/// What the next step does.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Begin,
    Cluster,
    Means,
    KeyCodes,
    ValueCodes,
    Done,
}

impl HeadBuild {
    /// Of no head yet.
    pub fn new() -> Self {
        let wanted = Clustering::default();
        Self {
            kernels: Kernels::detect(),
            wanted,
            stage: Stage::Done,
            kmeans: KMeans::new(wanted),
            keys: Encoded::default(),
            values: Encoded::default(),
        }
    }

    /// Begins with a head of the segment of `range`; whatever was in the making is forgotten.
    pub fn begin(&mut self, builder: &Builder, range: TokenRange, head: usize) {
        self.kernels = builder.kernels;
        self.wanted = Clustering {
            mean_size: builder.parameters.cluster_tokens as usize,
            max_size: largest_cluster(&builder.parameters),
            iterations: builder.parameters.kmeans_iterations,
            seed: builder.seed(range, head),
        };
        self.stage = Stage::Begin;
    }

    /// Does a step; whether it was the last. `tokens` must be the head's, the same at every step.
    ///
    /// Clusters of keys alone: clusters of keys and values, at whatever weight, gave errors and bytes within the noise of
    /// the seed once tokens are read by their codes, and take twice as long.
    ///
    /// # Errors
    /// [`ShapeError`] when the tokens are others than at the step before.
    pub fn step(&mut self, tokens: &HeadTokens<'_>) -> Result<bool, ShapeError> {
        let (kernels, keys, values) = (self.kernels, tokens.keys, tokens.values);
        self.stage = match self.stage {
            Stage::Begin => {
                self.keys.begin(kernels, keys)?;
                self.values.begin(kernels, values)?;
                let base = &self.keys.summary.base;
                self.kmeans.begin(kernels, keys, base, self.wanted)?;
                Stage::Cluster
            }
            Stage::Cluster if self.kmeans.step(kernels)? => Stage::Means,
            Stage::Cluster => Stage::Cluster,
            Stage::Means => {
                self.keys.put_means(kernels, keys, self.kmeans.clusters())?;
                self.values
                    .put_means(kernels, values, self.kmeans.clusters())?;
                Stage::KeyCodes
            }
            Stage::KeyCodes => {
                self.keys.put_codes(kernels, keys, self.kmeans.clusters())?;
                Stage::ValueCodes
            }
            Stage::ValueCodes => {
                self.values
                    .put_codes(kernels, values, self.kmeans.clusters())?;
                Stage::Done
            }
            Stage::Done => Stage::Done,
        };
        Ok(matches!(self.stage, Stage::Done))
    }

    pub(super) fn clusters(&self) -> &Clusters {
        self.kmeans.clusters()
    }
}

impl Default for HeadBuild {
    fn default() -> Self {
        Self::new()
    }
}
