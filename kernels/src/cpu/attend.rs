//! Exact attention of some query rows over contiguous tokens, in one pass over keys and values.
//!
//! Hot path: no allocation, no lock, no log.

use half::bf16;

use super::dots;
use super::exp::tanh;
use super::lanes::{LANES, PAIRS, Simd, Task};
use super::score::{Products, Score};
use super::weigh::add_tile;
use super::{BAND, TILE, Tile};
use crate::accumulator::Accumulator;
use crate::tensor::{Matrix, Queries, ShapeError, expect_equal};
use crate::visibility::Visibility;

/// What is attended to, by whom.
#[derive(Clone, Copy, Debug)]
pub struct AttendInput<'a> {
    /// Query rows, of the dimension of the keys.
    pub queries: Queries<'a>,
    /// One key a token.
    pub keys: Matrix<'a>,
    /// One value a token; may have another dimension and dtype than the keys.
    pub values: Matrix<'a>,
    /// Which query row sees which token.
    pub visible: Visibility<'a>,
    /// What a dot product is multiplied with.
    pub scale: f32,
    /// Scores `s` count as `c tanh(s / c)` with this `c`, above 0 (Gemma 2, arXiv 2408.00118); none: as they are.
    pub softcap: Option<f32>,
}

/// Attention to be added to an accumulator.
#[derive(Debug)]
pub struct Attend<'a> {
    pub(super) input: AttendInput<'a>,
    pub(super) acc: &'a mut Accumulator,
}

impl<'a> Attend<'a> {
    /// Attention of `input`, to be added to `acc`: row `r` of the queries to row `r` there.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree.
    pub fn new(input: AttendInput<'a>, acc: &'a mut Accumulator) -> Result<Self, ShapeError> {
        let AttendInput {
            queries,
            keys,
            values,
            visible,
            scale: _,
            softcap: _,
        } = input;
        expect_equal("dimension of the keys", keys.cols(), queries.dim())?;
        expect_equal("number of values", values.rows(), keys.rows())?;
        expect_equal("rows of the accumulator", acc.rows(), queries.rows())?;
        expect_equal(
            "value dimension of the accumulator",
            acc.value_dim(),
            values.cols(),
        )?;
        visible.check(queries.rows(), keys.rows())?;
        let room = dots::room(queries.rows(), queries.dim());
        acc.queries.resize(room, [bf16::ZERO; PAIRS]);
        Ok(Self { input, acc })
    }
}

impl Attend<'_> {
    /// Runs by a way to score.
    #[inline(always)]
    pub(super) fn run_by<S: Simd>(self, simd: S, by: &impl Score) {
        let AttendInput {
            queries,
            values,
            visible,
            softcap,
            ..
        } = self.input;
        let mut scores: Tile = [[0.0; TILE]; BAND];
        let mut start = 0;
        for values in values.tiles(TILE) {
            let tokens = start..start + values.rows();
            start = tokens.end;
            if visible.hides(&tokens) {
                continue;
            }
            let mut row = 0;
            while row < queries.rows() {
                let rows = row..queries.rows().min(row + BAND);
                by.score(simd, rows.clone(), tokens.clone(), &mut scores);
                for (r, scores) in scores[..rows.len()].iter_mut().enumerate() {
                    if let Some(cap) = softcap {
                        cap_scores(simd, cap, scores);
                    }
                    visible.mask(row + r, tokens.clone(), &mut scores[..tokens.len()]);
                }
                add_tile(simd, &mut scores, rows.len(), values, self.acc, row);
                row = rows.end;
            }
        }
    }
}

#[inline(always)]
fn cap_scores<S: Simd>(simd: S, cap: f32, scores: &mut [f32; TILE]) {
    let (cap, inverse) = (simd.splat(cap), simd.splat(cap.recip()));
    for vector in scores.as_chunks_mut::<LANES>().0 {
        let capped = tanh(simd, simd.mul(simd.load(vector), inverse));
        simd.store(simd.mul(cap, capped), vector);
    }
}

impl Task for Attend<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AttendInput {
            queries,
            keys,
            scale,
            ..
        } = self.input;
        let by = Products {
            queries,
            keys,
            scale,
        };
        self.run_by(simd, &by);
    }
}
