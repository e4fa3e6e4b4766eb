//! Views with a checked shape: the only way into a kernel.
//!
//! A view borrows bytes and says how many rows and columns they are. Its constructor checks length
//! and alignment, so that nothing behind it has to. Rows are dense: row `r` starts at `r * cols`.

use std::ops::Range;

use bytemuck::Pod;
use half::{bf16, f16};

use crate::dtype::Dtype;

// Bytes are little-endian in the API and in files and are read in place.
const _: () = assert!(cfg!(target_endian = "little"));

/// A shape that does not fit: what was looked at, what was given, what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {given}, expected {expected}")]
pub struct ShapeError {
    /// What disagrees, as the subject of a sentence.
    pub what: &'static str,
    /// What the caller gave.
    pub given: usize,
    /// What would have fitted.
    pub expected: usize,
}

/// Refuses `given` where it is not `expected`.
pub(crate) fn expect_equal(
    what: &'static str,
    given: usize,
    expected: usize,
) -> Result<(), ShapeError> {
    if given == expected {
        Ok(())
    } else {
        Err(ShapeError {
            what,
            given,
            expected,
        })
    }
}

/// Refuses a length that is not `rows * cols`, also where that product overflows.
pub(crate) fn expect_area(
    what: &'static str,
    given: usize,
    rows: usize,
    cols: usize,
) -> Result<(), ShapeError> {
    expect_equal(what, given, rows.saturating_mul(cols))
}

/// The elements of a [`Matrix`], typed.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// Elements of [`Dtype::Bf16`].
    Bf16(&'a [bf16]),
    /// Elements of [`Dtype::F16`].
    F16(&'a [f16]),
    /// Elements of [`Dtype::F32`].
    F32(&'a [f32]),
}

/// Rows of keys, values, centroids or value means: `[rows, cols]` of any [`Dtype`], row-major.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: Elements<'a>,
    rows: usize,
    cols: usize,
}

impl<'a> Matrix<'a> {
    /// Views `bytes` as `rows` dense rows of `cols` elements.
    ///
    /// # Errors
    /// Where the length is not that of the shape, the bytes are not aligned to the element, or a
    /// row has no columns.
    pub fn new(
        bytes: &'a [u8],
        dtype: Dtype,
        rows: usize,
        cols: usize,
    ) -> Result<Self, ShapeError> {
        expect_area(
            "byte length",
            bytes.len(),
            rows,
            cols.saturating_mul(dtype.size_of()),
        )?;
        if cols == 0 {
            return Err(ShapeError {
                what: "columns",
                given: 0,
                expected: 1,
            });
        }
        let elements = match dtype {
            Dtype::Bf16 => Elements::Bf16(typed(bytes)?),
            Dtype::F16 => Elements::F16(typed(bytes)?),
            Dtype::F32 => Elements::F32(typed(bytes)?),
        };
        Ok(Self {
            elements,
            rows,
            cols,
        })
    }

    /// Views `f32` values, as centroids in the making are.
    ///
    /// # Errors
    /// As [`Matrix::new`].
    pub fn from_f32(values: &'a [f32], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        Self::new(bytemuck::cast_slice(values), Dtype::F32, rows, cols)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        match self.elements {
            Elements::Bf16(_) => Dtype::Bf16,
            Elements::F16(_) => Dtype::F16,
            Elements::F32(_) => Dtype::F32,
        }
    }

    /// All elements, row after row.
    pub fn elements(&self) -> Elements<'a> {
        self.elements
    }

    /// All elements as bytes, row after row.
    pub fn bytes(&self) -> &'a [u8] {
        match self.elements {
            Elements::Bf16(all) => bytemuck::cast_slice(all),
            Elements::F16(all) => bytemuck::cast_slice(all),
            Elements::F32(all) => bytemuck::cast_slice(all),
        }
    }

    /// The rows of `range` alone.
    ///
    /// # Errors
    /// Where the range ends before it starts or after the last row.
    pub fn slice_rows(&self, range: Range<usize>) -> Result<Self, ShapeError> {
        if range.end > self.rows {
            return Err(ShapeError {
                what: "end of the row range",
                given: range.end,
                expected: self.rows,
            });
        }
        if range.start > range.end {
            return Err(ShapeError {
                what: "start of the row range",
                given: range.start,
                expected: range.end,
            });
        }
        let within = range.start * self.cols..range.end * self.cols;
        let elements = match self.elements {
            Elements::Bf16(all) => Elements::Bf16(&all[within]),
            Elements::F16(all) => Elements::F16(&all[within]),
            Elements::F32(all) => Elements::F32(&all[within]),
        };
        Ok(Self {
            elements,
            rows: range.len(),
            cols: self.cols,
        })
    }

    /// All rows in order, `rows` at a time; the last tile may have fewer.
    pub(crate) fn tiles(self, rows: usize) -> impl Iterator<Item = Self> {
        (0..self.rows)
            .step_by(rows)
            .filter_map(move |start| self.slice_rows(start..self.rows.min(start + rows)).ok())
    }
}

fn typed<T: Pod>(bytes: &[u8]) -> Result<&[T], ShapeError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| ShapeError {
        what: "address of the bytes modulo their element size",
        given: bytes.as_ptr().addr() % size_of::<T>(),
        expected: 0,
    })
}

/// Query rows, or points to be clustered: `[rows, dim]` of `f32`, row-major.
///
/// Queries stay `f32` where keys are narrower: there are few of them, and their rounding would be
/// the largest error of a score.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    values: &'a [f32],
    rows: usize,
    dim: usize,
}

impl<'a> Queries<'a> {
    /// Views `values` as `rows` dense rows of `dim` elements.
    ///
    /// # Errors
    /// Where the length is not that of the shape, or a row has no elements.
    pub fn new(values: &'a [f32], rows: usize, dim: usize) -> Result<Self, ShapeError> {
        expect_area("length of the queries", values.len(), rows, dim)?;
        if dim == 0 {
            return Err(ShapeError {
                what: "dimension of the queries",
                given: 0,
                expected: 1,
            });
        }
        Ok(Self { values, rows, dim })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All values, row after row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// One row; empty past the last.
    pub fn row(&self, row: usize) -> &'a [f32] {
        self.values
            .chunks_exact(self.dim)
            .nth(row)
            .unwrap_or_default()
    }

    /// The rows of `rows` alone, which must be there.
    pub(crate) fn band(&self, rows: Range<usize>) -> Self {
        Self {
            values: &self.values[rows.start * self.dim..rows.end * self.dim],
            rows: rows.len(),
            dim: self.dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_refuses_a_length_that_is_not_its_shape() {
        let error = Matrix::new(&[0; 10], Dtype::Bf16, 2, 3).unwrap_err();
        assert_eq!(error.to_string(), "byte length is 10, expected 12");
        assert!(Matrix::new(&[], Dtype::F32, usize::MAX, 2).is_err());
        assert!(Matrix::new(&[], Dtype::F32, 5, 0).is_err());
    }

    #[test]
    fn a_matrix_refuses_bytes_off_their_alignment() {
        let words = [0_u32; 4];
        let bytes = &bytemuck::cast_slice::<u32, u8>(&words)[1..13];
        let error = Matrix::new(bytes, Dtype::F32, 3, 1).unwrap_err();
        assert_eq!(error.given, 1);
    }

    #[test]
    fn a_slice_of_rows_keeps_their_columns() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0_f32];
        let matrix = Matrix::from_f32(&values, 3, 2).unwrap();
        let slice = matrix.slice_rows(1..3).unwrap();
        assert!(matches!(
            slice.elements(),
            Elements::F32([2.0, 3.0, 4.0, 5.0])
        ));
        assert!(matrix.slice_rows(2..4).is_err());
        assert_eq!(matrix.slice_rows(3..3).unwrap().rows(), 0);
    }

    #[test]
    fn empty_queries_are_a_shape() {
        let queries = Queries::new(&[], 0, 4).unwrap();
        assert_eq!(queries.row(0), &[] as &[f32]);
    }
}
