//! The sums of an audit, and the estimate and variance that they come to: the formulas of [`crate::index::audit`].

use wavekv_kernels::{Accumulator, ShapeError};

/// What divides when an exact answer has no length: no answer is that short.
const SHORTEST: f64 = 1e-30;
/// No part of an answer counts more than `exp` of this in units of the rest: an error that large is one whatever it is.
const LARGEST_EXPONENT: f64 = 80.0;

/// Mass and weighted value sum of some tokens, of each query row.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `[rows]`.
    pub masses: Vec<f64>,
    /// `[rows, dim]`.
    pub sums: Vec<f64>,
}

/// What was measured of some query rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Mean square relative error, estimated without bias.
    pub square: f64,
    /// Of that estimate.
    pub variance: f64,
}

/// An audit in progress.
#[derive(Debug)]
pub struct Tally {
    /// `[rows, dim]`: the answer that was given.
    answer: Vec<f64>,
    dim: usize,
    /// `[rows, dim]`: `K`, and then `D^`.
    wrong: Vec<f64>,
    /// `[rows]`: the same of the mass.
    masses: Vec<f64>,
    /// Probability of each cluster that was drawn.
    probabilities: Vec<f64>,
    /// `[drawn, rows, dim]`: `x_C`.
    shifts: Vec<f64>,
}

impl Part {
    /// What an accumulator came to; masses are in units of `exp(references)`, one a row.
    ///
    /// # Errors
    /// [`ShapeError`] when there is not a reference a row.
    pub fn of(acc: &Accumulator, references: &[f32]) -> Result<Self, ShapeError> {
        let dim = acc.value_dim();
        let mut out = vec![0.0; dim];
        let mut part = Self::none(acc.rows(), dim);
        for (row, sums) in part.sums.chunks_exact_mut(dim).enumerate() {
            let lse = acc.write_row(row, &mut out)?;
            let Some(reference) = references.get(row).filter(|_| lse > f32::NEG_INFINITY) else {
                continue;
            };
            let mass = (f64::from(lse) - f64::from(*reference))
                .min(LARGEST_EXPONENT)
                .exp();
            part.masses[row] = mass;
            for (sum, x) in sums.iter_mut().zip(&out) {
                *sum = mass * f64::from(*x);
            }
        }
        Ok(part)
    }

    /// Of no tokens.
    pub fn none(rows: usize, dim: usize) -> Self {
        Self {
            masses: vec![0.0; rows],
            sums: vec![0.0; rows * dim],
        }
    }

    /// Adds `times` another.
    pub fn add(&mut self, other: &Self, times: f64) {
        add(&mut self.masses, &other.masses, times);
        add(&mut self.sums, &other.sums, times);
    }
}

impl Tally {
    /// Of an answer `[rows, dim]`, given what is known of its tokens and guessed of the rest.
    pub fn new(answer: &[f32], known: &Part) -> Self {
        let rows = known.masses.len().max(1);
        let mut tally = Self {
            answer: answer.iter().map(|x| f64::from(*x)).collect(),
            dim: answer.len() / rows,
            wrong: vec![],
            masses: known.masses.clone(),
            probabilities: vec![],
            shifts: vec![],
        };
        tally.wrong = tally.wrong_by(known, 1.0);
        tally
    }

    /// Takes in a cluster that was drawn with a probability above 0, given what it truly adds less what was guessed.
    pub fn add(&mut self, probability: f64, beside_guess: &Part) {
        let weight = probability.recip();
        let shift = self.wrong_by(beside_guess, weight);
        add(&mut self.wrong, &shift, 1.0);
        add(&mut self.masses, &beside_guess.masses, weight);
        self.probabilities.push(probability);
        self.shifts.extend(shift);
    }

    /// `times (N - Z est)` of a part.
    fn wrong_by(&self, part: &Part, times: f64) -> Vec<f64> {
        let rows = part.sums.chunks_exact(self.dim.max(1));
        let rows = rows.zip(self.answer.chunks_exact(self.dim.max(1)));
        let wrong = rows.zip(&part.masses).flat_map(|((sums, answer), mass)| {
            let of_row = sums.iter().zip(answer);
            of_row.map(move |(sum, est)| times * (sum - mass * est))
        });
        wrong.collect()
    }

    /// The mean square relative error of the rows.
    pub fn finish(self) -> Measured {
        let rows = 0..self.masses.len();
        let scales: Vec<f64> = rows.map(|row| self.scale(row)).collect();
        self.measured(&scales)
    }

    /// `S` and `V`, where the part of each row is multiplied with its scale.
    fn measured(&self, scales: &[f64]) -> Measured {
        let wrong = scaled(&self.wrong, scales, self.dim);
        let mut measured = Measured {
            square: product(&wrong, &wrong),
            variance: 0.0,
        };
        if wrong.is_empty() {
            return measured;
        }
        let drawn = self.shifts.chunks_exact(wrong.len());
        for (shift, probability) in drawn.zip(&self.probabilities) {
            let shift = scaled(shift, scales, self.dim);
            let (left_out, square) = (1.0 - probability, product(&shift, &shift));
            let along = 2.0 * (product(&shift, &wrong) - square) + probability * square;
            measured.square -= left_out * square;
            measured.variance += left_out * along * along;
        }
        measured
    }

    /// What turns a row's error sums into its part of the root mean square relative error: one over the length of its
    /// exact `Z out = Z est + D`, and over the root of the number of rows.
    fn scale(&self, row: usize) -> f64 {
        let of_row = row * self.dim..(row + 1) * self.dim;
        let wrong = self.wrong[of_row.clone()].iter();
        let exact = wrong
            .zip(&self.answer[of_row])
            .map(|(wrong, est)| wrong + self.masses[row] * est);
        let length = exact.map(|x| x * x).sum::<f64>().sqrt();
        (length.max(SHORTEST) * (self.masses.len() as f64).sqrt()).recip()
    }
}

/// Adds `times` some numbers to others.
fn add(to: &mut [f64], from: &[f64], times: f64) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += times * from;
    }
}

/// Rows of `dim` numbers, each row times its scale.
fn scaled(rows: &[f64], scales: &[f64], dim: usize) -> Vec<f64> {
    let rows = rows.chunks_exact(dim.max(1)).zip(scales);
    rows.flat_map(|(row, scale)| row.iter().map(move |x| x * scale))
        .collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_pcg::Pcg64Mcg;

    const DIM: usize = 3;

    /// An answer of some rows, what is known, and clusters with the probability of each.
    #[derive(Clone, Debug)]
    struct Case {
        answer: Vec<f32>,
        known: Part,
        clusters: Vec<(f64, Part)>,
    }

    impl Case {
        /// Clusters of a few sizes; the error is small or large against their noise.
        fn random(rows: usize, clusters: usize, seed: u64) -> Self {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let mut part = |size: f64| Part {
                masses: (0..rows)
                    .map(|_| size * rng.random_range(-0.5..1.0))
                    .collect(),
                sums: (0..rows * DIM)
                    .map(|_| size * rng.random_range(-1.0..1.0))
                    .collect(),
            };
            let known = part([0.1, 1.0][clusters % 2]);
            let parts: Vec<Part> = (0..clusters)
                .map(|cluster| part([0.1, 0.5, 2.0][cluster % 3]))
                .collect();
            let probabilities = parts.iter().map(|_| rng.random_range(0.05..1.0_f64));
            let probabilities: Vec<f64> = probabilities.collect();
            Self {
                answer: (0..rows * DIM)
                    .map(|_| rng.random_range(-1.0..1.0))
                    .collect(),
                known,
                clusters: probabilities.into_iter().zip(parts).collect(),
            }
        }

        /// What is measured where the clusters with a bit in `drawn` are drawn.
        fn tally(&self, drawn: u32) -> Tally {
            let mut tally = Tally::new(&self.answer, &self.known);
            for (bit, (probability, part)) in self.clusters.iter().enumerate() {
                if drawn >> bit & 1 == 1 {
                    tally.add(*probability, part);
                }
            }
            tally
        }

        /// How likely just these are drawn.
        fn probability(&self, drawn: u32) -> f64 {
            let of_clusters = self.clusters.iter().enumerate();
            let chances = of_clusters.map(|(bit, (probability, _))| {
                if drawn >> bit & 1 == 1 {
                    *probability
                } else {
                    1.0 - probability
                }
            });
            chances.product()
        }

        /// `|D|^2` in f64, by its definition.
        fn true_square(&self) -> f64 {
            let mut all = self.known.clone();
            for (_, part) in &self.clusters {
                all.add(part, 1.0);
            }
            let rows = all
                .sums
                .chunks_exact(DIM)
                .zip(self.answer.chunks_exact(DIM));
            let wrong = rows.zip(&all.masses).flat_map(|((sums, answer), mass)| {
                let of_row = sums.iter().zip(answer);
                of_row.map(move |(sum, est)| sum - mass * f64::from(*est))
            });
            wrong.map(|x| x * x).sum()
        }
    }

    proptest! {
        /// Over all that can be drawn, each with its probability: no chance, so no tolerance but rounding.
        #[test]
        fn the_estimate_is_unbiased_and_its_variance_not_too_small(
            rows in 1_usize..4,
            clusters in 0_usize..8,
            seed in any::<u64>(),
        ) {
            let case = Case::random(rows, clusters, seed);
            let scales = vec![1.0; rows];
            let (mut mean, mut second, mut variance) = (0.0, 0.0, 0.0);
            for drawn in 0..1_u32 << clusters {
                let probability = case.probability(drawn);
                let measured = case.tally(drawn).measured(&scales);
                mean += probability * measured.square;
                second += probability * measured.square * measured.square;
                variance += probability * measured.variance;
            }
            let expected = case.true_square();
            // Of the largest terms of the sums, which cancel: 2^-53 times thousands of operations.
            let rounding = 1e-9 * (1.0 + second);
            prop_assert!((mean - expected).abs() <= rounding, "{mean} for {expected}");
            let true_variance = second - mean * mean;
            prop_assert!(variance >= true_variance - rounding, "{variance} for {true_variance}");
            prop_assert!(variance <= 2.0 * true_variance + rounding, "{variance} for {true_variance}");
        }
    }

    #[test]
    fn what_is_drawn_for_sure_is_known() {
        let mut case = Case::random(2, 5, 3);
        for (probability, _) in &mut case.clusters {
            *probability = 1.0;
        }
        let measured = case.tally(0b11111).measured(&[1.0; 2]);
        assert!((measured.square - case.true_square()).abs() < 1e-9);
        assert!(measured.variance.abs() < 1e-12);
    }

    #[test]
    fn a_row_counts_by_the_length_of_its_exact_answer() {
        // The exact answer is 2 in each of three dimensions, the given one 10 % less; and one that is right.
        let known = Part {
            masses: vec![5.0, 1.0],
            sums: vec![10.0, 10.0, 10.0, 1.0, 0.0, 0.0],
        };
        let measured = Tally::new(&[1.8, 1.8, 1.8, 1.0, 0.0, 0.0], &known).finish();
        assert!((measured.square - 0.01 / 2.0).abs() < 1e-8, "{measured:?}");
        let nothing = Tally::new(&[0.0; 3], &Part::none(1, 3)).finish();
        assert!(nothing.square.abs() < 1e-12);
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        const CLUSTERS: usize = 300;
        const AUDITS: u32 = 2000;
        for (seed, known) in [(1, 0.0), (2, 0.02), (3, 0.2)] {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let dim = 16;
            let mut numbers = |size: f64, count: usize| -> Vec<f64> {
                let numbers = StandardNormal.sample_iter(&mut rng).take(count);
                numbers.map(|x: f64| x * size).collect()
            };
            let answer: Vec<f32> = numbers(1.0, dim).iter().map(|x| *x as f32).collect();
            let mut known = Part {
                masses: vec![1.0],
                sums: numbers(known, dim),
            };
            let given: Vec<f64> = answer.iter().map(|x| f64::from(*x)).collect();
            add(&mut known.sums, &given, 1.0);
            let clusters: Vec<(f64, Part)> = (0..CLUSTERS)
                .map(|cluster| {
                    let size = 0.02 / (1.0 + cluster as f64).sqrt();
                    let part = Part {
                        masses: vec![0.0],
                        sums: numbers(size, dim),
                    };
                    ((20.0 * size).min(1.0), part)
                })
                .collect();
            let audit = |all: bool, rng: &mut Pcg64Mcg| {
                let mut tally = Tally::new(&answer, &known);
                for (probability, part) in &clusters {
                    if all {
                        tally.add(1.0, part);
                    } else if rng.random::<f64>() < *probability {
                        tally.add(*probability, part);
                    }
                }
                tally.finish()
            };
            let truth = audit(true, &mut rng).square;
            let covered = (0..AUDITS).filter(|_| {
                let Measured { square, variance } = audit(false, &mut rng);
                (square - truth).abs() <= 1.96 * variance.sqrt()
            });
            let covered = covered.count() as f64 / f64::from(AUDITS);
            assert!((0.93..=1.0).contains(&covered), "{covered} of {seed}");
        }
    }
}
