//! Codes of keys and values: the weights of tokens, and the sum of what their values are beside the mean
//! of their cluster.
//!
//! Hot path: no allocation, no lock, no log.

use half::f16;

use super::exp::exp;
use super::lanes::{BYTES, Element, LANES, Simd, Task, prefetch_bytes};
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::codes4::{Codes4, MIDDLE, Queries4};
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
        let CodedKeys { queries, runs, .. } = self.keys;
        let rows = queries.rows();
        let tokens = self.weights.len().checked_div(rows).unwrap_or(0);
        let mut tile: Tile = [[0.0; TILE]; BAND];
        let mut start = 0;
        for (index, run) in runs.iter().enumerate() {
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
                    for (r, scores) in tile[..band].iter_mut().enumerate() {
                        let beside = self.keys.centres[index * rows + row + r]
                            - self.keys.references[row + r];
                        weigh_all(simd, scores, beside, count);
                        let to = &mut self.weights[(row + r) * tokens + start..][..count];
                        to.copy_from_slice(&scores[..count]);
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
        for (token, codes) in codes.chunks_exact(bytes).enumerate() {
            let mut sums = [simd.no_ints(); BAND];
            let (whole, rest) = codes.as_chunks::<BYTES>();
            for (chunk, bytes) in whole.iter().enumerate() {
                self.add::<S, ROWS>(simd, (row, chunk), bytes, &mut sums);
            }
            if !rest.is_empty() {
                let mut padded = [0; BYTES];
                padded[..rest.len()].copy_from_slice(rest);
                self.add::<S, ROWS>(simd, (row, whole.len()), &padded, &mut sums);
            }
            let products = simd.sum_ints(sums);
            for r in 0..ROWS {
                let beside = products[r] as f32 - self.queries.middles[row + r];
                tile[r][token] = self.queries.factors[row + r] * scales[token] * beside;
            }
        }
    }

    #[inline(always)]
    fn add<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        (row, chunk): (usize, usize),
        codes: &[u8; BYTES],
        sums: &mut [S::Ints; BAND],
    ) {
        let codes = simd.load_bytes(codes);
        let (low, high) = (simd.low_nibbles(codes), simd.high_nibbles(codes));
        for (r, sum) in sums[..ROWS].iter_mut().enumerate() {
            let at = (row + r) * self.queries.chunks() + chunk;
            let query = simd.load_bytes(&self.queries.low[at]);
            *sum = simd.add_products(*sum, low, query);
            let query = simd.load_bytes(&self.queries.high[at]);
            *sum = simd.add_products(*sum, high, query);
        }
    }
}

/// `exp(score + beside)` of the first `count` scores.
#[inline(always)]
fn weigh_all<S: Simd>(simd: S, scores: &mut [f32; TILE], beside: f32, count: usize) {
    let (vectors, _) = scores.as_chunks_mut::<LANES>();
    let (beside, most) = (simd.splat(beside), simd.splat(LARGEST_EXPONENT));
    for vector in &mut vectors[..count.div_ceil(LANES)] {
        let score = simd.add(simd.load(vector), beside);
        simd.store(exp(simd, simd.min(score, most)), vector);
    }
}

#[inline(always)]
fn widen_scales<S: Simd>(simd: S, from: &[f16], to: &mut [f32; TILE]) {
    let (to, _) = to.as_chunks_mut::<LANES>();
    let (whole, rest) = from.as_chunks::<LANES>();
    for (from, to) in whole.iter().zip(to.iter_mut()) {
        simd.store(simd.load_f16(from), to);
    }
    if !rest.is_empty() {
        simd.store(f16::load_first(simd, rest), &mut to[whole.len()]);
    }
}

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
        let count = values.tokens.len();
        let mut tile: Tile = [[0.0; TILE]; BAND];
        let mut start = 0;
        for tokens in values.tokens.chunks(TILE) {
            let mut row = 0;
            while row < acc.rows() {
                let band = BAND.min(acc.rows() - row);
                for (r, to) in tile[..band].iter_mut().enumerate() {
                    let from = &values.weights[(row + r) * count + start..][..tokens.len()];
                    // An empty accumulator is relative to nothing: there can be no tokens either.
                    let factor = (values.references[row + r] - acc.max[row + r]).exp();
                    for ((to, weight), token) in to.iter_mut().zip(from).zip(tokens) {
                        *to = weight * factor * values.codes.scales()[*token as usize].to_f32();
                    }
                }
                match band {
                    1 => add_rows::<S, 1>(simd, &values, tokens, &tile, acc, row),
                    2 => add_rows::<S, 2>(simd, &values, tokens, &tile, acc, row),
                    3 => add_rows::<S, 3>(simd, &values, tokens, &tile, acc, row),
                    _ => add_rows::<S, BAND>(simd, &values, tokens, &tile, acc, row),
                }
                row += band;
            }
            start += tokens.len();
        }
    }
}

#[inline(always)]
fn add_rows<S: Simd, const ROWS: usize>(
    simd: S,
    values: &CodedValues<'_>,
    tokens: &[u32],
    weights: &Tile,
    acc: &mut Accumulator,
    row: usize,
) {
    let vectors = Codes4::code_bytes(values.codes.cols()) / LANES;
    let mut vector = 0;
    if S::WIDE {
        while vector + 2 <= vectors {
            add_vectors::<S, ROWS, 2>(simd, values, tokens, weights, acc, [row, vector]);
            vector += 2;
        }
    }
    while vector < vectors {
        add_vectors::<S, ROWS, 1>(simd, values, tokens, weights, acc, [row, vector]);
        vector += 1;
    }
}

/// Some vectors of codes of all tokens, each of which is two vectors of values, into sums that stay in registers.
#[inline(always)]
fn add_vectors<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    values: &CodedValues<'_>,
    tokens: &[u32],
    weights: &Tile,
    acc: &mut Accumulator,
    [row, vector]: [usize; 2],
) {
    const AHEAD: usize = 4;
    let bytes = Codes4::code_bytes(values.codes.cols());
    let codes = values.codes.codes();
    let middle = simd.splat(MIDDLE);
    let mut sums = [[[simd.splat(0.0); 2]; VECTORS]; ROWS];
    for (token, at) in tokens.iter().enumerate() {
        if let Some(next) = tokens.get(token + AHEAD) {
            let next = codes
                .as_ptr()
                .wrapping_add(*next as usize * bytes + vector * LANES);
            prefetch_bytes(simd, next, VECTORS * LANES);
        }
        let codes = &codes[*at as usize * bytes + vector * LANES..];
        let (chunks, _) = codes[..VECTORS * LANES].as_chunks::<LANES>();
        let mut lanes = [[middle; 2]; VECTORS];
        for v in 0..VECTORS {
            let [low, high] = simd.load_nibbles(&chunks[v]);
            lanes[v] = [simd.sub(low, middle), simd.sub(high, middle)];
        }
        for (sums, weights) in sums.iter_mut().zip(weights) {
            let weight = simd.splat(weights[token]);
            for v in 0..VECTORS {
                sums[v][0] = simd.mul_add(weight, lanes[v][0], sums[v][0]);
                sums[v][1] = simd.mul_add(weight, lanes[v][1], sums[v][1]);
            }
        }
    }
    let per_row = acc.vectors();
    for v in 0..VECTORS {
        for half in 0..2 {
            let at = vector + v + half * bytes / LANES;
            if at >= per_row {
                continue;
            }
            let profile = &values.codes.profile()[at * LANES..];
            let profile = f32::load_first(simd, profile);
            for (r, sums) in sums.iter().enumerate() {
                let to = &mut acc.out[(row + r) * per_row + at];
                let sum = simd.mul_add(profile, sums[v][half], simd.load(to));
                simd.store(sum, to);
            }
        }
    }
}
