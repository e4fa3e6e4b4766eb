//! Tokens from anywhere in segments, side by side, so that one call of a kernel reads them: a call for each would cost more
//! than their bytes.

use wavekv_kernels::{Dtype, Matrix, ShapeError};

use crate::index::segment::Payload;
use crate::model::Geometry;

/// K and V rows of one KV head.
#[derive(Debug)]
pub(super) struct Gathered {
    dtype: Dtype,
    head_dim: usize,
    value_dim: usize,
    rows: usize,
    keys: Rows,
    values: Rows,
}

/// Rows of bytes at an address that suits every dtype.
#[derive(Debug, Default)]
struct Rows {
    words: Vec<u32>,
    bytes: usize,
}

impl Rows {
    fn push(&mut self, row: &[u8]) {
        let end = self.bytes + row.len();
        self.words.resize(end.div_ceil(size_of::<u32>()), 0);
        bytemuck::cast_slice_mut(&mut self.words)[self.bytes..end].copy_from_slice(row);
        self.bytes = end;
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }
}

impl Gathered {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            dtype: geometry.dtype,
            head_dim: geometry.head_dim as usize,
            value_dim: geometry.value_dim as usize,
            rows: 0,
            keys: Rows::default(),
            values: Rows::default(),
        }
    }

    /// Takes some rows of `payload`, which has all of a segment.
    pub(super) fn take(&mut self, payload: &Payload<'_>, rows: &[u32]) -> Result<(), ShapeError> {
        for row in rows {
            let row = *row as usize..*row as usize + 1;
            self.keys
                .push(payload.keys.slice_rows(row.clone())?.bytes());
            self.values.push(payload.values.slice_rows(row)?.bytes());
        }
        self.rows += rows.len();
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn keys(&self) -> Result<Matrix<'_>, ShapeError> {
        Matrix::new(self.keys.bytes(), self.dtype, self.rows, self.head_dim)
    }

    pub(super) fn values(&self) -> Result<Matrix<'_>, ShapeError> {
        Matrix::new(self.values.bytes(), self.dtype, self.rows, self.value_dim)
    }
}
