//! The kinds that are searched, of a daemon that is built without FAISS: none is.

use wavekv_kernels::Kernels;

use super::{HeadKeys, KeySearch, SearchError};
use crate::model::{IndexKind, IndexParameters};

/// Bytes that the index of a head will hold.
pub fn footprint(_: IndexKind, _tokens: usize, _dim: usize) -> u64 {
    0
}

/// Indexes nothing.
///
/// # Errors
/// [`SearchError::Absent`] always.
pub fn build(
    _: Kernels,
    parameters: &IndexParameters,
    _: HeadKeys<'_>,
) -> Result<Box<dyn KeySearch>, SearchError> {
    Err(SearchError::Absent(parameters.kind))
}
