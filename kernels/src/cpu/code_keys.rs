//! Codes of keys: the weights of tokens.
//!
//! Hot path: no allocation, no lock, no log.

use half::f16;

use super::exp::exp;
use super::lanes::{BYTES, Element, FOUR, LANES, Simd, Task, in_fours, load_first, prefetch_bytes};
use super::{BAND, TILE, Tile};
use crate::codes4::{Codes4, Queries4};
use crate::tensor::{ShapeError, expect_area, expect_equal};

/// Weights stop at `exp(40)`: a token that much above its reference is read exactly anyway, and squares
/// of weights stay finite.
const LARGEST_EXPONENT: f32 = 40.0;

/// Neighbouring rows of codes: the tokens of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first row.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Runs of tokens to be weighed: token `t` of a run gets `exp(c_r + q_r . k_t - m_r)` for each query row
/// `r`, with `c_r` the score of the run's centre, `k_t` what the codes say of the key beside that centre,
/// and `m_r` a reference.
#[derive(Clone, Copy, Debug)]
pub struct CodedKeys<'a> {
    /// Of the profile of the codes.
    pub queries: &'a Queries4,
    /// Of all tokens of a head.
    pub codes: Codes4<'a>,
    /// Which of them.
    pub runs: &'a [Run],
    /// `[runs, rows]`: scores of the centres.
    pub centres: &'a [f32],
    /// One a row.
    pub references: &'a [f32],
}

/// [`CodedKeys`] to be weighed.
#[derive(Debug)]
pub struct Weigh<'a> {
    keys: CodedKeys<'a>,
    weights: &'a mut [f32],
}

impl<'a> Weigh<'a> {
    /// Weights of the tokens of `keys`, to be written to `weights`: `[rows, tokens]`, the tokens of the runs
    /// in order.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, or a run ends after the last row.
    pub fn new(keys: CodedKeys<'a>, weights: &'a mut [f32]) -> Result<Self, ShapeError> {
        let rows = keys.queries.rows();
        expect_equal(
            "dimension of the codes",
            keys.codes.cols(),
            keys.queries.dim(),
        )?;
        expect_equal("number of references", keys.references.len(), rows)?;
        expect_area(
            "number of centres",
            keys.centres.len(),
            keys.runs.len(),
            rows,
        )?;
        let mut tokens = 0;
        for run in keys.runs {
            let end = run.first as usize + run.count as usize;
            if end > keys.codes.rows() {
                return Err(ShapeError {
                    what: "end of a run",
                    given: end,
                    expected: keys.codes.rows(),
                });
            }
            tokens += run.count as usize;
        }
        expect_area("number of weights", weights.len(), rows, tokens)?;
        Ok(Self { keys, weights })
    }
}

impl Task for Weigh<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.keys.queries.rows();
        let tokens = self.weights.len().checked_div(rows).unwrap_or(0);
        let mut tile: Tile = [[0.0; TILE]; BAND];
        let mut start = 0;
        for (index, run) in self.keys.runs.iter().enumerate() {
            self.keys.prefetch(simd, index + 2);
            let end = run.first as usize + run.count as usize;
            let mut first = run.first as usize;
            while first < end {
                let count = TILE.min(end - first);
                let mut row = 0;
                while row < rows {
                    let band = BAND.min(rows - row);
                    self.keys
                        .score(simd, first..first + count, (row, band), &mut tile);
                    for (r, scores) in tile[..band].iter().enumerate() {
                        let beside = self.keys.centres[index * rows + row + r]
                            - self.keys.references[row + r];
                        let of_row = &mut self.weights[(row + r) * tokens..][..tokens];
                        weigh_all(simd, scores, beside, count, &mut of_row[start..]);
                    }
                    row += band;
                }
                first += count;
                start += count;
            }
        }
    }
}

impl CodedKeys<'_> {
    /// Asks for the codes and scales of a run that comes soon.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, simd: S, run: usize) {
        let Some(run) = self.runs.get(run) else {
            return;
        };
        let (first, count) = (run.first as usize, run.count as usize);
        let bytes = Codes4::code_bytes(self.codes.cols());
        let codes = self.codes.codes().as_ptr().wrapping_add(first * bytes);
        prefetch_bytes(simd, codes, count * bytes);
        let scales = self.codes.scales().as_ptr().wrapping_add(first);
        prefetch_bytes(simd, scales.cast(), count * size_of::<f16>());
    }

    /// Products of a band of query rows with at most a tile of tokens.
    #[inline(always)]
    fn score<S: Simd>(
        &self,
        simd: S,
        tokens: std::ops::Range<usize>,
        (row, band): (usize, usize),
        tile: &mut Tile,
    ) {
        match band {
            1 => self.score_rows::<S, 1>(simd, tokens, row, tile),
            2 => self.score_rows::<S, 2>(simd, tokens, row, tile),
            3 => self.score_rows::<S, 3>(simd, tokens, row, tile),
            _ => self.score_rows::<S, BAND>(simd, tokens, row, tile),
        }
    }

    #[inline(always)]
    fn score_rows<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        tokens: std::ops::Range<usize>,
        row: usize,
        tile: &mut Tile,
    ) {
        let bytes = Codes4::code_bytes(self.codes.cols());
        let codes = &self.codes.codes()[tokens.start * bytes..tokens.end * bytes];
        let mut scales = [0.0; TILE];
        widen_scales(simd, &self.codes.scales()[tokens], &mut scales);
        let factors = simd.load(&in_fours(&self.queries.factors[row..row + ROWS]));
        let middles = simd.load(&in_fours(&self.queries.middles[row..row + ROWS]));
        let mut sums = [simd.no_ints(); LANES];
        for (four, codes) in codes.chunks(FOUR * bytes).enumerate() {
            if S::WIDE && codes.len() == FOUR * bytes {
                self.multiply::<S, ROWS, FOUR>(simd, row, codes, &mut sums, 0);
            } else {
                for (token, codes) in codes.chunks_exact(bytes).enumerate() {
                    self.multiply::<S, ROWS, 1>(simd, row, codes, &mut sums, token);
                }
            }
            let products = simd.sums_as_lanes(simd.sums_of_ints(&sums));
            let mut of_tokens = [0.0; LANES];
            for scales_of_row in of_tokens.as_chunks_mut::<FOUR>().0 {
                scales_of_row.copy_from_slice(&scales[FOUR * four..][..FOUR]);
            }
            let steps = simd.mul(factors, simd.load(&of_tokens));
            let mut scores = [0.0; LANES];
            simd.store(simd.mul(steps, simd.sub(products, middles)), &mut scores);
            for r in 0..ROWS {
                tile[r][FOUR * four..][..FOUR].copy_from_slice(&scores[FOUR * r..][..FOUR]);
            }
        }
    }

    /// Products of a band of query rows with neighbouring tokens, that of row `r` and the `t`-th of them to place
    /// `4 r + t` from `first` on.
    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize, const TOKENS: usize>(
        &self,
        simd: S,
        row: usize,
        codes: &[u8],
        sums: &mut [S::Ints; LANES],
        first: usize,
    ) {
        let bytes = codes.len() / TOKENS;
        let mut of_rows = [[simd.no_ints(); TOKENS]; ROWS];
        for chunk in 0..bytes.div_ceil(BYTES) {
            let mut low = [simd.no_bytes(); TOKENS];
            let mut high = low;
            for t in 0..TOKENS {
                let codes = load_first(simd, &codes[t * bytes + chunk * BYTES..(t + 1) * bytes]);
                (low[t], high[t]) = (simd.low_nibbles(codes), simd.high_nibbles(codes));
            }
            for (r, of_row) in of_rows.iter_mut().enumerate() {
                let at = (row + r) * self.queries.chunks() + chunk;
                let query = simd.load_bytes(&self.queries.low[at]);
                for (sum, low) in of_row.iter_mut().zip(low) {
                    *sum = simd.add_products(*sum, low, query);
                }
                let query = simd.load_bytes(&self.queries.high[at]);
                for (sum, high) in of_row.iter_mut().zip(high) {
                    *sum = simd.add_products(*sum, high, query);
                }
            }
        }
        for (r, of_row) in of_rows.iter().enumerate() {
            sums[FOUR * r + first..][..TOKENS].copy_from_slice(of_row);
        }
    }
}

/// `exp(score + beside)` of the first `count` scores. What is written past them is of the next tokens, and written again.
#[inline(always)]
fn weigh_all<S: Simd>(simd: S, scores: &[f32; TILE], beside: f32, count: usize, to: &mut [f32]) {
    let (vectors, _) = scores.as_chunks::<LANES>();
    let (beside, most) = (simd.splat(beside), simd.splat(LARGEST_EXPONENT));
    for (at, vector) in vectors[..count.div_ceil(LANES)].iter().enumerate() {
        let score = simd.add(simd.load(vector), beside);
        let weights = exp(simd, simd.min(score, most));
        let to = &mut to[at * LANES..];
        let room = to.len().min(LANES);
        simd.store_first(weights, &mut to[..room]);
    }
}
/// Scales as lanes.
#[inline(always)]
pub(super) fn widen_scales<S: Simd>(simd: S, from: &[f16], to: &mut [f32; TILE]) {
    let (to, _) = to.as_chunks_mut::<LANES>();
    let (whole, rest) = from.as_chunks::<LANES>();
    for (from, to) in whole.iter().zip(to.iter_mut()) {
        simd.store(simd.load_f16(from), to);
    }
    if !rest.is_empty() {
        simd.store(f16::load_first(simd, rest), &mut to[whole.len()]);
    }
}
