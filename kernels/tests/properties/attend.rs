//! Exact attention.

use half::bf16;
use proptest::prelude::*;
use wavekv_kernels::reference::{self, Partial};
use wavekv_kernels::{
    Accumulator, Attend, AttendInput, Bounds, Dtype, Kernels, Matrix, Visibility,
};

use crate::inputs::{Tensor, bounds, close, dims, dtypes, lengths, numbers, queries, rows};

fn check(
    kernels: Kernels,
    acc: &Accumulator,
    truth: &[Partial],
    tolerance: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(acc.rows(), truth.len());
    let mut out = vec![f32::NAN; acc.value_dim()];
    for (row, truth) in truth.iter().enumerate() {
        let lse = acc.write_row(row, &mut out).unwrap();
        let at = format!("{} row {row}", kernels.isa());
        prop_assert!(
            close(lse, truth.lse, tolerance, truth.lse.abs().max(1.0)),
            "{at}: lse {lse}"
        );
        // Relative to the size of the values: an output may cancel to near zero.
        for (out, truth) in out.iter().zip(&truth.out) {
            prop_assert!(
                close(*out, *truth, tolerance, truth.abs().max(1.0)),
                "{at}: {out} {truth}"
            );
        }
    }
    Ok(())
}

/// A whole attention problem that owns its numbers.
#[derive(Debug)]
struct Problem {
    queries: Vec<f32>,
    dim: usize,
    keys: Tensor,
    values: Tensor,
    bounds: Vec<Bounds>,
    positions: Vec<u32>,
    kind: usize,
    scale: f32,
    softcap: Option<f32>,
}

impl Problem {
    fn input(&self) -> AttendInput<'_> {
        let bounds = &self.bounds;
        AttendInput {
            queries: queries(&self.queries, self.dim),
            keys: self.keys.matrix(),
            values: self.values.matrix(),
            visible: match self.kind {
                0 => Visibility::All,
                1 => Visibility::From {
                    first_position: 7,
                    bounds,
                },
                _ => Visibility::Positions {
                    positions: &self.positions,
                    bounds,
                },
            },
            scale: self.scale,
            softcap: self.softcap,
        }
    }

    /// Largest error of an output or a log-sum-exp that sums of `f32` may have, relative to what `check` says.
    ///
    /// A score is the sum of at most `dim / 16` products in a lane (pairs count twice), of sixteen lanes by a tree of
    /// four, times the scale: each step is off by 2^-24 of what the magnitudes of all products come to. Weights are
    /// off by as much relatively; an output by twice that, times the largest value, two. A cap makes no error larger, and adds
    /// that of the hyperbolic tangent. The rest is what the
    /// exponential and the sums over tokens add.
    fn tolerance(&self) -> f64 {
        let keys = reference::rows_f64(self.keys.matrix());
        let rows = self.queries.chunks(self.dim);
        let largest = rows.flat_map(|query| {
            keys.iter().map(|key| {
                let products = query.iter().zip(key);
                products
                    .map(|(q, k)| (f64::from(*q) * k).abs())
                    .sum::<f64>()
            })
        });
        let largest = largest.fold(0.0, f64::max);
        let steps = self.dim.div_ceil(16) as f64 + 5.0;
        let score = f64::from(self.scale) * largest * steps * 2.0_f64.powi(-24);
        let capped = 3e-7 * f64::from(self.softcap.unwrap_or(0.0));
        2e-5 + 4.0 * (score + capped)
    }
}

/// Queries of `f32`, or such as are `bf16` too.
fn query_numbers(seed: u64, count: usize, narrow: bool) -> Vec<f32> {
    let mut all = numbers(seed, count);
    if narrow {
        for x in &mut all {
            *x = bf16::from_f32(*x).to_f32();
        }
    }
    all
}

fn problems() -> impl Strategy<Value = Problem> {
    let shape = (rows(), dims(), dims(), lengths(), dtypes(), dtypes());
    shape.prop_flat_map(|(rows, dim, value_dim, length, key_dtype, value_dtype)| {
        let end = length as u32 + 14;
        let positions = prop::collection::vec(0..=end, length);
        (
            bounds(rows, end),
            positions,
            0..3_usize,
            any::<u64>(),
            0.01..0.5_f32,
            prop::option::of(1.0..60.0_f32),
            any::<bool>(),
        )
            .prop_map(
                move |(bounds, positions, kind, seed, scale, softcap, narrow)| Problem {
                    queries: query_numbers(seed, rows * dim, narrow),
                    dim,
                    keys: Tensor::random(seed ^ 1, key_dtype, length, dim),
                    values: Tensor::random(seed ^ 2, value_dtype, length, value_dim),
                    bounds,
                    positions,
                    kind,
                    scale,
                    softcap,
                },
            )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn attention_is_the_reference_on_every_level(problem in problems()) {
        let input = problem.input();
        let truth = reference::attend(input);
        for kernels in Kernels::available() {
            let mut acc = Accumulator::new(input.queries.rows(), input.values.cols());
            kernels.attend(Attend::new(input, &mut acc).unwrap());
            check(kernels, &acc, &truth, problem.tolerance())?;
        }
    }

    #[test]
    fn any_split_of_the_tokens_is_the_whole(
        problem in problems(), at in 0.0..=1.0_f64, merged: bool,
    ) {
        let whole = AttendInput { visible: Visibility::All, ..problem.input() };
        let truth = reference::attend(whole);
        let tokens = whole.keys.rows();
        let split = (at * tokens as f64) as usize;
        let part = |range: std::ops::Range<usize>| AttendInput {
            keys: whole.keys.slice_rows(range.clone()).unwrap(),
            values: whole.values.slice_rows(range).unwrap(),
            ..whole
        };
        for kernels in Kernels::available() {
            let mut acc = Accumulator::new(whole.queries.rows(), whole.values.cols());
            kernels.attend(Attend::new(part(0..split), &mut acc).unwrap());
            if merged {
                let mut other = Accumulator::new(acc.rows(), acc.value_dim());
                kernels.attend(Attend::new(part(split..tokens), &mut other).unwrap());
                acc.merge(&other).unwrap();
            } else {
                kernels.attend(Attend::new(part(split..tokens), &mut acc).unwrap());
            }
            check(kernels, &acc, &truth, problem.tolerance())?;
        }
    }
}

/// One query of one element per score, so that scores are what the keys say.
fn with_scores(scores: &[f32]) -> Vec<(Kernels, f32, f32)> {
    let values: Vec<f32> = (0..scores.len()).map(|token| token as f32).collect();
    let input = AttendInput {
        queries: queries(&[1.0], 1),
        keys: Matrix::from_f32(scores, scores.len(), 1).unwrap(),
        values: Matrix::from_f32(&values, scores.len(), 1).unwrap(),
        visible: Visibility::All,
        scale: 1.0,
        softcap: None,
    };
    let one = |kernels: Kernels| {
        let mut acc = Accumulator::new(1, 1);
        kernels.attend(Attend::new(input, &mut acc).unwrap());
        let mut out = [f32::NAN];
        let lse = acc.write_row(0, &mut out).unwrap();
        (kernels, out[0], lse)
    };
    Kernels::available().map(one).collect()
}

#[test]
fn scores_far_apart_do_not_overflow() {
    for extreme in [80.0, 200.0, 1e30] {
        let mut scores = [-extreme; 200];
        for largest in [0, 63, 64, 199] {
            scores.fill(-extreme);
            scores[largest] = extreme;
            for (kernels, out, lse) in with_scores(&scores) {
                assert_eq!((out, lse), (largest as f32, extreme), "{}", kernels.isa());
            }
        }
    }
}

#[test]
fn a_row_that_sees_nothing_is_zeros_and_minus_infinity() {
    let (q, k) = (numbers(1, 5 * 20), Tensor::random(2, Dtype::Bf16, 70, 20));
    let bounds = [0, 10, 0, 70, 0].map(|end| Bounds { first: 0, end });
    let input = AttendInput {
        queries: queries(&q, 20),
        keys: k.matrix(),
        values: k.matrix(),
        visible: Visibility::From {
            first_position: 0,
            bounds: &bounds,
        },
        scale: 1.0,
        softcap: None,
    };
    for kernels in Kernels::available() {
        let mut acc = Accumulator::new(5, 20);
        kernels.attend(Attend::new(input, &mut acc).unwrap());
        for row in [0, 2, 4] {
            let mut out = [f32::NAN; 20];
            assert_eq!(acc.write_row(row, &mut out).unwrap(), f32::NEG_INFINITY);
            assert_eq!(out, [0.0; 20], "{} row {row}", kernels.isa());
        }
        assert!(acc.log_sum(1).is_finite() && acc.log_sum(3).is_finite());
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let (q, k) = (numbers(1, 2 * 20), Tensor::random(2, Dtype::F16, 7, 20));
    let input = AttendInput {
        queries: queries(&q, 20),
        keys: k.matrix(),
        values: k.matrix(),
        visible: Visibility::All,
        scale: 1.0,
        softcap: None,
    };
    let fits = |input, rows, dim| Attend::new(input, &mut Accumulator::new(rows, dim)).is_ok();
    assert!(fits(input, 2, 20));
    assert!(!fits(input, 1, 20));
    assert!(!fits(input, 2, 21));
    assert!(!fits(
        AttendInput {
            queries: queries(&q, 10),
            ..input
        },
        4,
        20
    ));
    assert!(!fits(
        AttendInput {
            values: k.matrix().slice_rows(0..6).unwrap(),
            ..input
        },
        2,
        20
    ));
    let visible = Visibility::From {
        first_position: 0,
        bounds: &[Bounds::ALL],
    };
    assert!(!fits(AttendInput { visible, ..input }, 2, 20));
}
