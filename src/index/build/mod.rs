//! From the tokens of a range to a sealed segment: clusters per KV head, what is kept of them, and K and V in cluster
//! order; or, of the kinds that are searched, K and V in order of position and what searches them.
//!
//! A segment depends on its own tokens, the parameters and the seed only: the same input gives the same bytes on every
//! CPU. This room must not know where tokens come from or when a segment is built.
//!
//! A segment with clusters is built head by head, each in small steps ([`HeadBuild`]), in any order and by as many threads
//! as there are; [`Build`] puts the finished ones together. Whoever stops in between loses the unfinished heads alone.
//!
//! Start reading at [`Builder::build`], then `head.rs`, `kmeans.rs` and [`encode`]; `searched.rs` is for the kinds beside
//! wave.

mod cells;
pub(super) mod clusters;
pub mod encode;
mod head;
pub(super) mod kmeans;
mod lloyd;
mod parts;
mod searched;
mod strays;

use std::sync::Arc;

use wavekv_kernels::{Kernels, Matrix, ShapeError, convert};
use wavekv_storage::segment::{Columns, Schema, SegmentError};
use wavekv_storage::{Budget, BudgetExceeded, Buffer};

pub use self::head::HeadBuild;
pub(super) use self::head::largest_cluster;
pub use self::parts::Build;
use crate::index::kinds::SearchError;
use crate::index::segment::{ReadError, Searches};
use crate::model::{IndexParameters, TokenRange};

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
    /// [`crate::index::schema::schema`] of the geometry.
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
    /// K and V of a segment that is there cannot be had.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What searches was not made.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// What a segment is made of.
#[derive(Debug)]
pub struct Built {
    /// Of the builder's schema.
    pub columns: Arc<Columns>,
    /// Of a kind without clusters.
    pub searches: Option<Searches>,
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
        let mut build = Build::new(self.clone(), range, heads.len())?;
        let mut of_head = HeadBuild::new();
        for (head, tokens) in heads.iter().enumerate() {
            of_head.begin(self, range, head);
            while !of_head.step(tokens)? {}
            build.put(head, &mut of_head, tokens)?;
        }
        build.finish()
    }

    /// Heads and ranges start from different centroids; equal ones from equal.
    fn seed(&self, range: TokenRange, head: usize) -> u64 {
        self.parameters.seed ^ (u64::from(range.start) << 16) ^ head as u64
    }
}

/// The rows of a matrix in `f32`.
fn numbers(matrix: Matrix<'_>) -> Result<Vec<f32>, ShapeError> {
    let mut numbers = vec![0.0; matrix.rows() * matrix.cols()];
    convert::read(matrix, 0..matrix.rows(), &mut numbers)?;
    Ok(numbers)
}

fn fill_u32(into: &mut Buffer, numbers: impl Iterator<Item = u32>) {
    for (into, number) in into.as_u32_mut().iter_mut().zip(numbers) {
        *into = number;
    }
}
