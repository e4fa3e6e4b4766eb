//! From the tokens of a range to a sealed segment: clusters per KV head, their statistics, and K and V in cluster order.
//!
//! A segment depends on its own tokens, the parameters and the seed only: the same input gives the same bytes on every
//! CPU. This room must not know where tokens come from or when a segment is built.

mod kmeans;
pub mod statistics;

use std::sync::Arc;

use wavekv_kernels::{Dtype, Kernels, Matrix, ShapeError, convert};
use wavekv_storage::segment::{Columns, Schema, SegmentBuilder, SegmentError};
use wavekv_storage::{Budget, Buffer};

use self::kmeans::Clustering;
use self::statistics::Statistics;
use crate::index::schema;
use crate::model::{IndexParameters, TokenRange};

/// No cluster has more than this many times the average: a giant one would be read whole for one token. Half of it
/// cost clusters and gained nothing on real traces.
const LARGEST_CLUSTER: usize = 4;

/// K and V of one KV head in order of position.
#[derive(Clone, Copy, Debug)]
pub struct HeadTokens<'a> {
    /// `[tokens, head_dim]`.
    pub keys: Matrix<'a>,
    /// `[tokens, value_dim]`.
    pub values: Matrix<'a>,
}

/// How to build.
#[derive(Clone, Debug)]
pub struct Builder {
    /// Of the arithmetic.
    pub kernels: Kernels,
    /// [`schema::schema`] of the geometry.
    pub schema: Arc<Schema>,
    /// Cluster size, passes, seed.
    pub parameters: IndexParameters,
    /// Pays for the columns.
    pub budget: Budget,
}

/// Why a segment was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The tokens are not those of the range, or the schema is another geometry's.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No memory, or the columns do not fit their schema.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// The clusters of one head: the rows of each, and their statistics.
struct Clustered {
    clusters: Vec<Vec<u32>>,
    statistics: Statistics,
}

impl Builder {
    /// Clusters the tokens of `range`, of which `heads` has K and V for every KV head.
    ///
    /// # Errors
    /// [`BuildError`] when the budget has no room; nothing of the segment is left then.
    pub fn build(
        &self,
        range: TokenRange,
        heads: &[HeadTokens<'_>],
    ) -> Result<Columns, BuildError> {
        let clustered = heads
            .iter()
            .enumerate()
            .map(|(head, tokens)| self.cluster(range, head, tokens))
            .collect::<Result<Vec<_>, _>>()?;
        let mut columns = SegmentBuilder::new(Arc::clone(&self.schema));
        self.put_payload(&mut columns, range, heads, &clustered)?;
        self.put_clusters(&mut columns, range, &clustered)?;
        self.put_statistics(&mut columns, &clustered)?;
        Ok(columns.seal()?)
    }

    fn cluster(
        &self,
        range: TokenRange,
        head: usize,
        tokens: &HeadTokens<'_>,
    ) -> Result<Clustered, ShapeError> {
        let mean_size = self.parameters.cluster_tokens as usize;
        let wanted = Clustering {
            mean_size,
            max_size: LARGEST_CLUSTER * mean_size,
            iterations: self.parameters.kmeans_iterations,
            // Heads and ranges start from different centroids; equal ones from equal.
            seed: self.parameters.seed ^ (u64::from(range.start) << 16) ^ head as u64,
        };
        let dim = tokens.keys.cols();
        let clusters = kmeans::cluster(self.kernels, &centred(tokens.keys)?, dim, wanted)?;
        let statistics = Statistics::of(tokens, &clusters)?;
        Ok(Clustered {
            clusters,
            statistics,
        })
    }

    fn put_payload(
        &self,
        columns: &mut SegmentBuilder,
        range: TokenRange,
        heads: &[HeadTokens<'_>],
        clustered: &[Clustered],
    ) -> Result<(), BuildError> {
        let rows = range.tokens() * heads.len() as u32;
        let order = || {
            let heads = heads.iter().zip(clustered);
            heads.flat_map(|(tokens, head)| {
                head.clusters
                    .iter()
                    .flatten()
                    .map(move |row| (tokens, *row))
            })
        };
        let keys = columns.allocate(schema::KEYS, rows, &self.budget)?;
        copy_rows(keys, order().map(|(tokens, row)| (tokens.keys, row)))?;
        let values = columns.allocate(schema::VALUES, rows, &self.budget)?;
        copy_rows(values, order().map(|(tokens, row)| (tokens.values, row)))?;
        let positions = columns.allocate(schema::POSITIONS, rows, &self.budget)?;
        fill_u32(positions, order().map(|(_, row)| range.start + row));
        Ok(())
    }

    fn put_clusters(
        &self,
        columns: &mut SegmentBuilder,
        range: TokenRange,
        clustered: &[Clustered],
    ) -> Result<(), BuildError> {
        let budget = &self.budget;
        let heads = clustered.iter().map(|head| head.clusters.len() as u32);
        let per_head = columns.allocate(schema::HEAD_CLUSTERS, clustered.len() as u32, budget)?;
        fill_u32(per_head, heads.clone());
        let all: u32 = heads.sum();
        let clusters = || clustered.iter().flat_map(|head| &head.clusters);
        fill_u32(
            columns.allocate(schema::COUNTS, all, budget)?,
            clusters().map(|cluster| cluster.len() as u32),
        );
        let first_rows = clustered.iter().flat_map(|head| {
            head.clusters.iter().scan(0, |next, cluster| {
                let first = *next;
                *next += cluster.len() as u32;
                Some(first)
            })
        });
        fill_u32(
            columns.allocate(schema::FIRST_ROWS, all, budget)?,
            first_rows,
        );
        let bounds = clusters().flat_map(|cluster| {
            // Rows ascend within a cluster.
            let ends = [cluster.first(), cluster.last()];
            ends.map(|row| range.start + row.copied().unwrap_or(0))
        });
        fill_u32(
            columns.allocate(schema::POSITION_BOUNDS, all, budget)?,
            bounds,
        );
        Ok(())
    }

    fn put_statistics(
        &self,
        columns: &mut SegmentBuilder,
        clustered: &[Clustered],
    ) -> Result<(), BuildError> {
        let clusters = clustered
            .iter()
            .map(|head| head.clusters.len() as u32)
            .sum();
        let mut put = |column, rows, of: fn(&Statistics) -> &[f32]| {
            let into = columns.allocate(column, rows, &self.budget)?;
            let narrow = [schema::CENTROIDS, schema::VALUE_MEANS].contains(&column);
            let dtype = if narrow { schema::META } else { Dtype::F32 };
            let mut rest = into.as_bytes_mut();
            for head in clustered {
                let from = of(&head.statistics);
                let (bytes, after) = rest.split_at_mut(from.len() * dtype.size_of());
                convert::write(from, dtype, bytes)?;
                rest = after;
            }
            Ok::<(), BuildError>(())
        };
        put(schema::SPREAD_PROFILES, clustered.len() as u32, |head| {
            &head.spread_profile
        })?;
        put(schema::CENTROIDS, clusters, |head| &head.centroids)?;
        put(schema::KEY_SPREADS, clusters, |head| &head.key_spreads)?;
        put(schema::VALUE_MEANS, clusters, |head| &head.value_means)?;
        put(schema::VALUE_MEAN_NORMS, clusters, |head| {
            &head.value_mean_norms
        })?;
        put(schema::VALUE_SPREADS, clusters, |head| &head.value_spreads)
    }
}

/// Keys less their mean, in `f32`: distances are the same, and dot products keep their digits.
fn centred(keys: Matrix<'_>) -> Result<Vec<f32>, ShapeError> {
    let dim = keys.cols();
    let mut centred = vec![0.0; keys.rows() * dim];
    convert::read(keys, 0..keys.rows(), &mut centred)?;
    let mut mean = vec![0.0_f64; dim];
    for row in centred.chunks_exact(dim) {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += f64::from(*x);
        }
    }
    for row in centred.chunks_exact_mut(dim) {
        for (x, mean) in row.iter_mut().zip(&mean) {
            *x -= (mean / keys.rows() as f64) as f32;
        }
    }
    Ok(centred)
}

/// Copies rows one after the other.
fn copy_rows<'a>(
    into: &mut Buffer,
    rows: impl Iterator<Item = (Matrix<'a>, u32)>,
) -> Result<(), ShapeError> {
    let mut rest = into.as_bytes_mut();
    for (matrix, row) in rows {
        let row = matrix.slice_rows(row as usize..row as usize + 1)?;
        let (bytes, after) = rest.split_at_mut(row.bytes().len());
        bytes.copy_from_slice(row.bytes());
        rest = after;
    }
    Ok(())
}

fn fill_u32(into: &mut Buffer, numbers: impl Iterator<Item = u32>) {
    for (into, number) in into.as_u32_mut().iter_mut().zip(numbers) {
        *into = number;
    }
}
