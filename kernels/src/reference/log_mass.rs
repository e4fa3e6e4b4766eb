//! Log mass of clusters from the scores of their centroids.

/// `ln(n exp(score) (1 + variance / 2))`: the second-order mass, with `variance` that of the scores inside the cluster. One of
/// zero gives the first-order mass. A cluster without tokens has none: minus infinity.
pub fn log_mass(score: f64, count: u32, variance: f64) -> f64 {
    score + f64::from(count).ln() + (1.0 + variance / 2.0).ln()
}
