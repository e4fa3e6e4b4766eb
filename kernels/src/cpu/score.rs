//! Scores of a few query rows over the rows of a tile: what exact attention and k-means begin with.
//!
//! Hot path: no allocation, no lock, no log.

use std::ops::Range;

use super::lanes::{Element, LANES, Simd, prefetch_next};
use super::{TILE, Tile};
use crate::tensor::{Elements, Matrix, Queries};

/// A way to score tokens.
pub(super) trait Score {
    /// Writes the scores of a band of query rows over a tile of tokens. `#[inline(always)]`.
    fn score<S: Simd>(&self, simd: S, rows: Range<usize>, tokens: Range<usize>, to: &mut Tile);
}

/// Scores by products of `f32`, whatever the keys are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Products<'a> {
    pub(super) queries: Queries<'a>,
    pub(super) keys: Matrix<'a>,
    pub(super) scale: f32,
}

impl Score for Products<'_> {
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, rows: Range<usize>, tokens: Range<usize>, to: &mut Tile) {
        let dim = self.keys.cols();
        let band = self.queries.band(rows);
        let within = tokens.start * dim..tokens.end * dim;
        match self.keys.elements() {
            Elements::Bf16(keys) => score_rows(simd, band, &keys[within], self.scale, to),
            Elements::F16(keys) => score_rows(simd, band, &keys[within], self.scale, to),
            Elements::F32(keys) => score_rows(simd, band, &keys[within], self.scale, to),
        }
    }
}

#[inline(always)]
fn score_rows<S: Simd, E: Element>(
    simd: S,
    band: Queries<'_>,
    rows: &[E],
    scale: f32,
    scores: &mut Tile,
) {
    match band.rows() {
        0 => {}
        1 => score_one(simd, band.row(0), rows, scale, &mut scores[0]),
        2 => score_band::<S, E, 2>(simd, [band.row(0), band.row(1)], rows, scale, scores),
        3 => {
            let queries = [band.row(0), band.row(1), band.row(2)];
            score_band::<S, E, 3>(simd, queries, rows, scale, scores);
        }
        _ => {
            let queries = [band.row(0), band.row(1), band.row(2), band.row(3)];
            score_band::<S, E, 4>(simd, queries, rows, scale, scores);
        }
    }
}

/// One query row: four tokens at a time, so that their sums are taken together.
#[inline(always)]
fn score_one<S: Simd, E: Element>(
    simd: S,
    query: &[f32],
    rows: &[E],
    scale: f32,
    scores: &mut [f32; TILE],
) {
    let dim = query.len();
    let quads = rows.chunks_exact(4 * dim);
    let rest = quads.remainder();
    let whole = (rows.len() - rest.len()) / dim;
    for (four, to) in quads.zip(scores.as_chunks_mut::<4>().0) {
        prefetch_next(simd, four, TILE * dim);
        let [dots] = dots::<S, E, 1, 4>(simd, [query], four);
        let sums = simd.sums(dots);
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = sum * scale;
        }
    }
    for (row, to) in rest.chunks_exact(dim).zip(&mut scores[whole..]) {
        let [[dot]] = dots::<S, E, 1, 1>(simd, [query], row);
        *to = simd.sums([dot; 4])[0] * scale;
    }
}

/// A few query rows: their sums for one token are taken together.
#[inline(always)]
fn score_band<S: Simd, E: Element, const ROWS: usize>(
    simd: S,
    queries: [&[f32]; ROWS],
    rows: &[E],
    scale: f32,
    scores: &mut Tile,
) {
    let dim = queries[0].len();
    let mut token = 0;
    if S::WIDE {
        for four in rows.chunks_exact(4 * dim) {
            prefetch_next(simd, four, TILE * dim);
            let dots = dots::<S, E, ROWS, 4>(simd, queries, four);
            put_four(simd, dots, scale, token, scores);
            token += 4;
        }
    }
    for row in rows[token * dim..].chunks_exact(dim) {
        prefetch_next(simd, row, TILE * dim);
        let dots = dots::<S, E, ROWS, 1>(simd, queries, row);
        put(simd, dots, scale, token, scores);
        token += 1;
    }
}

/// Sums the lanes of dot products and writes them as the scores of tokens `token..token + 4`.
#[inline(always)]
fn put_four<S: Simd, const ROWS: usize>(
    simd: S,
    dots: [[S::Lanes; 4]; ROWS],
    scale: f32,
    token: usize,
    scores: &mut Tile,
) {
    let mut lanes = [dots[0][0]; LANES];
    for r in 0..ROWS {
        for t in 0..4 {
            lanes[4 * r + t] = dots[r][t];
        }
    }
    let sums = simd.mul(simd.sums_of_all(&lanes), simd.splat(scale));
    let mut all = [0.0; LANES];
    simd.store(sums, &mut all);
    for r in 0..ROWS {
        scores[r][token..token + 4].copy_from_slice(&all[4 * r..][..4]);
    }
}

/// Sums the lanes of dot products and writes them as the scores of tokens `token..`.
#[inline(always)]
fn put<S: Simd, const ROWS: usize, const TOKENS: usize>(
    simd: S,
    dots: [[S::Lanes; TOKENS]; ROWS],
    scale: f32,
    token: usize,
    scores: &mut Tile,
) {
    for t in 0..TOKENS {
        let mut lanes = [dots[0][t]; 4];
        for r in 1..ROWS {
            lanes[r] = dots[r][t];
        }
        let sums = simd.sums(lanes);
        for r in 0..ROWS {
            scores[r][token + t] = sums[r] * scale;
        }
    }
}

/// Products of some query rows with some tokens, summed to lanes.
#[inline(always)]
fn dots<S: Simd, E: Element, const ROWS: usize, const TOKENS: usize>(
    simd: S,
    queries: [&[f32]; ROWS],
    tokens: &[E],
) -> [[S::Lanes; TOKENS]; ROWS] {
    let dim = queries[0].len();
    let mut sums = [[simd.splat(0.0); TOKENS]; ROWS];
    let whole = dim / LANES;
    // Slices of a known length: a check within the loop would keep the sums in memory.
    let mut chunks_of_queries = [&[] as &[[f32; LANES]]; ROWS];
    for r in 0..ROWS {
        chunks_of_queries[r] = &queries[r].as_chunks().0[..whole];
    }
    let mut chunks_of_tokens = [&[] as &[[E; LANES]]; TOKENS];
    for t in 0..TOKENS {
        chunks_of_tokens[t] = &tokens[t * dim..].as_chunks().0[..whole];
    }
    for vector in 0..whole {
        let mut keys = [simd.splat(0.0); TOKENS];
        for t in 0..TOKENS {
            keys[t] = E::load(simd, &chunks_of_tokens[t][vector]);
        }
        for r in 0..ROWS {
            let query = simd.load(&chunks_of_queries[r][vector]);
            for t in 0..TOKENS {
                sums[r][t] = simd.mul_add(query, keys[t], sums[r][t]);
            }
        }
    }
    let at = whole * LANES;
    if at < dim {
        for r in 0..ROWS {
            let query = f32::load_first(simd, &queries[r][at..]);
            for t in 0..TOKENS {
                let key = E::load_first(simd, &tokens[t * dim + at..(t + 1) * dim]);
                sums[r][t] = simd.mul_add(query, key, sums[r][t]);
            }
        }
    }
    sums
}
