//! Vectors in half a byte an element: what keys and values are beside the mean of their cluster.
//!
//! A row is `scale * profile * (code - 7.5)`, element by element, with codes from 0 to 15. The profile is
//! the usual size of each dimension, so that one scale a row is enough even where a few dimensions are
//! much larger than the rest; without it, codes of such keys are useless (one scale for 256 dimensions
//! tripled the error of the answers on real traces), and scales for every 32 dimensions cost an eighth
//! more bytes for the same answers as this.
//!
//! ```text
//! byte b of a row:  low half: dimension b   high half: dimension b + row_bytes
//! ```
//!
//! `row_bytes` is half the dimension, rounded up to whole vectors; dimensions past the last are 7.5 times
//! a profile of zero.

use half::f16;

use crate::cpu::{BYTES, LANES, round};
use crate::tensor::{Queries, ShapeError, expect_area, expect_equal};

/// What a code is counted from: between the 16 levels.
pub(crate) const MIDDLE: f32 = 7.5;
/// Of a row, the largest that is a number in 16 bits: a row that would need a larger one is cut.
pub(crate) const LARGEST_SCALE: f32 = 65504.0;

/// Rows of codes, a scale a row, and one profile for all.
#[derive(Clone, Copy, Debug)]
pub struct Codes4<'a> {
    codes: &'a [u8],
    scales: &'a [f16],
    profile: &'a [f32],
}

impl<'a> Codes4<'a> {
    /// Bytes of the codes of one row of `cols` elements.
    pub const fn code_bytes(cols: usize) -> usize {
        cols.div_ceil(2 * LANES) * LANES
    }

    /// Views `codes` as one row of `profile.len()` elements for each of `scales`.
    ///
    /// # Errors
    /// Where there are more or fewer codes, or a row has no columns.
    pub fn new(codes: &'a [u8], scales: &'a [f16], profile: &'a [f32]) -> Result<Self, ShapeError> {
        let row = Self::code_bytes(profile.len());
        expect_area("bytes of codes", codes.len(), scales.len(), row)?;
        if profile.is_empty() {
            return Err(ShapeError {
                what: "columns",
                given: 0,
                expected: 1,
            });
        }
        Ok(Self {
            codes,
            scales,
            profile,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Elements of a row.
    pub fn cols(&self) -> usize {
        self.profile.len()
    }

    /// Bytes that reading a row costs: its codes and its scale.
    pub fn row_bytes(&self) -> usize {
        Self::row_bytes_of(self.cols())
    }

    /// The same of a row of `dim` elements.
    pub fn row_bytes_of(dim: usize) -> usize {
        Self::code_bytes(dim) + size_of::<f16>()
    }

    /// The usual size of each dimension.
    pub fn profile(&self) -> &'a [f32] {
        self.profile
    }

    /// One a row.
    pub fn scales(&self) -> &'a [f16] {
        self.scales
    }

    pub(crate) fn codes(&self) -> &'a [u8] {
        self.codes
    }

    /// Writes the vector that a row stands for.
    ///
    /// # Errors
    /// Where there is no such row, or `out` is not as long as one.
    pub fn decode(&self, row: usize, out: &mut [f32]) -> Result<(), ShapeError> {
        expect_equal("length of the output", out.len(), self.cols())?;
        let Some(scale) = self.scales.get(row) else {
            return Err(ShapeError {
                what: "row",
                given: row,
                expected: self.rows(),
            });
        };
        let bytes = Self::code_bytes(self.cols());
        let codes = &self.codes[row * bytes..][..bytes];
        for (at, (out, profile)) in out.iter_mut().zip(self.profile).enumerate() {
            let code = codes[at % bytes] >> (at / bytes * 4) & 15;
            *out = scale.to_f32() * profile * (f32::from(code) - MIDDLE);
        }
        Ok(())
    }

    /// Writes the codes of `vector` and returns their scale, given one over each element of the profile (zero for a
    /// dimension that never varies).
    ///
    /// # Errors
    /// Where the inverse profile is not as long as `vector`, or `codes` is not a row's.
    pub fn encode(
        vector: &[f32],
        inverse_profile: &[f32],
        codes: &mut [u8],
    ) -> Result<f16, ShapeError> {
        expect_equal(
            "length of the inverse profile",
            inverse_profile.len(),
            vector.len(),
        )?;
        let bytes = Self::code_bytes(vector.len());
        expect_equal("bytes of codes", codes.len(), bytes)?;
        let pairs = || vector.iter().zip(inverse_profile);
        let largest = pairs().fold(0.0_f32, |largest, (x, inverse)| {
            largest.max((x * inverse).abs())
        });
        let scale = f16::from_f32((largest / MIDDLE).min(LARGEST_SCALE));
        let step = scale.to_f32();
        let of_step = if step > 0.0 { step.recip() } else { 0.0 };
        // Truncation is the floor of what is not negative, and needs no call.
        let code =
            |(x, inverse): (&f32, &f32)| (x * inverse * of_step + 8.0).clamp(0.0, 15.0) as u8;
        codes.fill(8 | 8 << 4);
        for (byte, pair) in codes.iter_mut().zip(pairs()) {
            *byte = *byte & 0xf0 | code(pair);
        }
        for (byte, pair) in codes.iter_mut().zip(pairs().skip(bytes)) {
            *byte = *byte & 0x0f | code(pair) << 4;
        }
        Ok(scale)
    }
}

/// Query rows in the bytes that [`Codes4`] are multiplied with: times the profile, rounded to a byte an
/// element (a tenth of what the codes themselves are off by), the halves apart as those of the codes.
#[derive(Clone, Debug)]
pub struct Queries4 {
    rows: usize,
    dim: usize,
    pub(crate) low: Vec<[u8; BYTES]>,
    pub(crate) high: Vec<[u8; BYTES]>,
    pub(crate) factors: Vec<f32>,
    /// [`MIDDLE`] times the sum of a row's integers.
    pub(crate) middles: Vec<f32>,
}

/// The largest integer.
const LARGEST_QUERY: f32 = 127.0;

impl Queries4 {
    /// `queries`, each times `scale` and the profile of the codes that it will meet.
    ///
    /// # Errors
    /// Where the profile is not as long as a query.
    pub fn new(queries: Queries<'_>, profile: &[f32], scale: f32) -> Result<Self, ShapeError> {
        expect_equal("length of the profile", profile.len(), queries.dim())?;
        let (rows, dim) = (queries.rows(), queries.dim());
        let chunks = rows * Codes4::code_bytes(dim).div_ceil(BYTES);
        let mut made = Self {
            rows,
            dim,
            low: vec![[0; BYTES]; chunks],
            high: vec![[0; BYTES]; chunks],
            factors: vec![0.0; rows],
            middles: vec![0.0; rows],
        };
        for row in 0..rows {
            made.fill(row, queries.row(row), profile, scale);
        }
        Ok(made)
    }

    fn fill(&mut self, row: usize, query: &[f32], profile: &[f32], scale: f32) {
        let scaled = || query.iter().zip(profile).map(|(x, p)| x * p);
        let largest = scaled().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let inverse = if largest > 0.0 {
            LARGEST_QUERY / largest
        } else {
            0.0
        };
        self.factors[row] = largest / LARGEST_QUERY * scale;
        let half = Codes4::code_bytes(self.dim);
        let first = row * self.chunks();
        let low = self.low[first..].as_flattened_mut();
        let high = self.high[first..].as_flattened_mut();
        let mut sum = 0;
        for (at, x) in scaled().enumerate() {
            let integer = round(x * inverse) as i8;
            sum += i32::from(integer);
            let to = if at < half {
                &mut low[at]
            } else {
                &mut high[at - half]
            };
            *to = integer.cast_unsigned();
        }
        self.middles[row] = MIDDLE * sum as f32;
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Runs of bytes that each half of a row fills; the last is padded with zeros.
    pub(crate) fn chunks(&self) -> usize {
        Codes4::code_bytes(self.dim).div_ceil(BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_row_is_within_half_a_step() {
        for dim in [1, 16, 17, 31, 32, 80, 128, 577] {
            let profile: Vec<f32> = (0..dim).map(|d| 0.1 + (d % 5) as f32).collect();
            let vector: Vec<f32> = (0..dim)
                .map(|d| profile[d] * ((d * 37 % 101) as f32 / 50.0 - 1.0))
                .collect();
            let mut codes = vec![0; Codes4::code_bytes(dim)];
            let inverse: Vec<f32> = profile.iter().map(|p| p.recip()).collect();
            let scale = Codes4::encode(&vector, &inverse, &mut codes).unwrap();
            let scales = [scale];
            let view = Codes4::new(&codes, &scales, &profile).unwrap();
            let mut out = vec![0.0; dim];
            view.decode(0, &mut out).unwrap();
            for ((x, out), profile) in vector.iter().zip(&out).zip(&profile) {
                let step = scale.to_f32() * profile;
                // At the ends of the range the rounded scale may cut a little.
                assert!((x - out).abs() <= 0.51 * step, "dim {dim}: {x} {out}");
            }
        }
    }

    #[test]
    fn a_row_far_outside_its_profile_has_a_finite_scale() {
        let mut codes = vec![0; Codes4::code_bytes(2)];
        let profile = [1e-9, 1.0];
        let inverse = profile.map(f32::recip);
        let scales = [Codes4::encode(&[3.0, 2.0], &inverse, &mut codes).unwrap()];
        let mut out = [f32::NAN; 2];
        let view = Codes4::new(&codes, &scales, &profile).unwrap();
        view.decode(0, &mut out).unwrap();
        assert!(out.iter().all(|x| x.is_finite()), "{out:?}");
    }

    #[test]
    fn a_dimension_that_never_varies_is_exact() {
        let mut codes = vec![0; Codes4::code_bytes(3)];
        let profile = [0.0, 1.0, 0.0];
        let scale = Codes4::encode(&[0.0, 2.0, 0.0], &profile, &mut codes).unwrap();
        let mut out = [9.0; 3];
        let scales = [scale];
        let view = Codes4::new(&codes, &scales, &profile).unwrap();
        view.decode(0, &mut out).unwrap();
        assert!(
            out[0].abs() + out[2].abs() < 1e-9 && (out[1] - 2.0).abs() < 0.3,
            "{out:?}"
        );
        assert!(view.decode(1, &mut out).is_err());
        assert!(Codes4::new(&codes, &scales, &[]).is_err());
        assert!(Codes4::encode(&[0.0; 3], &profile[..2], &mut codes).is_err());
    }
}
