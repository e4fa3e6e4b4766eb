//! The kinds that are searched, of a daemon that is built with FAISS.

use faiss::index::SearchResult;
use wavekv_kernels::Kernels;

use super::{HeadKeys, Hit, KeySearch, SearchError, hnsw, ivf};
use crate::model::{IndexKind, IndexParameters};

/// Bytes that the index of a head will hold.
pub fn footprint(kind: IndexKind, tokens: usize, dim: usize) -> u64 {
    match kind {
        IndexKind::Wave | IndexKind::Flat => 0,
        IndexKind::Ivf => ivf::footprint(tokens, dim),
        IndexKind::Hnsw => hnsw::footprint(tokens, dim),
    }
}

/// Indexes the keys of a head.
///
/// # Errors
/// [`SearchError::Absent`] for a kind that is not searched, [`SearchError::Refused`] when the library fails.
pub fn build(
    kernels: Kernels,
    parameters: &IndexParameters,
    keys: HeadKeys<'_>,
) -> Result<Box<dyn KeySearch>, SearchError> {
    match parameters.kind {
        IndexKind::Wave | IndexKind::Flat => Err(SearchError::Absent(parameters.kind)),
        IndexKind::Ivf => Ok(Box::new(ivf::Lists::build(kernels, parameters, keys)?)),
        IndexKind::Hnsw => Ok(Box::new(hnsw::Graph::build(keys)?)),
    }
}

/// What FAISS found, given the product that each of its distances stands for.
pub(super) fn hits(found: &SearchResult, product: impl Fn(f32) -> f32) -> Vec<Hit> {
    let hits = found.labels.iter().zip(&found.distances);
    let hits = hits.filter_map(|(label, distance)| {
        Some(Hit {
            row: label.get()? as u32,
            product: product(*distance),
        })
    });
    hits.collect()
}

impl From<faiss::error::Error> for SearchError {
    fn from(error: faiss::error::Error) -> Self {
        Self::Refused(error.to_string())
    }
}
