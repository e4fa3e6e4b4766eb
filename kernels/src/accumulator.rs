//! The softmax state of several query rows, between one set of tokens and the next.
//!
//! A row holds the largest score `m` it has seen, `sum exp(s - m)` and `sum exp(s - m) v`: the state
//! of the online softmax (Milakov and Gimelshein, arXiv 1805.02867). Two states over disjoint tokens
//! merge exactly, so this is also the form in which partials of zones, tiers and devices meet.

use half::bf16;

use crate::cpu::{LANES, PAIRS};
use crate::tensor::{ShapeError, expect_equal};

/// Softmax states of some query rows. Made once, then reset and used again.
#[derive(Clone, Debug)]
pub struct Accumulator {
    rows: usize,
    value_dim: usize,
    /// The largest score of each row; minus infinity before the first.
    pub(crate) max: Vec<f32>,
    /// The sum of `exp(score - max)` of each row.
    pub(crate) sum: Vec<f32>,
    /// The weighted sum of values, not normalised; each row fills whole vectors, the rest is zero.
    pub(crate) out: Vec<[f32; LANES]>,
    /// Room for the queries of one call in `bf16`.
    pub(crate) queries: Vec<[bf16; PAIRS]>,
}

impl Accumulator {
    /// Empty states of `rows` query rows.
    pub fn new(rows: usize, value_dim: usize) -> Self {
        Self {
            rows,
            value_dim,
            max: vec![f32::NEG_INFINITY; rows],
            sum: vec![0.0; rows],
            out: vec![[0.0; LANES]; rows * value_dim.div_ceil(LANES)],
            queries: Vec::new(),
        }
    }

    /// Number of query rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a value.
    pub fn value_dim(&self) -> usize {
        self.value_dim
    }

    /// Vectors that one row of `out` takes.
    pub(crate) fn vectors(&self) -> usize {
        self.value_dim.div_ceil(LANES)
    }

    /// Forgets every token.
    pub fn reset(&mut self) {
        self.max.fill(f32::NEG_INFINITY);
        self.sum.fill(0.0);
        self.out.fill([0.0; LANES]);
    }

    /// Adds the tokens of `other`, which must be disjoint from those seen here.
    ///
    /// # Errors
    /// Where `other` has another shape.
    pub fn merge(&mut self, other: &Self) -> Result<(), ShapeError> {
        expect_equal("rows of the other accumulator", other.rows, self.rows)?;
        expect_equal(
            "value dimension of the other accumulator",
            other.value_dim,
            self.value_dim,
        )?;
        let vectors = self.vectors();
        for row in 0..self.rows {
            let max = self.max[row].max(other.max[row]);
            if max == f32::NEG_INFINITY {
                continue;
            }
            let (ours, theirs) = ((self.max[row] - max).exp(), (other.max[row] - max).exp());
            self.max[row] = max;
            self.sum[row] = self.sum[row] * ours + other.sum[row] * theirs;
            let within = row * vectors..(row + 1) * vectors;
            let (into, from) = (&mut self.out[within.clone()], &other.out[within]);
            for (x, y) in into.as_flattened_mut().iter_mut().zip(from.as_flattened()) {
                *x = *x * ours + *y * theirs;
            }
        }
        Ok(())
    }

    /// Log-sum-exp of the scores of a row; minus infinity for a row that saw no token.
    pub fn log_sum(&self, row: usize) -> f32 {
        match (self.max.get(row), self.sum.get(row)) {
            (Some(max), Some(sum)) if *sum > 0.0 => max + sum.ln(),
            _ => f32::NEG_INFINITY,
        }
    }

    /// Writes the normalised output of a row and returns its log-sum-exp. A row that saw no token
    /// writes zeros and returns minus infinity: the partial that changes nothing when merged.
    ///
    /// # Errors
    /// Where there is no such row, or `out` is not as long as a value.
    pub fn write_row(&self, row: usize, out: &mut [f32]) -> Result<f32, ShapeError> {
        expect_equal("length of the output", out.len(), self.value_dim)?;
        let Some(sum) = self.sum.get(row) else {
            return Err(ShapeError {
                what: "row",
                given: row,
                expected: self.rows,
            });
        };
        let inverse = if *sum > 0.0 { sum.recip() } else { 0.0 };
        let state = self.out[row * self.vectors()..].as_flattened();
        for (to, from) in out.iter_mut().zip(state) {
            *to = from * inverse;
        }
        Ok(self.log_sum(row))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    /// One row that saw one token of score `score` and value `[value; dim]`.
    fn one_token(score: f32, value: f32, dim: usize) -> Accumulator {
        let mut state = Accumulator::new(1, dim);
        state.max[0] = score;
        state.sum[0] = 1.0;
        state.out.as_flattened_mut()[..dim].fill(value);
        state
    }

    #[test]
    fn an_empty_row_is_zeros_and_minus_infinity() {
        let mut out = [f32::NAN; 17];
        let lse = Accumulator::new(2, 17).write_row(1, &mut out).unwrap();
        assert_eq!((out, lse), ([0.0; 17], f32::NEG_INFINITY));
    }

    #[test]
    fn merging_an_empty_state_changes_nothing_either_way() {
        let token = one_token(-3.0, 2.0, 17);
        let mut left = token.clone();
        left.merge(&Accumulator::new(1, 17)).unwrap();
        let mut right = Accumulator::new(1, 17);
        right.merge(&token).unwrap();
        for state in [left, right] {
            let mut out = [0.0; 17];
            assert_eq!(state.write_row(0, &mut out).unwrap(), -3.0);
            assert_eq!(out, [2.0; 17]);
        }
    }

    #[test]
    fn equal_scores_merge_to_the_mean() {
        let mut state = one_token(100.0, 1.0, 3);
        state.merge(&one_token(100.0, 3.0, 3)).unwrap();
        let mut out = [0.0; 3];
        let lse = state.write_row(0, &mut out).unwrap();
        assert_eq!(out, [2.0; 3]);
        assert!((lse - (100.0 + 2.0_f32.ln())).abs() < 1e-5);
    }

    #[test]
    fn a_reset_state_is_a_new_one() {
        let mut state = one_token(1.0, 1.0, 20);
        state.reset();
        assert_eq!(state.log_sum(0), f32::NEG_INFINITY);
        assert!(state.out.iter().all(|vector| *vector == [0.0; LANES]));
    }

    #[test]
    fn another_shape_is_refused() {
        let mut state = Accumulator::new(2, 8);
        assert!(state.merge(&Accumulator::new(1, 8)).is_err());
        assert!(state.merge(&Accumulator::new(2, 9)).is_err());
        assert!(state.write_row(2, &mut [0.0; 8]).is_err());
        assert!(state.write_row(1, &mut [0.0; 9]).is_err());
    }
}
