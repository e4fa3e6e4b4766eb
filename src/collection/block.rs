//! A block of tokens that are not clustered: K and V of every KV head, each head contiguous in order of position, so that
//! the same kernels read it as read clusters.

use std::ops::Range;

use wavekv_kernels::{Matrix, ShapeError};
use wavekv_storage::{Budget, BudgetExceeded, Buffer};

use crate::model::{Geometry, KvHead, TokenRange};

/// Room for the tokens of a fixed range; which of them are there, its owner knows.
#[derive(Clone, Debug)]
pub(super) struct Block {
    range: TokenRange,
    /// `[kv_heads, tokens, head_dim]`.
    keys: Buffer,
    /// `[kv_heads, tokens, value_dim]`.
    values: Buffer,
}

impl Block {
    /// An empty block for the tokens of `range`.
    pub(super) fn new(
        geometry: &Geometry,
        range: TokenRange,
        budget: &Budget,
    ) -> Result<Self, BudgetExceeded> {
        let rows = geometry.kv_heads as usize * range.tokens() as usize;
        Ok(Self {
            range,
            keys: budget.allocate(rows * geometry.key_bytes())?,
            values: budget.allocate(rows * geometry.value_bytes())?,
        })
    }

    /// The tokens that it has room for.
    pub(super) fn range(&self) -> TokenRange {
        self.range
    }

    /// Bytes of room for K and V.
    pub(super) fn payload_bytes(&self) -> u64 {
        (self.keys.len() + self.values.len()) as u64
    }

    /// Writes one token, given K `[kv_heads, head_dim]` and V `[kv_heads, value_dim]`.
    pub(super) fn write(&mut self, position: u32, keys: &[u8], values: &[u8], heads: usize) {
        let row = (position - self.range.start) as usize;
        let tokens = self.range.tokens() as usize;
        scatter(self.keys.as_bytes_mut(), keys, heads, tokens, row);
        scatter(self.values.as_bytes_mut(), values, heads, tokens, row);
    }

    /// K of some tokens of one head.
    pub(super) fn keys(
        &self,
        geometry: &Geometry,
        head: KvHead,
        tokens: TokenRange,
    ) -> Result<Matrix<'_>, ShapeError> {
        self.rows(
            &self.keys,
            geometry,
            geometry.head_dim,
            head,
            tokens.rows_from(self.range.start),
        )
    }

    /// V of some tokens of one head.
    pub(super) fn values(
        &self,
        geometry: &Geometry,
        head: KvHead,
        tokens: TokenRange,
    ) -> Result<Matrix<'_>, ShapeError> {
        let rows = tokens.rows_from(self.range.start);
        self.rows(&self.values, geometry, geometry.value_dim, head, rows)
    }

    fn rows<'a>(
        &self,
        buffer: &'a Buffer,
        geometry: &Geometry,
        dim: u32,
        head: KvHead,
        rows: Range<usize>,
    ) -> Result<Matrix<'a>, ShapeError> {
        let tokens = self.range.tokens() as usize;
        let all = tokens * geometry.kv_heads as usize;
        let first = head.index() * tokens;
        Matrix::new(buffer.as_bytes(), geometry.dtype, all, dim as usize)?
            .slice_rows(first + rows.start..first + rows.end)
    }
}

/// Copies `from`, one row a head, to row `row` of every head in `into`, which has `rows` rows a head.
fn scatter(into: &mut [u8], from: &[u8], heads: usize, rows: usize, row: usize) {
    let width = from.len() / heads;
    for (head, from) in from.chunks_exact(width).enumerate() {
        into[(head * rows + row) * width..][..width].copy_from_slice(from);
    }
}
