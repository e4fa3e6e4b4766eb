//! Between `f32` and the bytes of a [`Dtype`], and the check that every number is one that the kernels can take.
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

/// Numbers of K, V and Q stay below this in magnitude: so far from the end of `f32` that no score of 576 products, no
/// variance of scores and no squared distance made of them overflows. Models stay below a few thousand.
pub const MAGNITUDE_LIMIT: f32 = 1_048_576.0;

/// Why bytes are not numbers that the kernels can take.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadNumbers {
    /// An element is NaN, infinite or at least [`MAGNITUDE_LIMIT`] in magnitude.
    #[error("element {index} is {value:e}")]
    Element {
        /// The first such element.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// The bytes end within an element.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// Looks for NaN, infinity and magnitudes from [`MAGNITUDE_LIMIT`] on; any alignment of `bytes` will do.
///
/// # Errors
/// The first such element, or bytes that end within an element.
pub fn check_magnitudes(bytes: &[u8], dtype: Dtype) -> Result<(), BadNumbers> {
    let rest = bytes.len() % dtype.size_of();
    expect_equal("byte length modulo the element size", rest, 0)?;
    // Without their sign, bits are ordered as the magnitudes are, with infinity and NaN above all numbers: one integer
    // comparison an element. The largest f16 is below the limit.
    let found = match dtype {
        Dtype::Bf16 => {
            let limit = bf16::from_f32(MAGNITUDE_LIMIT).to_bits();
            let bad = |b| u16::from_le_bytes(b) & 0x7fff >= limit;
            first(bytes, bad, |b| bf16::from_le_bytes(b).to_f32())
        }
        Dtype::F16 => {
            let limit = f16::INFINITY.to_bits();
            let bad = |b| u16::from_le_bytes(b) & 0x7fff >= limit;
            first(bytes, bad, |b| f16::from_le_bytes(b).to_f32())
        }
        Dtype::F32 => {
            let limit = MAGNITUDE_LIMIT.to_bits();
            let bad = |b| u32::from_le_bytes(b) & 0x7fff_ffff >= limit;
            first(bytes, bad, f32::from_le_bytes)
        }
    };
    found.map_or(Ok(()), |(index, value)| {
        Err(BadNumbers::Element { index, value })
    })
}

/// The first bad element. Elements are judged by runs without a branch, so that the compiler can use vectors.
fn first<const SIZE: usize>(
    bytes: &[u8],
    bad: impl Fn([u8; SIZE]) -> bool,
    value: impl Fn([u8; SIZE]) -> f32,
) -> Option<(usize, f32)> {
    const RUN: usize = 256;
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let run = elements
        .chunks(RUN)
        .position(|run| run.iter().fold(false, |any, e| any | bad(*e)))?;
    let within = elements[run * RUN..]
        .iter()
        .position(|element| bad(*element))?;
    let index = run * RUN + within;
    Some((index, value(elements[index])))
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
    fn the_first_bad_number_is_found() {
        for dtype in Dtype::ALL {
            for bad in [
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                -MAGNITUDE_LIMIT,
                3e38,
            ] {
                for index in [0, 1, 255, 256, 700] {
                    let mut values = vec![f32::MIN_POSITIVE; 701];
                    values[index] = bad;
                    let mut bytes = vec![0; 701 * dtype.size_of() + 1];
                    write(&values, dtype, &mut bytes[1..]).unwrap();
                    let found = check_magnitudes(&bytes[1..], dtype);
                    assert!(
                        matches!(found, Err(BadNumbers::Element { index: i, .. }) if i == index),
                        "{dtype}: {bad} at {index}: {found:?}"
                    );
                    // The largest magnitude that every dtype has and the limit allows.
                    values[index] = -65504.0;
                    write(&values, dtype, &mut bytes[1..]).unwrap();
                    assert_eq!(check_magnitudes(&bytes[1..], dtype), Ok(()));
                }
            }
        }
        assert!(matches!(
            check_magnitudes(&[0; 3], Dtype::F16),
            Err(BadNumbers::Shape(_))
        ));
    }
}
