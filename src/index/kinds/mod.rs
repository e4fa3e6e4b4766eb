//! The kinds of index beside the wave index: what others would take in its place, as good as they get.
//!
//! `flat` is the absence of an index and needs nothing here. `ivf` and `hnsw` are FAISS's, one of each KV head of a
//! segment: [`build`] makes it, [`KeySearch`] is all that the rest of the daemon sees of it, and [`retrieval`] says
//! which tokens of all segments a query reads. FAISS stands behind the feature `faiss`; without it the two kinds are
//! refused by [`available`] and this room still compiles.
//!
//! It must not know columns, budgets or where K and V are, and nobody else may know FAISS. `hnsw` alone has a lock, and
//! says why.
//!
//! Start reading at [`KeySearch`], then `ivf.rs` and `hnsw.rs`, both over `nearest.rs`.

#[cfg(feature = "faiss")]
mod hnsw;
mod ignored;
#[cfg(feature = "faiss")]
mod ivf;
#[cfg(feature = "faiss")]
mod nearest;
#[cfg(feature = "faiss")]
#[cfg(test)]
mod recall;
pub mod retrieval;
mod tail;
#[cfg(feature = "faiss")]
mod with_faiss;
#[cfg(not(feature = "faiss"))]
mod without_faiss;

use std::fmt;

use wavekv_kernels::{Isa, Kernels, ShapeError};

use crate::model::{IndexKind, IndexParameters, Invalid};

pub use retrieval::{Question, Retrieval, Searched};
#[cfg(feature = "faiss")]
pub use with_faiss::{build, footprint};
#[cfg(not(feature = "faiss"))]
pub use without_faiss::{build, footprint};

/// Finds the keys of one KV head of one segment that score highest.
pub trait KeySearch: fmt::Debug + Send + Sync {
    /// About the `most` keys with the largest `q.k`, the largest first: never more, fewer where the search does not
    /// come upon as many.
    ///
    /// # Errors
    /// [`SearchError::Refused`] when the library fails.
    fn search(&self, query: &[f32], most: usize) -> Result<Vec<Hit>, SearchError>;

    /// About how many bytes a search reads.
    fn bytes_read(&self, most: usize) -> u64;
}

/// A key that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its row, in order of position.
    pub row: u32,
    /// `q.k`.
    pub product: f32,
}

/// Why there is no index, or no answer of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The library says no.
    #[error("FAISS refused: {0}")]
    Refused(String),
    /// The kind has no search, or the daemon is built without it: [`available`] was not asked.
    #[error("{0} has no search in this build")]
    Absent(IndexKind),
    /// Keys are not whole rows.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// The keys of one KV head of one segment, to be indexed.
#[derive(Clone, Copy, Debug)]
pub struct HeadKeys<'a> {
    /// `[tokens, dim]`, in order of position.
    pub keys: &'a [f32],
    /// Of a key.
    pub dim: usize,
    /// Of what is random.
    pub seed: u64,
}

/// These parameters when this daemon can build their kind.
///
/// # Errors
/// [`Invalid`] naming `kind`.
pub fn available(parameters: IndexParameters) -> Result<IndexParameters, Invalid> {
    let why_not = match parameters.kind {
        IndexKind::Wave | IndexKind::Flat => None,
        IndexKind::Ivf | IndexKind::Hnsw if !cfg!(feature = "faiss") => {
            Some("this daemon is built without FAISS")
        }
        // See .cargo/faiss.cmake.
        IndexKind::Ivf | IndexKind::Hnsw => {
            let old = cfg!(target_arch = "x86_64") && Kernels::detect().isa() == Isa::Portable;
            old.then_some("FAISS needs a CPU with AVX2, FMA and F16C")
        }
    };
    let Some(why_not) = why_not else {
        return Ok(parameters);
    };
    let expected = format!("wave or flat: {why_not}");
    Err(Invalid::new("kind", parameters.kind, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_built_in_is_refused_by_name() {
        for kind in IndexKind::ALL {
            let parameters = IndexParameters::DEFAULT.of_kind(kind);
            let searched = matches!(kind, IndexKind::Ivf | IndexKind::Hnsw);
            match available(parameters) {
                Ok(same) => assert_eq!(same, parameters),
                Err(invalid) => {
                    let old = Kernels::detect().isa() == Isa::Portable;
                    assert!(searched && (old || !cfg!(feature = "faiss")), "{invalid}");
                    assert_eq!(invalid.field, "kind");
                }
            }
        }
    }
}
