//! How likely each cluster is drawn.

/// Where there are no more tokens than this, all of them are drawn.
const FEW_TOKENS: f64 = 512.0;
/// Clusters that are drawn at most, on average.
const MOST_DRAWN: f64 = 4096.0;
/// No cluster is drawn more rarely than this while that leaves half of [`MOST_DRAWN`]: what is believed may be wrong.
const LEAST: f64 = 1.0 / 64.0;
/// Halvings of the factor of the probabilities that look for the noise that is wanted.
const HALVINGS: u32 = 40;

/// What is believed of a cluster, and what drawing it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Of the length of what its guess is wrong by.
    pub(super) square: f64,
    /// Above 0.
    pub(super) tokens: f64,
}

/// The probabilities of drawing clusters, such that the variance `sum square (1 / p - 1)` is at most `noise`, or about
/// [`MOST_DRAWN`] are drawn.
pub(super) fn probabilities(sizes: &[Size], noise: f64) -> Vec<f64> {
    if sizes.iter().map(|size| size.tokens).sum::<f64>() <= FEW_TOKENS {
        return vec![1.0; sizes.len()];
    }
    let least = LEAST.min(MOST_DRAWN / 2.0 / sizes.len() as f64);
    let weight = |size: &Size| (size.square / size.tokens).sqrt().min(f64::MAX);
    let weights: Vec<f64> = sizes.iter().map(weight).collect();
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return vec![least; sizes.len()];
    }
    let at = |factor: f64, weight: f64| (factor * weight).clamp(least, 1.0);
    let is_enough = |factor: f64| {
        let (mut variance, mut drawn) = (0.0, 0.0);
        for (size, weight) in sizes.iter().zip(&weights) {
            let probability = at(factor, *weight);
            drawn += probability;
            if probability < 1.0 {
                variance += size.square * (probability.recip() - 1.0);
            }
        }
        variance <= noise || drawn >= MOST_DRAWN
    };
    let smallest = weights.iter().copied().filter(|weight| *weight > 0.0);
    // Between where no probability is above the least, and where all are 1.
    let mut low = (least / largest).ln();
    let mut high = -smallest.fold(largest, f64::min).ln();
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_enough(middle.exp()) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let factor = high.exp();
    weights.iter().map(|weight| at(factor, *weight)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(squares: impl Iterator<Item = f64>) -> Vec<Size> {
        squares
            .map(|square| Size {
                square,
                tokens: 16.0,
            })
            .collect()
    }

    fn variance(sizes: &[Size], probabilities: &[f64]) -> f64 {
        let of = |(size, p): (&Size, &f64)| size.square * (p.recip() - 1.0);
        sizes.iter().zip(probabilities).map(of).sum()
    }

    #[test]
    fn as_many_are_drawn_as_the_noise_asks_for() {
        let sizes = sizes((1..=1000).map(|n| 1e-4 / f64::from(n)));
        let mut before = sizes.len() as f64 + 1.0;
        for noise in [1e-6, 1e-5, 1e-4, 1e-3] {
            let found = probabilities(&sizes, noise);
            let found_noise = variance(&sizes, &found);
            assert!(found_noise <= noise, "{found_noise} of {noise}");
            let drawn = found.iter().sum::<f64>();
            assert!(drawn < before, "{drawn} at {noise}, {before} before it");
            assert!(found.is_sorted_by(|a, b| a >= b));
            assert!(found.iter().all(|p| (LEAST..=1.0).contains(p)));
            before = drawn;
        }
    }

    #[test]
    fn few_tokens_are_all_drawn_and_many_clusters_are_not() {
        let few = sizes((0..32).map(f64::from));
        assert_eq!(probabilities(&few, 1e9), vec![1.0; 32]);
        assert!(probabilities(&[], 1.0).is_empty());
        let many = sizes((0..100_000).map(|_| 1.0));
        let drawn: f64 = probabilities(&many, 1e-9).iter().sum();
        assert!(
            drawn > 0.9 * MOST_DRAWN && drawn < 1.1 * MOST_DRAWN,
            "{drawn}"
        );
    }

    #[test]
    fn what_is_believed_to_be_right_or_beyond_measure_is_drawn_all_the_same() {
        let right = sizes((0..100).map(|_| 0.0));
        assert_eq!(probabilities(&right, 1.0), vec![LEAST; 100]);
        let beyond = sizes((0..100).map(|n| if n == 7 { f64::INFINITY } else { 1e-9 }));
        let found = probabilities(&beyond, 1e-6);
        assert!(found[7] >= 1.0 && found.iter().all(|p| *p >= LEAST));
    }
}
