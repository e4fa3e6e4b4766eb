//! Which weighed tokens are worth reading.

use proptest::prelude::*;
use wavekv_kernels::{Judge, Judgement, Kernels, Run, WeighedTokens};

use crate::inputs::{close, numbers, rows};

/// Where a judgement is written.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    values: Vec<f32>,
    exacts: Vec<f32>,
    left: Vec<f32>,
    squares: Vec<f32>,
    sums: Vec<f32>,
}

impl Written {
    fn new(tokens: usize, runs: usize, rows: usize) -> Self {
        Self {
            values: vec![f32::NAN; tokens],
            exacts: vec![f32::NAN; tokens],
            left: vec![f32::NAN; runs * rows],
            squares: vec![f32::NAN; rows],
            sums: vec![f32::NAN; rows],
        }
    }

    fn to(&mut self) -> Judgement<'_> {
        Judgement {
            values: &mut self.values,
            exacts: &mut self.exacts,
            left: &mut self.left,
            squares: &mut self.squares,
            sums: &mut self.sums,
        }
    }
}

/// The same in `f64`, token by token; verdicts are taken from the worths found, which may lie at a threshold.
fn reference(tokens: WeighedTokens<'_>, found: &Written) -> Vec<[f64; 5]> {
    let rows = found.squares.len();
    let all = found.values.len();
    let mut totals = vec![[0.0; 5]; rows];
    let mut token = 0;
    for (index, run) in tokens.runs.iter().enumerate() {
        for _ in 0..run.count {
            for (row, totals) in totals.iter_mut().enumerate() {
                let weight = f64::from(tokens.weights[row * all + token]);
                let by_mean = weight * f64::from(tokens.by_mean[index * rows + row]);
                let by_codes = weight * f64::from(tokens.by_codes[index * rows + row]);
                totals[0] += by_mean * (by_mean + f64::from(tokens.linear));
                totals[1] += by_codes * by_codes;
                if found.exacts[token] >= tokens.least_exact {
                    continue;
                }
                totals[2] += weight;
                totals[3] += by_codes * by_codes;
                if found.values[token] < tokens.least_value {
                    totals[3] += by_mean * by_mean;
                    totals[4] += by_mean;
                }
            }
            token += 1;
        }
    }
    totals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn judgements_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), counts in prop::collection::vec(0..40_u32, 0..6),
        least_value in 0.0..4.0_f32, least_exact in 0.0..4.0_f32, seed: u64,
    ) {
        let runs: Vec<Run> = counts.iter().map(|count| Run { first: 0, count: *count }).collect();
        let count = counts.iter().sum::<u32>() as usize;
        let positive = |seed, count| numbers(seed, count).iter().map(|x| x.abs()).collect::<Vec<f32>>();
        let weights = positive(seed, rows * count);
        let (by_mean, by_codes) = (positive(seed ^ 1, rows * runs.len()), positive(seed ^ 2, rows * runs.len()));
        let tokens = WeighedTokens {
            runs: &runs,
            weights: &weights,
            by_mean: &by_mean,
            by_codes: &by_codes,
            linear: 0.3,
            least_value,
            least_exact,
        };
        let mut first: Option<Written> = None;
        for kernels in Kernels::available() {
            let mut found = Written::new(count, runs.len(), rows);
            kernels.judge(Judge::new(tokens, found.to()).unwrap());
            let truth = reference(tokens, &found);
            let sum = |at: usize| truth.iter().map(|row| row[at]).sum::<f64>();
            let total = |found: &[f32]| found.iter().sum::<f32>();
            for (found, truth) in [(&found.values, sum(0)), (&found.exacts, sum(1)), (&found.left, sum(2))] {
                prop_assert!(close(total(found), truth, 1e-4, truth.max(1.0)), "{found:?} {truth}");
            }
            for (row, truth) in truth.iter().enumerate() {
                prop_assert!(close(found.squares[row], truth[3], 1e-4, truth[3].max(1.0)));
                prop_assert!(close(found.sums[row], truth[4], 1e-4, truth[4].max(1.0)));
            }
            prop_assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{}", kernels.isa());
        }
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let fits = |weights: usize, errors: usize, tokens: usize, runs: usize| {
        let tokens_given = WeighedTokens {
            runs: &[Run { first: 0, count: 3 }, Run { first: 9, count: 2 }],
            weights: &vec![0.0; weights],
            by_mean: &vec![0.0; errors],
            by_codes: &[0.0; 4],
            linear: 0.0,
            least_value: 0.0,
            least_exact: 0.0,
        };
        Judge::new(tokens_given, Written::new(tokens, runs, 2).to()).is_ok()
    };
    assert!(fits(10, 4, 5, 2));
    assert!(!fits(9, 4, 5, 2));
    assert!(!fits(10, 3, 5, 2));
    assert!(!fits(10, 4, 4, 2));
    assert!(!fits(10, 4, 5, 1));
}
