//! Vectors in a byte an element: centroids and mean values, which a query scans.
//!
//! A row is `base + scale * code` with codes from -127 to 127: what a vector is beside the mean of all,
//! at the scale that its own largest element needs. On real keys this changes no answer against 16 bits
//! an element, at half the bytes.

use crate::cpu::{BYTES, round};
use crate::tensor::{Queries, ShapeError, expect_area, expect_equal};

/// The largest code.
const LARGEST: f32 = 127.0;

/// Rows of codes: `[rows, cols]`, a scale a row, and one base for all.
#[derive(Clone, Copy, Debug)]
pub struct Codes8<'a> {
    codes: &'a [i8],
    scales: &'a [f32],
    base: &'a [f32],
}

impl<'a> Codes8<'a> {
    /// Views `codes` as one row of `base.len()` for each of `scales`.
    ///
    /// # Errors
    /// Where there are more or fewer codes, or a row has no columns.
    pub fn new(codes: &'a [i8], scales: &'a [f32], base: &'a [f32]) -> Result<Self, ShapeError> {
        expect_area("number of codes", codes.len(), scales.len(), base.len())?;
        if base.is_empty() {
            return Err(ShapeError {
                what: "columns",
                given: 0,
                expected: 1,
            });
        }
        Ok(Self {
            codes,
            scales,
            base,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Elements of a row.
    pub fn cols(&self) -> usize {
        self.base.len()
    }

    /// Bytes that reading a row costs: its codes and its scale.
    pub fn row_bytes(&self) -> usize {
        self.cols() + size_of::<f32>()
    }

    /// What each row is added to.
    pub fn base(&self) -> &'a [f32] {
        self.base
    }

    /// One a row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }

    pub(crate) fn row(&self, row: usize) -> &'a [i8] {
        &self.codes[row * self.cols()..][..self.cols()]
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
        let codes = self.row(row).iter().zip(self.base);
        for (out, (code, base)) in out.iter_mut().zip(codes) {
            *out = scale.mul_add(f32::from(*code), *base);
        }
        Ok(())
    }

    /// Writes the codes of `vector` beside `base` and returns their scale.
    ///
    /// # Errors
    /// Where the three are not equally long.
    pub fn encode(vector: &[f32], base: &[f32], codes: &mut [i8]) -> Result<f32, ShapeError> {
        expect_equal("length of the vector", vector.len(), base.len())?;
        expect_equal("number of codes", codes.len(), base.len())?;
        let beside = || vector.iter().zip(base).map(|(x, base)| x - base);
        let largest = beside().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let scale = largest / LARGEST;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        for (code, x) in codes.iter_mut().zip(beside()) {
            *code = round(x * inverse).clamp(-LARGEST, LARGEST) as i8;
        }
        Ok(scale)
    }
}

/// Query rows as integers of 14 bits, in the two bytes that [`Codes8`] are multiplied with. Made once
/// and filled for each query.
///
/// One byte would do for most keys; where a few dimensions are much larger than the rest, as in some
/// models, its rounding would be the largest error of a score.
#[derive(Clone, Debug)]
pub struct Queries8 {
    rows: usize,
    dim: usize,
    pub(crate) high: Vec<[u8; BYTES]>,
    pub(crate) low: Vec<[u8; BYTES]>,
    pub(crate) factors: Vec<f32>,
    /// Of a row's integers.
    pub(crate) sums: Vec<i32>,
}

/// The largest integer: its high part is 64 at most, so that products with codes never saturate.
const LARGEST_QUERY: f32 = 8191.0;

impl Queries8 {
    /// `queries`, each times `scale`.
    pub fn new(queries: Queries<'_>, scale: f32) -> Self {
        let (rows, dim) = (queries.rows(), queries.dim());
        let chunks = rows * dim.div_ceil(BYTES);
        let mut made = Self {
            rows,
            dim,
            high: vec![[0; BYTES]; chunks],
            low: vec![[0; BYTES]; chunks],
            factors: vec![0.0; rows],
            sums: vec![0; rows],
        };
        for row in 0..rows {
            made.fill(row, queries.row(row), scale);
        }
        made
    }

    fn fill(&mut self, row: usize, query: &[f32], scale: f32) {
        let largest = query
            .iter()
            .fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let inverse = if largest > 0.0 {
            LARGEST_QUERY / largest
        } else {
            0.0
        };
        self.factors[row] = largest / LARGEST_QUERY * scale;
        let first = row * self.chunks();
        let high = self.high[first..].as_flattened_mut();
        let low = self.low[first..].as_flattened_mut();
        for ((x, high), low) in query.iter().zip(high).zip(low) {
            let integer = round(x * inverse) as i32;
            self.sums[row] += integer;
            let upper = (integer + 64) >> 7;
            *high = (upper as i8).cast_unsigned();
            *low = ((integer - 128 * upper) as i8).cast_unsigned();
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Runs of bytes that a row fills; the last is padded with zeros.
    pub(crate) fn chunks(&self) -> usize {
        self.dim.div_ceil(BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_row_is_within_half_a_step() {
        let base = [1.0, -2.0, 0.5];
        let vectors = [[1.0, -2.0, 0.5], [3.0, -2.5, 0.25], [-100.0, 0.0, 7.0]];
        let mut codes = [0; 9];
        let mut scales = [0.0; 3];
        for (row, vector) in vectors.iter().enumerate() {
            scales[row] = Codes8::encode(vector, &base, &mut codes[row * 3..][..3]).unwrap();
        }
        let view = Codes8::new(&codes, &scales, &base).unwrap();
        for (row, vector) in vectors.iter().enumerate() {
            let mut out = [0.0; 3];
            view.decode(row, &mut out).unwrap();
            for (x, out) in vector.iter().zip(out) {
                assert!((x - out).abs() <= scales[row] * 0.5001, "{vector:?} {out}");
            }
        }
        assert!(view.decode(3, &mut [0.0; 3]).is_err());
        assert!(Codes8::new(&codes, &scales, &base[..2]).is_err());
        assert!(Codes8::new(&[], &[], &[]).is_err());
    }

    #[test]
    fn both_bytes_of_a_query_stay_within_their_range() {
        let query: Vec<f32> = (-400..400).map(|x| x as f32 / 7.0).collect();
        let made = Queries8::new(Queries::new(&query, 1, 800).unwrap(), 2.0);
        for (at, x) in query.iter().enumerate() {
            let (high, low) = (
                made.high[at / BYTES][at % BYTES],
                made.low[at / BYTES][at % BYTES],
            );
            let (high, low) = (high.cast_signed(), low.cast_signed());
            assert!(
                (-64..=64).contains(&high) && (-64..=63).contains(&low),
                "{high} {low}"
            );
            let integer = 128 * i32::from(high) + i32::from(low);
            assert!((integer as f32 * made.factors[0] - 2.0 * x).abs() <= 0.51 * made.factors[0]);
        }
    }
}
