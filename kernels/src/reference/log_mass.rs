//! Log mass of clusters from the scores of their centroids.

/// `ln(n exp(score) (1 + x + x^2 / 2))` with `x = variance / 2`, where `variance` is that of the scores
/// inside the cluster. One of zero gives the first-order mass. A cluster without tokens has none: minus
/// infinity.
pub fn log_mass(score: f64, count: u32, variance: f64) -> f64 {
    let x = variance / 2.0;
    score + f64::from(count).ln() + (1.0 + x + x * x / 2.0).ln()
}
