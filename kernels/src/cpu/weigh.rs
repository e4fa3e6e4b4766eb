//! Scores to softmax weights, and values summed by these weights: what `attend` and `estimate`
//! share.
//!
//! Hot path: no allocation, no lock, no log.

use super::exp::exp;
use super::lanes::{Element, LANES, Simd, prefetch_next};
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::tensor::{Elements, Matrix};

/// Adds a tile of entries to a band of rows of `acc`, starting at `row`: their `scores` are log
/// masses (minus infinity where a row does not have the entry) and become weights on the way.
#[inline(always)]
pub(super) fn add_tile<S: Simd>(
    simd: S,
    scores: &mut Tile,
    rows: usize,
    values: Matrix<'_>,
    acc: &mut Accumulator,
    row: usize,
) {
    let mut factors = [1.0; BAND];
    for r in 0..rows {
        scores[r][values.rows()..].fill(f32::NEG_INFINITY);
        (factors[r], _) = weigh(
            simd,
            &mut scores[r],
            &mut acc.max[row + r],
            &mut acc.sum[row + r],
        );
    }
    let vectors = acc.vectors();
    let out = &mut acc.out[row * vectors..(row + rows) * vectors];
    let weights = Weights {
        tile: scores,
        factors,
        rows,
    };
    match values.elements() {
        Elements::Bf16(from) => add_values(simd, &weights, from, values.cols(), out),
        Elements::F16(from) => add_values(simd, &weights, from, values.cols(), out),
        Elements::F32(from) => add_values(simd, &weights, from, values.cols(), out),
    }
}

/// What a band of rows multiplies values, and what it has summed so far, with.
struct Weights<'a> {
    tile: &'a Tile,
    factors: [f32; BAND],
    rows: usize,
}

/// Turns the scores of one row into weights relative to the largest score so far and adds them to
/// `sum`. Returns the factor that makes older sums relative to it too, and the sum of the new weights.
#[inline(always)]
pub(super) fn weigh<S: Simd>(
    simd: S,
    scores: &mut [f32; TILE],
    max: &mut f32,
    sum: &mut f32,
) -> (f32, f32) {
    let (vectors, _) = scores.as_chunks_mut::<LANES>();
    let mut largest = simd.splat(*max);
    for vector in vectors.iter() {
        largest = simd.max(largest, simd.load(vector));
    }
    let new_max = simd.largest(largest);
    // Nothing seen yet: any finite reference makes the weight of minus infinity zero, not NaN.
    let reference = if new_max == f32::NEG_INFINITY {
        0.0
    } else {
        new_max
    };
    let mut factor = [0.0; LANES];
    simd.store(exp(simd, simd.splat(*max - reference)), &mut factor);
    let mut total = simd.splat(0.0);
    for vector in vectors {
        let weight = exp(simd, simd.sub(simd.load(vector), simd.splat(reference)));
        total = simd.add(total, weight);
        simd.store(weight, vector);
    }
    *max = new_max;
    let total = simd.sum(total);
    *sum = *sum * factor[0] + total;
    (factor[0], total)
}

#[inline(always)]
fn add_values<S: Simd, E: Element>(
    simd: S,
    weights: &Weights<'_>,
    values: &[E],
    dim: usize,
    out: &mut [[f32; LANES]],
) {
    match weights.rows {
        0 => {}
        1 => add_rows::<S, E, 1>(simd, weights, values, dim, out),
        2 => add_rows::<S, E, 2>(simd, weights, values, dim, out),
        3 => add_rows::<S, E, 3>(simd, weights, values, dim, out),
        _ => add_rows::<S, E, 4>(simd, weights, values, dim, out),
    }
}

#[inline(always)]
fn add_rows<S: Simd, E: Element, const ROWS: usize>(
    simd: S,
    weights: &Weights<'_>,
    values: &[E],
    dim: usize,
    out: &mut [[f32; LANES]],
) {
    let whole = dim / LANES;
    let mut vector = 0;
    if S::WIDE {
        while vector + 4 <= whole {
            add_pairs::<S, E, ROWS, 2>(simd, weights, values, dim, vector, out);
            vector += 4;
        }
    }
    while vector < whole {
        add_vector::<S, E, ROWS>(simd, weights, values, dim, vector, out);
        vector += 1;
    }
    if !dim.is_multiple_of(LANES) {
        add_last::<S, E, ROWS>(simd, weights, values, dim, out);
    }
}

/// Columns `vector * LANES..` of all values by pairs of vectors, into sums that stay in registers.
#[inline(always)]
fn add_pairs<S: Simd, E: Element, const ROWS: usize, const PAIRS: usize>(
    simd: S,
    weights: &Weights<'_>,
    values: &[E],
    dim: usize,
    vector: usize,
    out: &mut [[f32; LANES]],
) {
    let per_row = dim.div_ceil(LANES);
    let mut sums = [[[simd.splat(0.0); 2]; PAIRS]; ROWS];
    for r in 0..ROWS {
        let factor = simd.splat(weights.factors[r]);
        let (out, _) = out[r * per_row + vector..].as_chunks::<2>();
        for p in 0..PAIRS {
            let [first, last] = E::reorder(simd, [simd.load(&out[p][0]), simd.load(&out[p][1])]);
            sums[r][p] = [simd.mul(first, factor), simd.mul(last, factor)];
        }
    }
    for (token, value) in values.chunks_exact(dim).take(TILE).enumerate() {
        let (pairs, _) = value[vector * LANES..].as_chunks::<{ 2 * LANES }>();
        let pairs = &pairs[..PAIRS];
        prefetch_next(simd, pairs.as_flattened(), TILE * dim);
        let mut lanes = [[simd.splat(0.0); 2]; PAIRS];
        for p in 0..PAIRS {
            lanes[p] = E::load_two(simd, &pairs[p]);
        }
        for (sums, weights) in sums.iter_mut().zip(weights.tile) {
            let weight = simd.splat(weights[token]);
            for p in 0..PAIRS {
                for half in 0..2 {
                    sums[p][half] = simd.mul_add(weight, lanes[p][half], sums[p][half]);
                }
            }
        }
    }
    for r in 0..ROWS {
        let (out, _) = out[r * per_row + vector..].as_chunks_mut::<2>();
        for p in 0..PAIRS {
            let [first, last] = E::restore(simd, sums[r][p]);
            simd.store(first, &mut out[p][0]);
            simd.store(last, &mut out[p][1]);
        }
    }
}

/// One vector of columns of all values.
#[inline(always)]
fn add_vector<S: Simd, E: Element, const ROWS: usize>(
    simd: S,
    weights: &Weights<'_>,
    values: &[E],
    dim: usize,
    vector: usize,
    out: &mut [[f32; LANES]],
) {
    let per_row = dim.div_ceil(LANES);
    let mut sums = [simd.splat(0.0); ROWS];
    for r in 0..ROWS {
        let factor = simd.splat(weights.factors[r]);
        sums[r] = simd.mul(simd.load(&out[r * per_row + vector]), factor);
    }
    for (token, value) in values.chunks_exact(dim).take(TILE).enumerate() {
        if let Some(chunk) = value[vector * LANES..].first_chunk::<LANES>() {
            prefetch_next(simd, chunk, TILE * dim);
            let lanes = E::load(simd, chunk);
            for (sum, weights) in sums.iter_mut().zip(weights.tile) {
                *sum = simd.mul_add(simd.splat(weights[token]), lanes, *sum);
            }
        }
    }
    for r in 0..ROWS {
        simd.store(sums[r], &mut out[r * per_row + vector]);
    }
}

/// The columns past the last whole vector.
#[inline(always)]
fn add_last<S: Simd, E: Element, const ROWS: usize>(
    simd: S,
    weights: &Weights<'_>,
    values: &[E],
    dim: usize,
    out: &mut [[f32; LANES]],
) {
    let per_row = dim.div_ceil(LANES);
    let mut sums = [simd.splat(0.0); ROWS];
    for r in 0..ROWS {
        let factor = simd.splat(weights.factors[r]);
        sums[r] = simd.mul(simd.load(&out[(r + 1) * per_row - 1]), factor);
    }
    for (token, value) in values.chunks_exact(dim).take(TILE).enumerate() {
        let lanes = E::load_first(simd, value.as_chunks::<LANES>().1);
        for (sum, weights) in sums.iter_mut().zip(weights.tile) {
            *sum = simd.mul_add(simd.splat(weights[token]), lanes, *sum);
        }
    }
    for r in 0..ROWS {
        simd.store(sums[r], &mut out[(r + 1) * per_row - 1]);
    }
}
