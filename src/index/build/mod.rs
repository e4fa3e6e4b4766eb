//! From the tokens of a range to a sealed segment: clusters per KV head, what is kept of them, and K and V in cluster
//! order; or, of the kinds that are searched, K and V in order of position and what searches them.
//!
//! A segment depends on its own tokens, the parameters and the seed only: the same input gives the same bytes on every
//! CPU. This room must not know where tokens come from or when a segment is built.
//!
//! Start reading at [`Builder::build`], then `kmeans.rs` and [`encode`]; `searched.rs` is for the kinds beside wave.

pub mod encode;
pub(super) mod kmeans;
mod searched;

use std::borrow::Cow;
use std::sync::Arc;

use wavekv_kernels::{Kernels, Matrix, ShapeError, convert};
use wavekv_storage::segment::{ColumnId, Columns, Schema, SegmentBuilder, SegmentError};
use wavekv_storage::{Budget, BudgetExceeded, Buffer};

use self::encode::{Encoded, Vectors};
use self::kmeans::Clustering;
use crate::index::kinds::SearchError;
use crate::index::schema;
use crate::index::segment::Searches;
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
    /// Kind, cluster size, passes, seed.
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
    /// No memory for what searches.
    #[error(transparent)]
    Memory(#[from] BudgetExceeded),
    /// What searches was not made.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// What a segment is made of.
#[derive(Debug)]
pub struct Built {
    /// Of the builder's schema.
    pub columns: Columns,
    /// Of a kind without clusters.
    pub searches: Option<Searches>,
}

/// The clusters of one head: the rows of each, and what is kept of their keys and values.
struct Clustered {
    clusters: Vec<Vec<u32>>,
    keys: Encoded,
    values: Encoded,
}

impl Builder {
    /// Clusters or indexes the tokens of `range`, of which `heads` has K and V for every KV head.
    ///
    /// # Errors
    /// [`BuildError`] when the budget has no room; nothing of the segment is left then.
    pub fn build(&self, range: TokenRange, heads: &[HeadTokens<'_>]) -> Result<Built, BuildError> {
        if !self.parameters.kind.has_clusters() {
            return self.build_searched(range, heads);
        }
        Ok(Built {
            columns: self.build_clustered(range, heads)?,
            searches: None,
        })
    }

    fn build_clustered(
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
        self.put_encoded(&mut columns, &clustered)?;
        Ok(columns.seal()?)
    }

    /// Clusters of keys alone: clusters of keys and values, at whatever weight, gave errors and bytes within the noise of
    /// the seed once tokens are read by their codes, and take twice as long.
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
            seed: self.seed(range, head),
        };
        let keys = vectors(tokens.keys)?;
        let values = vectors(tokens.values)?;
        let clusters = kmeans::cluster(self.kernels, &keys.beside, keys.dim, wanted)?;
        Ok(Clustered {
            keys: Encoded::of(&keys, &clusters)?,
            values: Encoded::of(&values, &clusters)?,
            clusters,
        })
    }

    /// Heads and ranges start from different centroids; equal ones from equal.
    fn seed(&self, range: TokenRange, head: usize) -> u64 {
        self.parameters.seed ^ (u64::from(range.start) << 16) ^ head as u64
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

    fn put_encoded(
        &self,
        columns: &mut SegmentBuilder,
        clustered: &[Clustered],
    ) -> Result<(), BuildError> {
        let heads = clustered.len() as u32;
        let clusters = clustered
            .iter()
            .map(|head| head.clusters.len() as u32)
            .sum();
        let tokens = clustered
            .iter()
            .map(|head| head.keys.code_scales.len() as u32)
            .sum();
        let mut put = |column: ColumnId, rows, of: fn(&Clustered) -> Cow<'_, [u8]>| {
            let into = columns.allocate(column, rows, &self.budget)?;
            let mut rest = into.as_bytes_mut();
            for head in clustered {
                let from = of(head);
                let (bytes, after) = rest.split_at_mut(from.len());
                bytes.copy_from_slice(&from);
                rest = after;
            }
            Ok::<(), BuildError>(())
        };
        put(schema::KEY_CODES, tokens, |of| bytes(&of.keys.codes))?;
        put(schema::KEY_CODE_SCALES, tokens, |of| {
            bytes(&of.keys.code_scales)
        })?;
        put(schema::VALUE_CODES, tokens, |of| bytes(&of.values.codes))?;
        put(schema::VALUE_CODE_SCALES, tokens, |of| {
            bytes(&of.values.code_scales)
        })?;
        put(schema::KEY_BASES, heads, |of| bytes(&of.keys.base))?;
        put(schema::VALUE_BASES, heads, |of| bytes(&of.values.base))?;
        put(schema::KEY_PROFILES, heads, |of| bytes(&of.keys.profile))?;
        put(schema::VALUE_PROFILES, heads, |of| {
            bytes(&of.values.profile)
        })?;
        put(schema::CODE_ERRORS, heads, |of| {
            owned(&[of.keys.code_error, of.values.code_error])
        })?;
        put(schema::CENTROIDS, clusters, |of| bytes(&of.keys.means))?;
        put(schema::CENTROID_SCALES, clusters, |of| {
            bytes(&of.keys.mean_scales)
        })?;
        put(schema::KEY_SPREADS, clusters, |of| {
            owned(&relative_spreads(&of.keys))
        })?;
        put(schema::VALUE_MEANS, clusters, |of| bytes(&of.values.means))?;
        put(schema::VALUE_MEAN_SCALES, clusters, |of| {
            bytes(&of.values.mean_scales)
        })?;
        put(schema::VALUE_MEAN_NORMS, clusters, |of| {
            bytes(&of.values.mean_norms)
        })?;
        put(schema::VALUE_SPREADS, clusters, |of| {
            let roots = of.values.spreads.iter().map(|spread| spread.sqrt());
            owned(&roots.collect::<Vec<f32>>())
        })
    }
}

/// The rows of a matrix in `f32`, beside their mean.
fn vectors(matrix: Matrix<'_>) -> Result<Vectors, ShapeError> {
    Ok(Vectors::new(numbers(matrix)?, matrix.cols()))
}

/// The rows of a matrix in `f32`.
fn numbers(matrix: Matrix<'_>) -> Result<Vec<f32>, ShapeError> {
    let mut numbers = vec![0.0; matrix.rows() * matrix.cols()];
    convert::read(matrix, 0..matrix.rows(), &mut numbers)?;
    Ok(numbers)
}

/// Spreads as a share of the profile's: the variance of `a.k` is then `spread sum (a_d profile_d)^2`.
fn relative_spreads(keys: &Encoded) -> Vec<f32> {
    let square: f32 = keys.profile.iter().map(|x| x * x).sum();
    let inverse = if square > 0.0 { square.recip() } else { 0.0 };
    keys.spreads.iter().map(|spread| spread * inverse).collect()
}

fn bytes<T: bytemuck::NoUninit>(numbers: &[T]) -> Cow<'_, [u8]> {
    Cow::Borrowed(bytemuck::cast_slice(numbers))
}

fn owned(numbers: &[f32]) -> Cow<'static, [u8]> {
    Cow::Owned(bytemuck::cast_slice(numbers).to_vec())
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
