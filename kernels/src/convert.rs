//! Between `f32` and the bytes of a [`Dtype`], and the check that every number is one.
//!
//! Not a kernel: these run at the doors (insert, clustering, export), not in a decode step, so they
//! check their shapes themselves.

use std::ops::Range;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::dtype::Dtype;
use crate::tensor::{Elements, Matrix, ShapeError, expect_area, expect_equal};

/// Reads the rows of `range` into `out`, exactly: every narrow number is an `f32`.
///
/// # Errors
/// Where the range leaves the matrix or `out` is not as long as its rows.
pub fn read(matrix: Matrix<'_>, range: Range<usize>, out: &mut [f32]) -> Result<(), ShapeError> {
    let rows = matrix.slice_rows(range)?;
    expect_area("length of the output", out.len(), rows.rows(), rows.cols())?;
    match rows.elements() {
        Elements::Bf16(from) => from.convert_to_f32_slice(out),
        Elements::F16(from) => from.convert_to_f32_slice(out),
        Elements::F32(from) => out.copy_from_slice(from),
    }
    Ok(())
}

/// Writes `values` as `dtype`, rounded to nearest, ties to even; any alignment of `bytes` will do.
///
/// # Errors
/// Where `bytes` is not as long as the values are in `dtype`.
pub fn write(values: &[f32], dtype: Dtype, bytes: &mut [u8]) -> Result<(), ShapeError> {
    expect_area("byte length", bytes.len(), values.len(), dtype.size_of())?;
    match dtype {
        Dtype::Bf16 => write_as(values, bytes, bf16::from_f32),
        Dtype::F16 => write_as(values, bytes, f16::from_f32),
        Dtype::F32 => bytes.copy_from_slice(bytemuck::cast_slice(values)),
    }
    Ok(())
}

fn write_as<T: Pod>(values: &[f32], bytes: &mut [u8], narrow: impl Fn(f32) -> T) {
    for (value, to) in values.iter().zip(bytes.chunks_exact_mut(size_of::<T>())) {
        to.copy_from_slice(bytemuck::bytes_of(&narrow(*value)));
    }
}

/// Why bytes are not finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFinite {
    /// An element is NaN or infinite.
    #[error("element {index} is not a finite number")]
    Element {
        /// The first such element.
        index: usize,
    },
    /// The bytes end within an element.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// Looks for NaN and infinity; any alignment of `bytes` will do.
///
/// # Errors
/// The first element that is not finite, or bytes that end within an element.
pub fn all_finite(bytes: &[u8], dtype: Dtype) -> Result<(), NotFinite> {
    let rest = bytes.len() % dtype.size_of();
    expect_equal("byte length modulo the element size", rest, 0)?;
    // Finite means that some exponent bit is clear: one integer comparison an element.
    let found = match dtype {
        Dtype::Bf16 => {
            first_full_exponent::<2>(bytes, |b| u16::from_le_bytes(b) & 0x7f80 == 0x7f80)
        }
        Dtype::F16 => first_full_exponent::<2>(bytes, |b| u16::from_le_bytes(b) & 0x7c00 == 0x7c00),
        Dtype::F32 => first_full_exponent::<4>(bytes, |b| {
            u32::from_le_bytes(b) & 0x7f80_0000 == 0x7f80_0000
        }),
    };
    found.map_or(Ok(()), |index| Err(NotFinite::Element { index }))
}

/// Elements are judged by runs without a branch, so that the compiler can use vectors.
fn first_full_exponent<const SIZE: usize>(
    bytes: &[u8],
    full: impl Fn([u8; SIZE]) -> bool,
) -> Option<usize> {
    const RUN: usize = 256;
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let bad = elements
        .chunks(RUN)
        .position(|run| run.iter().fold(false, |any, e| any | full(*e)))?;
    let within = elements[bad * RUN..]
        .iter()
        .position(|element| full(*element))?;
    Some(bad * RUN + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_rounded() {
        let values = [1.0, -2.5, 65504.0, 1.0 + 1.0 / 512.0, 0.0, 3.0e-5_f32];
        for dtype in Dtype::ALL {
            let mut words = [0_u32; 6];
            let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..6 * dtype.size_of()];
            write(&values, dtype, bytes).unwrap();
            let matrix = Matrix::new(bytes, dtype, 3, 2).unwrap();
            let mut back = [0.0; 4];
            read(matrix, 1..3, &mut back).unwrap();
            for (value, back) in values[2..].iter().zip(back) {
                assert!(
                    (value - back).abs() <= value.abs() / 256.0,
                    "{dtype}: {value} {back}"
                );
            }
            assert!(read(matrix, 1..3, &mut [0.0; 3]).is_err());
            assert!(write(&values, dtype, &mut []).is_err());
        }
    }

    #[test]
    fn the_first_number_that_is_none_is_found() {
        for dtype in Dtype::ALL {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for index in [0, 1, 255, 256, 700] {
                    let mut values = vec![f32::MIN_POSITIVE; 701];
                    values[index] = bad;
                    let mut bytes = vec![0; 701 * dtype.size_of() + 1];
                    write(&values, dtype, &mut bytes[1..]).unwrap();
                    let found = all_finite(&bytes[1..], dtype);
                    assert_eq!(found, Err(NotFinite::Element { index }), "{dtype}");
                    values[index] = 6e4;
                    write(&values, dtype, &mut bytes[1..]).unwrap();
                    assert_eq!(all_finite(&bytes[1..], dtype), Ok(()));
                }
            }
        }
        assert!(matches!(
            all_finite(&[0; 3], Dtype::F16),
            Err(NotFinite::Shape(_))
        ));
    }
}
