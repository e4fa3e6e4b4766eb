//! Codes of half a byte: weights of tokens, and sums of their values.

use half::f16;
use proptest::prelude::*;
use wavekv_kernels::{
    Accumulator, AddValues, CodedKeys, CodedValues, Codes4, Codes8, Estimate, Kernels, Queries4,
    Run, Weigh, reference,
};

use crate::inputs::{dims, numbers, queries, rows};

/// Random rows of half bytes with their scales and profile.
struct Bytes4 {
    codes: Vec<u8>,
    scales: Vec<f16>,
    profile: Vec<f32>,
}

impl Bytes4 {
    fn random(seed: u64, rows: usize, cols: usize) -> Self {
        let profile: Vec<f32> = numbers(seed, cols).iter().map(|x| x.abs() + 0.1).collect();
        let inverse: Vec<f32> = profile.iter().map(|x| x.recip()).collect();
        let bytes = Codes4::code_bytes(cols);
        let mut codes = vec![0; rows * bytes];
        let values = numbers(seed ^ 7, rows * cols);
        let scales = codes
            .chunks_exact_mut(bytes)
            .zip(values.chunks_exact(cols))
            .map(|(codes, values)| Codes4::encode(values, &inverse, codes).unwrap());
        let scales = scales.collect();
        Self {
            codes,
            scales,
            profile,
        }
    }

    fn codes(&self) -> Codes4<'_> {
        Codes4::new(&self.codes, &self.scales, &self.profile).unwrap()
    }
}

fn runs(tokens: usize) -> impl Strategy<Value = Vec<Run>> {
    let run = (0..tokens).prop_flat_map(move |first| (Just(first), 0..=(tokens - first).min(70)));
    let run = run.prop_map(|(first, count)| Run {
        first: first as u32,
        count: count as u32,
    });
    prop::collection::vec(run, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn weights_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), dim in dims(), runs in runs(100), seed: u64,
    ) {
        let bytes = Bytes4::random(seed, 100, dim);
        let values = numbers(seed ^ 1, rows * dim);
        let scale = (dim as f32).sqrt().recip();
        let made = Queries4::new(queries(&values, dim), &bytes.profile, scale).unwrap();
        let centres = numbers(seed ^ 2, runs.len() * rows);
        let references = numbers(seed ^ 3, rows);
        let keys = CodedKeys {
            queries: &made,
            codes: bytes.codes(),
            runs: &runs,
            centres: &centres,
            references: &references,
        };
        let tokens: usize = runs.iter().map(|run| run.count as usize).sum();
        let vectors = reference::rows_of_codes4(bytes.codes());
        let mut first: Option<Vec<u32>> = None;
        for kernels in Kernels::available() {
            let mut weights = vec![f32::NAN; rows * tokens];
            kernels.weigh(Weigh::new(keys, &mut weights).unwrap());
            let mut token = 0;
            for (index, run) in runs.iter().enumerate() {
                for at in run.first..run.first + run.count {
                    let key = &vectors[at as usize];
                    let beside_profile = key.iter().zip(&bytes.profile).map(|(k, p)| k / f64::from(*p));
                    let length = beside_profile.map(|x| x * x).sum::<f64>().sqrt();
                    for row in 0..rows {
                        let query = &values[row * dim..][..dim];
                        let product = query.iter().zip(key).map(|(q, k)| f64::from(*q) * k);
                        let product: f64 = product.sum::<f64>() * f64::from(scale);
                        let beside = f64::from(centres[index * rows + row] - references[row]);
                        let truth = (product + beside).min(40.0);
                        let largest = query.iter().zip(&bytes.profile).map(|(q, p)| f64::from((q * p).abs()));
                        let step = largest.fold(0.0, f64::max) * f64::from(scale) / 127.0;
                        // Eight deviations of a sum of roundings to whole steps: five are met every few million sums.
                        let tolerance = 8.0 * 0.29 * step * length + 1e-5;
                        let weight = weights[row * tokens + token];
                        prop_assert!((f64::from(weight).ln() - truth).abs() < tolerance, "{weight} {truth}");
                    }
                    token += 1;
                }
            }
            let bits: Vec<u32> = weights.iter().map(|x| x.to_bits()).collect();
            prop_assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{}", kernels.isa());
        }
    }

    #[test]
    fn coded_values_are_the_reference_on_every_level(
        rows in rows(), dim in dims(), count in 0..150_usize, seed: u64,
    ) {
        let bytes = Bytes4::random(seed, 60, dim);
        let tokens: Vec<u32> = (0..count).map(|t| (t * 13 % 60) as u32).collect();
        let weights: Vec<f32> = numbers(seed ^ 1, rows * count).iter().map(|x| x.abs() + 0.01).collect();
        let references = numbers(seed ^ 2, rows);
        let base = vec![0.0; dim];
        let means = Codes8::new(&[], &[], &base).unwrap();
        let sums = (0..rows).map(|row| weights[row * count..][..count].iter().sum::<f32>());
        let masses: Vec<f32> = sums.zip(&references).map(|(sum, r)| sum.ln() + r).collect();
        let vectors = reference::rows_of_codes4(bytes.codes());
        let mut first: Option<Vec<u32>> = None;
        for kernels in Kernels::available() {
            let mut acc = Accumulator::new(rows, dim);
            kernels.estimate(Estimate::new(&masses, &[Estimate::BASE], means, &mut acc).unwrap());
            let values = CodedValues {
                codes: bytes.codes(),
                tokens: &tokens,
                weights: &weights,
                references: &references,
            };
            kernels.add_values(AddValues::new(values, &mut acc).unwrap());
            let mut bits = vec![];
            for row in 0..rows {
                let mut out = vec![f32::NAN; dim];
                acc.write_row(row, &mut out).unwrap();
                bits.extend(out.iter().map(|x| x.to_bits()));
                let weights = &weights[row * count..][..count];
                let sum: f64 = weights.iter().map(|w| f64::from(*w)).sum();
                // Half a step of each weight, of which the largest of 64 tokens, times its scale, has 255.
                let rounded: f64 = weights.chunks(64).zip(tokens.chunks(64)).map(|(weights, tokens)| {
                    let scaled = weights.iter().zip(tokens).map(|(w, t)| w * bytes.scales[*t as usize].to_f32());
                    tokens.len() as f64 * 0.5 / 255.0 * f64::from(scaled.fold(0.0, f32::max))
                }).sum();
                for (d, out) in out.iter().enumerate() {
                    let terms = weights.iter().zip(&tokens);
                    let truth: f64 = terms.map(|(w, t)| f64::from(*w) * vectors[*t as usize][d]).sum();
                    let truth = if count == 0 { 0.0 } else { truth / sum };
                    let step = if count == 0 { 0.0 } else { 7.5 * f64::from(bytes.profile[d]) * rounded / sum };
                    prop_assert!((f64::from(*out) - truth).abs() <= step + 2e-5, "{out} {truth} {step}");
                }
            }
            prop_assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{}", kernels.isa());
        }
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let bytes = Bytes4::random(1, 5, 20);
    let made = Queries4::new(queries(&[1.0; 40], 20), &bytes.profile, 1.0).unwrap();
    let fits = |first, count, centres: usize, references: usize, weights: usize| {
        let keys = CodedKeys {
            queries: &made,
            codes: bytes.codes(),
            runs: &[Run { first, count }],
            centres: &vec![0.0; centres],
            references: &vec![0.0; references],
        };
        Weigh::new(keys, &mut vec![0.0; weights]).is_ok()
    };
    assert!(fits(2, 3, 2, 2, 6));
    assert!(!fits(3, 3, 2, 2, 6));
    assert!(!fits(2, 3, 1, 2, 6));
    assert!(!fits(2, 3, 2, 1, 6));
    assert!(!fits(2, 3, 2, 2, 5));
    let fits = |token, weights: usize, dim| {
        let values = CodedValues {
            codes: bytes.codes(),
            tokens: &[0, token],
            weights: &vec![0.0; weights],
            references: &[0.0; 3],
        };
        AddValues::new(values, &mut Accumulator::new(3, dim)).is_ok()
    };
    assert!(fits(4, 6, 20));
    assert!(!fits(5, 6, 20));
    assert!(!fits(4, 5, 20));
    assert!(!fits(4, 6, 21));
    assert!(Queries4::new(queries(&[1.0; 40], 20), &bytes.profile[1..], 1.0).is_err());
}
