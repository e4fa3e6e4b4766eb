//! Codes of values: the sum of what values are beside the mean of their cluster.
//!
//! Weights are rounded to a byte, of which the largest of a tile is 255, so that four tokens take one product of integers.
//! What that adds to the error is a twentieth of what the codes are off by themselves, even where one token of a tile has all
//! the weight: half of a 255th of it for each of the others, where its own code is off by a tenth.
//!
//! Hot path: no allocation, no lock, no log.

use half::f16;

use super::code_keys::widen_scales;
use super::lanes::{
    BYTES, Element as _, FOUR, LANES, Simd, Task, largest, load_first, prefetch_bytes,
};
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::codes4::{Codes4, MIDDLE};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// The largest weight of a tile as an integer.
const LARGEST_WEIGHT: f32 = 255.0;

/// What the values of some tokens are beside the means of their clusters, to be added to an accumulator
/// that has the tokens' mass and those means already.
#[derive(Clone, Copy, Debug)]
pub struct CodedValues<'a> {
    /// Of all tokens of a head.
    pub codes: Codes4<'a>,
    /// Rows of the tokens.
    pub tokens: &'a [u32],
    /// `[rows, tokens]`, relative to the references.
    pub weights: &'a [f32],
    /// One a row: a weight of 1 is a mass of `exp(reference)`.
    pub references: &'a [f32],
}

/// [`CodedValues`] to be added.
#[derive(Debug)]
pub struct AddValues<'a> {
    values: CodedValues<'a>,
    acc: &'a mut Accumulator,
}

impl<'a> AddValues<'a> {
    /// The sums of `values`, to be added to `acc`. Their mass is not: it must be there, so that no weight
    /// is larger than what the accumulator is relative to.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, or there is no such token.
    pub fn new(values: CodedValues<'a>, acc: &'a mut Accumulator) -> Result<Self, ShapeError> {
        let rows = acc.rows();
        expect_equal(
            "dimension of the codes",
            values.codes.cols(),
            acc.value_dim(),
        )?;
        expect_equal("number of references", values.references.len(), rows)?;
        expect_area(
            "number of weights",
            values.weights.len(),
            rows,
            values.tokens.len(),
        )?;
        let last = values.tokens.iter().copied().max().unwrap_or(0) as usize;
        if !values.tokens.is_empty() && last >= values.codes.rows() {
            return Err(ShapeError {
                what: "row of a token",
                given: last,
                expected: values.codes.rows(),
            });
        }
        Ok(Self { values, acc })
    }
}

impl Task for AddValues<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { values, acc } = self;
        let mut row = 0;
        while row < acc.rows() {
            match acc.rows() - row {
                1 => add_band::<S, 1>(simd, &values, acc, row),
                2 => add_band::<S, 2>(simd, &values, acc, row),
                3 => add_band::<S, 3>(simd, &values, acc, row),
                _ => add_band::<S, BAND>(simd, &values, acc, row),
            }
            row += BAND;
        }
    }
}

/// All tokens, for a band of rows from `row` on.
#[inline(always)]
fn add_band<S: Simd, const ROWS: usize>(
    simd: S,
    values: &CodedValues<'_>,
    acc: &mut Accumulator,
    row: usize,
) {
    let count = values.tokens.len();
    // An empty accumulator is relative to nothing: there can be no tokens either.
    let mut factors = [0.0; ROWS];
    for (r, factor) in factors.iter_mut().enumerate() {
        *factor = (values.references[row + r] - acc.max[row + r]).exp();
    }
    let mut tile: Tile = [[0.0; TILE]; BAND];
    let mut start = 0;
    for tokens in values.tokens.chunks(TILE) {
        let scales = scales_of(simd, values.codes, tokens);
        for r in 0..ROWS {
            let from = &values.weights[(row + r) * count + start..][..tokens.len()];
            let to = tile[r].iter_mut().zip(from.iter().zip(&scales));
            for (to, (weight, scale)) in to {
                *to = weight * factors[r] * scale;
            }
            tile[r][tokens.len()..].fill(0.0);
        }
        start += tokens.len();
        if row == 0 {
            let next = &values.tokens[start..];
            Tokens::prefetch(simd, values.codes, &next[..next.len().min(TILE)]);
        }
        let tokens = Tokens::new(values.codes, tokens);
        Weights::<ROWS>::new(simd, &tile).add(simd, &tokens, acc, row);
    }
}

/// The scales of a tile of tokens.
#[inline(always)]
fn scales_of<S: Simd>(simd: S, codes: Codes4<'_>, tokens: &[u32]) -> [f32; TILE] {
    let mut picked = [f16::ZERO; TILE];
    for (to, token) in picked.iter_mut().zip(tokens) {
        *to = codes.scales()[*token as usize];
    }
    let mut scales = [0.0; TILE];
    widen_scales(simd, &picked, &mut scales);
    scales
}

/// Weights of a tile of tokens as integers: one stands for a step, zero where there is no token.
struct Weights<const ROWS: usize> {
    integers: [[[u8; FOUR]; TILE / FOUR]; ROWS],
    steps: [f32; ROWS],
    /// [`MIDDLE`] times the sum of the integers.
    middles: [f32; ROWS],
}

impl<const ROWS: usize> Weights<ROWS> {
    #[inline(always)]
    fn new<S: Simd>(simd: S, tile: &Tile) -> Self {
        let mut made = Self {
            integers: [[[0; FOUR]; TILE / FOUR]; ROWS],
            steps: [0.0; ROWS],
            middles: [0.0; ROWS],
        };
        for (r, weights) in tile[..ROWS].iter().enumerate() {
            let largest = largest(simd, weights);
            let inverse = if largest > 0.0 {
                LARGEST_WEIGHT / largest
            } else {
                0.0
            };
            let mut sum = 0;
            let integers = made.integers[r].as_flattened_mut();
            for (to, weight) in integers.iter_mut().zip(weights) {
                *to = (weight * inverse + 0.5) as u8;
                sum += u32::from(*to);
            }
            made.steps[r] = largest / LARGEST_WEIGHT;
            made.middles[r] = MIDDLE * sum as f32;
        }
        made
    }

    /// Adds the tile of some tokens to rows of `acc` from `row` on, a vector of bytes of each after the other.
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, tokens: &Tokens<'_>, acc: &mut Accumulator, row: usize) {
        let bytes = Codes4::code_bytes(tokens.codes.cols());
        let mut quads = [[simd.no_bytes(); FOUR]; TILE / FOUR];
        for first in (0..bytes).step_by(BYTES) {
            tokens.interleave(simd, first, &mut quads);
            let quads = &quads[..tokens.count.div_ceil(FOUR)];
            let mut r = 0;
            // As many rows as there are registers for their sums.
            let at_once = if S::WIDE { ROWS } else { ROWS.min(2) };
            while r < ROWS {
                let to = (r, first);
                match at_once.min(ROWS - r) {
                    1 => self.add_some::<S, 1>(simd, quads, to, tokens.codes, acc, row),
                    2 => self.add_some::<S, 2>(simd, quads, to, tokens.codes, acc, row),
                    3 => self.add_some::<S, 3>(simd, quads, to, tokens.codes, acc, row),
                    _ => self.add_some::<S, BAND>(simd, quads, to, tokens.codes, acc, row),
                }
                r += at_once;
            }
        }
    }

    /// Some rows from the `from`-th on: both halves of the bytes from `first` on.
    #[inline(always)]
    fn add_some<S: Simd, const SOME: usize>(
        &self,
        simd: S,
        quads: &[[S::Bytes; FOUR]],
        (from, first): (usize, usize),
        codes: Codes4<'_>,
        acc: &mut Accumulator,
        row: usize,
    ) {
        let bytes = Codes4::code_bytes(codes.cols());
        for half in 0..2 {
            let mut sums = [simd.no_columns(); SOME];
            for (four, quads) in quads.iter().enumerate() {
                let mut halves = *quads;
                for bytes in &mut halves {
                    *bytes = if half == 0 {
                        simd.low_nibbles(*bytes)
                    } else {
                        simd.high_nibbles(*bytes)
                    };
                }
                for (sums, integers) in sums.iter_mut().zip(&self.integers[from..]) {
                    *sums = simd.add_quads(*sums, halves, integers[four]);
                }
            }
            for (s, sums) in sums.into_iter().enumerate() {
                let r = from + s;
                let [low, high] = simd.in_order(sums);
                let at = (half * bytes + first) / LANES;
                self.put(simd, low, (r, at), codes, acc, row);
                if first + LANES < bytes {
                    self.put(simd, high, (r, at + 1), codes, acc, row);
                }
            }
        }
    }

    /// Adds sixteen sums of row `r` as its vector `at`.
    #[inline(always)]
    fn put<S: Simd>(
        &self,
        simd: S,
        sums: S::Sums,
        (r, at): (usize, usize),
        codes: Codes4<'_>,
        acc: &mut Accumulator,
        row: usize,
    ) {
        let per_row = acc.vectors();
        if at >= per_row {
            return;
        }
        let beside = simd.sub(simd.sums_as_lanes(sums), simd.splat(self.middles[r]));
        let profile = f32::load_first(simd, &codes.profile()[at * LANES..]);
        let to = &mut acc.out[(row + r) * per_row + at];
        let step = simd.mul(profile, simd.splat(self.steps[r]));
        simd.store(simd.mul_add(step, beside, simd.load(to)), to);
    }
}

/// A tile of tokens.
struct Tokens<'a> {
    codes: Codes4<'a>,
    /// Where the codes of each begin: those of the first in place of tokens that are not there, which have no weight.
    starts: [usize; TILE],
    count: usize,
}

impl<'a> Tokens<'a> {
    #[inline(always)]
    fn new(codes: Codes4<'a>, tokens: &[u32]) -> Self {
        let bytes = Codes4::code_bytes(codes.cols());
        let first = tokens.first().map_or(0, |token| *token as usize * bytes);
        let mut starts = [first; TILE];
        for (start, token) in starts.iter_mut().zip(tokens) {
            *start = *token as usize * bytes;
        }
        Self {
            codes,
            starts,
            count: tokens.len(),
        }
    }

    /// Asks for the codes of some tokens.
    #[inline(always)]
    fn prefetch<S: Simd>(simd: S, codes: Codes4<'_>, tokens: &[u32]) {
        let bytes = Codes4::code_bytes(codes.cols());
        for token in tokens {
            let at = codes.codes().as_ptr().wrapping_add(*token as usize * bytes);
            prefetch_bytes(simd, at, bytes);
        }
    }

    /// A vector of bytes of each from its `first` byte on, four tokens side by side.
    #[inline(always)]
    fn interleave<S: Simd>(&self, simd: S, first: usize, to: &mut [[S::Bytes; FOUR]; TILE / FOUR]) {
        let codes = self.codes.codes();
        let count = BYTES.min(Codes4::code_bytes(self.codes.cols()) - first);
        let starts = self.starts.as_chunks::<FOUR>().0;
        let fours = starts.iter().take(self.count.div_ceil(FOUR));
        for (to, starts) in to.iter_mut().zip(fours) {
            let mut vectors = [simd.no_bytes(); FOUR];
            for (vector, start) in vectors.iter_mut().zip(starts) {
                *vector = load_first(simd, &codes[start + first..][..count]);
            }
            *to = simd.interleave(vectors);
        }
    }
}
