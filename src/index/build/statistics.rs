//! The meta index of one KV head: what is kept of each cluster when its tokens are not read.
//!
//! The variance of `a.k` inside a cluster needs its key covariance. A diagonal per cluster would cost as many bytes as the
//! centroid; on the real traces one number a cluster (the trace of its covariance) times one profile a head and segment
//! (the pooled diagonal, of sum 1) gave the same answers, while an isotropic profile failed badly on one of the models.

use wavekv_kernels::{Matrix, ShapeError, convert};

use crate::index::build::HeadTokens;

/// Statistics of the clusters of one head, in order.
#[derive(Debug, Default)]
pub struct Statistics {
    /// `[clusters, head_dim]`: mean keys.
    pub centroids: Vec<f32>,
    /// Trace of the covariance of the keys: the mean squared distance from the centroid.
    pub key_spreads: Vec<f32>,
    /// `[head_dim]`: the pooled variance of each dimension within clusters, divided by its sum.
    pub spread_profile: Vec<f32>,
    /// `[clusters, value_dim]`: mean values.
    pub value_means: Vec<f32>,
    /// Length of each mean value.
    pub value_mean_norms: Vec<f32>,
    /// Root mean square distance of the values from their mean.
    pub value_spreads: Vec<f32>,
}

impl Statistics {
    /// Of `clusters`, each a list of rows of `tokens`, none empty.
    ///
    /// # Errors
    /// [`ShapeError`] when a row is not one of the tokens'.
    pub fn of(tokens: &HeadTokens<'_>, clusters: &[Vec<u32>]) -> Result<Self, ShapeError> {
        let mut statistics = Self::default();
        let mut pooled = vec![0.0; tokens.keys.cols()];
        for cluster in clusters {
            let keys = Moments::of(tokens.keys, cluster)?;
            for (pooled, squares) in pooled.iter_mut().zip(&keys.squares) {
                *pooled += squares;
            }
            statistics.key_spreads.push(keys.spread(cluster.len()));
            statistics.centroids.extend(keys.mean);
            let values = Moments::of(tokens.values, cluster)?;
            statistics
                .value_spreads
                .push(values.spread(cluster.len()).sqrt());
            statistics
                .value_mean_norms
                .push(values.mean.iter().map(|x| x * x).sum::<f32>().sqrt());
            statistics.value_means.extend(values.mean);
        }
        let sum: f32 = pooled.iter().sum();
        let share = if sum > 0.0 { sum.recip() } else { 0.0 };
        statistics.spread_profile = pooled.into_iter().map(|pooled| pooled * share).collect();
        Ok(statistics)
    }
}

/// First and second moments of some rows, in `f32`: sums of at most a few hundred terms.
struct Moments {
    mean: Vec<f32>,
    /// Sum of squared distances from the mean, each dimension.
    squares: Vec<f32>,
}

impl Moments {
    fn of(matrix: Matrix<'_>, rows: &[u32]) -> Result<Self, ShapeError> {
        let dim = matrix.cols();
        let mut values = vec![0.0; rows.len() * dim];
        for (row, values) in rows.iter().zip(values.chunks_exact_mut(dim)) {
            convert::read(matrix, *row as usize..*row as usize + 1, values)?;
        }
        let mut mean = vec![0.0; dim];
        for row in values.chunks_exact(dim) {
            for (mean, x) in mean.iter_mut().zip(row) {
                *mean += x;
            }
        }
        let inverse = 1.0 / rows.len() as f32;
        for mean in &mut mean {
            *mean *= inverse;
        }
        let mut squares = vec![0.0; dim];
        for row in values.chunks_exact(dim) {
            for ((squares, x), mean) in squares.iter_mut().zip(row).zip(&mean) {
                *squares += (x - mean) * (x - mean);
            }
        }
        Ok(Self { mean, squares })
    }

    /// Mean squared distance from the mean.
    fn spread(&self, rows: usize) -> f32 {
        self.squares.iter().sum::<f32>() / rows as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_spreads_and_profile_are_those_of_the_definition() {
        let keys = [0.0, 0.0, 2.0, 4.0, 10.0, 10.0];
        let values = [1.0, 3.0, 5.0];
        let tokens = HeadTokens {
            keys: Matrix::from_f32(&keys, 3, 2).unwrap(),
            values: Matrix::from_f32(&values, 3, 1).unwrap(),
        };
        let found = Statistics::of(&tokens, &[vec![0, 1], vec![2]]).unwrap();
        assert_eq!(found.centroids, [1.0, 2.0, 10.0, 10.0]);
        assert_eq!(found.key_spreads, [5.0, 0.0]);
        assert_eq!(found.spread_profile, [0.2, 0.8]);
        assert_eq!(found.value_means, [2.0, 5.0]);
        assert_eq!(found.value_mean_norms, [2.0, 5.0]);
        assert_eq!(found.value_spreads, [1.0, 0.0]);
    }
}
