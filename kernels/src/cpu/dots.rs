//! Scores by products of `bf16` as they are: two in each lane with one instruction, and no key made wider.
//!
//! Only for queries that are `bf16` themselves, as those of most engines are: their products are exact, so the scores
//! are as exact as those of `score.rs`. Others would be sums of two `bf16` and take two products, which was hardly
//! faster than `f32` (`benches/results/kernels`).
//!
//! Hot path: no allocation, no lock, no log.

use std::ops::Range;

use half::bf16;

use super::attend::{Attend, AttendInput};
use super::lanes::{LANES, PAIRS, Simd, Task, prefetch_next};
use super::score::Score;
use super::{BAND, TILE, Tile};
use crate::tensor::{Elements, Queries};

/// Vectors that query rows of `dim` elements fill in `bf16`; of no use where rows do not fill whole ones.
pub(super) fn room(rows: usize, dim: usize) -> usize {
    rows * (dim / PAIRS)
}

/// The keys in vectors, where they and the queries, which are written to the accumulator, are `bf16`: then
/// [`AttendBf16`] is the same attention.
pub(super) fn narrow<'a>(attend: &mut Attend<'a>) -> Option<&'a [[bf16; PAIRS]]> {
    let AttendInput { queries, keys, .. } = attend.input;
    match keys.elements() {
        // One row alone waits for memory, and does so longer this way (`benches/results/kernels`).
        Elements::Bf16(keys) if queries.rows() > 1 && copy(queries, &mut attend.acc.queries) => {
            Some(keys.as_chunks().0)
        }
        Elements::Bf16(_) | Elements::F16(_) | Elements::F32(_) => None,
    }
}

/// Writes query rows as `bf16` to `to`, which has [`room`] for them. Returns whether they are the same numbers: rows
/// fill whole vectors, and no element has more digits.
fn copy(queries: Queries<'_>, to: &mut [[bf16; PAIRS]]) -> bool {
    if !queries.dim().is_multiple_of(PAIRS) {
        return false;
    }
    let (from, _) = queries.values().as_chunks::<PAIRS>();
    let mut lost = 0;
    for (from, to) in from.iter().zip(to) {
        for (from, to) in from.iter().zip(to) {
            let bits = from.to_bits();
            lost |= bits & 0xffff;
            *to = bf16::from_bits((bits >> 16) as u16);
        }
    }
    lost == 0
}

/// Attention whose queries and keys are `bf16`.
#[derive(Debug)]
pub(super) struct AttendBf16<'a> {
    /// Whose accumulator has the queries.
    pub(super) attend: Attend<'a>,
    pub(super) keys: &'a [[bf16; PAIRS]],
}

impl Task for AttendBf16<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { attend, keys } = self;
        let Attend { input, acc } = attend;
        let queries = std::mem::take(&mut acc.queries);
        let by = Dots {
            queries: &queries,
            keys,
            vectors: input.queries.dim() / PAIRS,
            scale: input.scale,
        };
        let attend = Attend {
            input,
            acc: &mut *acc,
        };
        attend.run_by(simd, &by);
        acc.queries = queries;
    }
}

/// Query rows and keys in `bf16`, and what their products are multiplied with.
#[derive(Clone, Copy, Debug)]
struct Dots<'a> {
    /// `[rows, dim / PAIRS]`.
    queries: &'a [[bf16; PAIRS]],
    /// `[tokens, dim / PAIRS]`.
    keys: &'a [[bf16; PAIRS]],
    /// Vectors of a row.
    vectors: usize,
    scale: f32,
}

impl Score for Dots<'_> {
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, rows: Range<usize>, tokens: Range<usize>, to: &mut Tile) {
        let count = rows.len();
        let band = &self.queries[rows.start * self.vectors..rows.end * self.vectors];
        let keys = &self.keys[tokens.start * self.vectors..tokens.end * self.vectors];
        match count {
            0 => {}
            1 => score_rows::<S, 1, 4>(simd, band, keys, self.scale, to),
            2 => score_rows::<S, 2, 2>(simd, band, keys, self.scale, to),
            3 => score_rows::<S, 3, 1>(simd, band, keys, self.scale, to),
            _ => score_rows::<S, BAND, 1>(simd, band, keys, self.scale, to),
        }
    }
}

/// Scores of `4 QUADS` tokens at a time: their sums fill the sixteen lanes, or twelve of them.
#[inline(always)]
fn score_rows<S: Simd, const ROWS: usize, const QUADS: usize>(
    simd: S,
    queries: &[[bf16; PAIRS]],
    keys: &[[bf16; PAIRS]],
    scale: f32,
    scores: &mut Tile,
) {
    let vectors = queries.len() / ROWS;
    let mut token = 0;
    for many in keys.chunks_exact(4 * QUADS * vectors) {
        let mut lanes = [simd.splat(0.0); LANES];
        for quad in 0..QUADS {
            let four = &many[quad * 4 * vectors..][..4 * vectors];
            prefetch_next(simd, four, TILE * vectors);
            let dots = dots::<S, ROWS, 4>(simd, queries, four);
            for r in 0..ROWS {
                for t in 0..4 {
                    lanes[(r * QUADS + quad) * 4 + t] = dots[r][t];
                }
            }
        }
        let sums = simd.mul(simd.sums_of_all(&lanes), simd.splat(scale));
        let mut all = [0.0; LANES];
        simd.store(sums, &mut all);
        for r in 0..ROWS {
            let sums = &all[r * 4 * QUADS..][..4 * QUADS];
            scores[r][token..token + 4 * QUADS].copy_from_slice(sums);
        }
        token += 4 * QUADS;
    }
    for one in keys[token * vectors..].chunks_exact(vectors) {
        let dots = dots::<S, ROWS, 1>(simd, queries, one);
        let mut lanes = [dots[0][0]; 4];
        for r in 1..ROWS {
            lanes[r] = dots[r][0];
        }
        let sums = simd.sums(lanes);
        for r in 0..ROWS {
            scores[r][token] = sums[r] * scale;
        }
        token += 1;
    }
}

/// Products of some query rows with some tokens, summed to lanes.
#[inline(always)]
fn dots<S: Simd, const ROWS: usize, const TOKENS: usize>(
    simd: S,
    queries: &[[bf16; PAIRS]],
    keys: &[[bf16; PAIRS]],
) -> [[S::Lanes; TOKENS]; ROWS] {
    let vectors = keys.len() / TOKENS;
    // Slices of a known length: a check within the loop would keep the sums in memory.
    let mut rows = [&[] as &[[bf16; PAIRS]]; ROWS];
    for r in 0..ROWS {
        rows[r] = &queries[r * vectors..][..vectors];
    }
    let mut tokens = [&[] as &[[bf16; PAIRS]]; TOKENS];
    for t in 0..TOKENS {
        tokens[t] = &keys[t * vectors..][..vectors];
    }
    let mut sums = [[simd.splat(0.0); TOKENS]; ROWS];
    for vector in 0..vectors {
        for r in 0..ROWS {
            for t in 0..TOKENS {
                sums[r][t] = simd.add_dots(sums[r][t], &rows[r][vector], &tokens[t][vector]);
            }
        }
    }
    sums
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    use super::super::portable::Portable;
    use super::super::x86::Avx512;
    use super::*;

    struct AddDots<'a> {
        sums: &'a mut [f32; LANES],
        a: [bf16; PAIRS],
        b: [bf16; PAIRS],
    }

    impl Task for AddDots<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let sums = simd.add_dots(simd.load(self.sums), &self.a, &self.b);
            simd.store(sums, self.sums);
        }
    }

    #[test]
    #[expect(
        clippy::print_stderr,
        reason = "what a test run did not test should be seen"
    )]
    fn the_instruction_takes_its_two_products_in_turn_and_rounds_each() {
        let Some(level) = Avx512::<true>::detect() else {
            eprintln!("not tested, since this CPU does not have it: avx512bf16");
            return;
        };
        let mut random = Pcg64Mcg::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut number = || bf16::from_f32(random.random_range(-2.0..2.0));
            let [a, b] = [[0; PAIRS]; 2].map(|row| row.map(|_| number()));
            let mut sums = [0.0; LANES];
            for sum in &mut sums {
                *sum = random.random_range(-2.0..2.0);
            }
            let (mut expected, mut got) = (sums, sums);
            Portable.run(AddDots {
                sums: &mut expected,
                a,
                b,
            });
            level.run(AddDots {
                sums: &mut got,
                a,
                b,
            });
            assert_eq!(got.map(f32::to_bits), expected.map(f32::to_bits));
        }
    }
}
