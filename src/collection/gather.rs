//! Tokens from anywhere in segments, side by side, so that one call of a kernel reads them: a call for each would cost more
//! than their bytes.

use wavekv_kernels::{Dtype, Gather, Kernels, Matrix, ShapeError};

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
    /// Room for more bytes behind those that are there.
    fn grow(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.bytes;
        self.bytes += bytes;
        self.words.resize(self.bytes.div_ceil(size_of::<u32>()), 0);
        &mut bytemuck::cast_slice_mut(&mut self.words)[start..self.bytes]
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
    pub(super) fn take(
        &mut self,
        kernels: Kernels,
        payload: &Payload<'_>,
        rows: &[u32],
    ) -> Result<(), ShapeError> {
        for (from, to) in [
            (payload.keys, &mut self.keys),
            (payload.values, &mut self.values),
        ] {
            let bytes = rows.len() * from.cols() * from.dtype().size_of();
            kernels.gather(Gather::new(from, rows, to.grow(bytes))?);
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
