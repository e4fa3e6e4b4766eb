//! Keys or values of one KV head once their clusters are known: what is kept of each cluster when its tokens are not
//! read, and what is kept of each token when it is not read exactly.
//!
//! The variance of `a.k` inside a cluster needs its key covariance. A diagonal per cluster would cost as many bytes as the
//! centroid; on the real traces one number a cluster (the trace of its covariance) times one profile a head and segment
//! (the pooled diagonal) gave the same answers, while an isotropic profile failed badly on one of the models. The same
//! profile makes one scale a token enough for its codes.

use half::f16;
use wavekv_kernels::{Codes4, Codes8, ShapeError};

/// Vectors of one head beside their base, in order of position.
#[derive(Debug)]
pub struct Vectors {
    /// Elements of a vector.
    pub dim: usize,
    /// The mean of all.
    pub base: Vec<f32>,
    /// `[vectors, dim]`, less the base: distances are the same, and dot products keep their digits.
    pub beside: Vec<f32>,
}

impl Vectors {
    /// Vectors `[n, dim]` and their mean, at least one.
    pub fn new(mut vectors: Vec<f32>, dim: usize) -> Self {
        let base: Vec<f32> = mean(&vectors, dim).map(|x| x as f32).collect();
        for row in vectors.chunks_exact_mut(dim) {
            for (x, base) in row.iter_mut().zip(&base) {
                *x -= base;
            }
        }
        Self {
            dim,
            base,
            beside: vectors,
        }
    }

    /// One vector, less the base.
    pub fn row(&self, row: u32) -> &[f32] {
        &self.beside[row as usize * self.dim..][..self.dim]
    }
}

/// What is kept of the vectors of one head. Rows of means are clusters, rows of codes are tokens in cluster order.
#[derive(Debug, Default)]
pub struct Encoded {
    /// `[dim]`: the mean of all vectors.
    pub base: Vec<f32>,
    /// `[dim]`: standard deviation of each dimension within clusters.
    pub profile: Vec<f32>,
    /// `[clusters, dim]`: [`Codes8`] of the mean vectors, beside the base.
    pub means: Vec<i8>,
    /// Of the means.
    pub mean_scales: Vec<f32>,
    /// Length of each mean, as decoded.
    pub mean_norms: Vec<f32>,
    /// Mean squared distance of each cluster's vectors from their mean: the trace of their covariance.
    pub spreads: Vec<f32>,
    /// `[tokens, Codes4::code_bytes(dim)]`: [`Codes4`] of each vector beside the decoded mean of its cluster.
    pub codes: Vec<u8>,
    /// Of the codes.
    pub code_scales: Vec<f16>,
    /// Root mean square error of the codes as a share of the root mean square of what they encode.
    pub code_error: f32,
}

impl Encoded {
    /// Of vectors in `clusters`, each a list of rows, none empty.
    ///
    /// # Errors
    /// Never: the shapes are made here.
    pub fn of(vectors: &Vectors, clusters: &[Vec<u32>]) -> Result<Self, ShapeError> {
        let dim = vectors.dim;
        let mut encoded = Self {
            base: vectors.base.clone(),
            ..Self::default()
        };
        let mut pooled = vec![0.0_f64; dim];
        for cluster in clusters {
            encoded.put_mean(vectors, cluster, &mut pooled)?;
        }
        let tokens = clusters.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        encoded.profile = pooled
            .iter()
            .map(|square| (square / tokens).sqrt() as f32)
            .collect();
        encoded.put_codes(vectors, clusters)?;
        Ok(encoded)
    }

    fn put_mean(
        &mut self,
        vectors: &Vectors,
        cluster: &[u32],
        pooled: &mut [f64],
    ) -> Result<(), ShapeError> {
        let dim = vectors.dim;
        let inverse = 1.0 / cluster.len() as f32;
        let mut mean = vec![0.0; dim];
        for row in cluster {
            add(&mut mean, vectors.row(*row));
        }
        for mean in &mut mean {
            *mean *= inverse;
        }
        let mut squares = vec![0.0_f32; dim];
        for row in cluster {
            for ((square, x), mean) in squares.iter_mut().zip(vectors.row(*row)).zip(&mean) {
                *square += (x - mean) * (x - mean);
            }
        }
        for (pooled, square) in pooled.iter_mut().zip(&squares) {
            *pooled += f64::from(*square);
        }
        self.spreads.push(squares.iter().sum::<f32>() * inverse);
        let first = self.means.len();
        self.means.resize(first + dim, 0);
        let scale = Codes8::encode(&mean, &vec![0.0; dim], &mut self.means[first..])?;
        self.mean_scales.push(scale);
        let decoded = self.means[first..].iter().zip(&self.base);
        let norm = decoded.map(|(code, base)| scale.mul_add(f32::from(*code), *base).powi(2));
        self.mean_norms.push(norm.sum::<f32>().sqrt());
        Ok(())
    }

    fn put_codes(&mut self, vectors: &Vectors, clusters: &[Vec<u32>]) -> Result<(), ShapeError> {
        let (dim, bytes) = (vectors.dim, Codes4::code_bytes(vectors.dim));
        let (mut rest, mut back) = (vec![0.0; dim], vec![0.0; dim]);
        let (mut size, mut error) = (0.0_f64, 0.0_f64);
        let mut codes = vec![0; bytes];
        let inverse = |deviation: &f32| {
            if *deviation > 0.0 {
                deviation.recip()
            } else {
                0.0
            }
        };
        let inverse_profile: Vec<f32> = self.profile.iter().map(inverse).collect();
        for ((cluster, means), scale) in clusters
            .iter()
            .zip(self.means.chunks_exact(dim))
            .zip(&self.mean_scales)
        {
            for row in cluster {
                for ((rest, x), mean) in rest.iter_mut().zip(vectors.row(*row)).zip(means) {
                    *rest = x - scale * f32::from(*mean);
                }
                let scale = [Codes4::encode(&rest, &inverse_profile, &mut codes)?];
                Codes4::new(&codes, &scale, &self.profile)?.decode(0, &mut back)?;
                for (rest, back) in rest.iter().zip(&back) {
                    size += f64::from(rest * rest);
                    error += f64::from((rest - back) * (rest - back));
                }
                self.codes.extend_from_slice(&codes);
                self.code_scales.extend(scale);
            }
        }
        self.code_error = if size > 0.0 {
            (error / size).sqrt() as f32
        } else {
            0.0
        };
        Ok(())
    }
}

/// The mean of rows of `dim`, summed in order; zeros where there is none.
pub(in crate::index) fn mean(rows: &[f32], dim: usize) -> impl Iterator<Item = f64> + use<> {
    let mut sums = vec![0.0_f64; dim];
    for row in rows.chunks_exact(dim) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += f64::from(*x);
        }
    }
    let count = (rows.len() / dim).max(1) as f64;
    sums.into_iter().map(move |sum| sum / count)
}

fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum += x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_spreads_and_profile_are_those_of_the_definition() {
        let vectors = Vectors::new(vec![0.0, 0.0, 2.0, 4.0, 10.0, 11.0], 2);
        assert_eq!(vectors.base, [4.0, 5.0]);
        let clusters = [vec![0, 1], vec![2]];
        let encoded = Encoded::of(&vectors, &clusters).unwrap();
        assert_eq!(encoded.spreads, [5.0, 0.0]);
        // Variances 2/3 and 8/3 over all three tokens.
        for (found, expected) in encoded.profile.iter().zip([2.0_f32 / 3.0, 8.0 / 3.0]) {
            assert!((found * found - expected).abs() < 1e-6);
        }
        let means = Codes8::new(&encoded.means, &encoded.mean_scales, &encoded.base).unwrap();
        for (row, expected) in [[1.0_f32, 2.0], [10.0, 11.0]].iter().enumerate() {
            let mut mean = [0.0; 2];
            means.decode(row, &mut mean).unwrap();
            let near = |a: f32, b: f32| (a - b).abs() < 0.03;
            assert!(
                near(mean[0], expected[0]) && near(mean[1], expected[1]),
                "{mean:?}"
            );
            assert!(near(
                encoded.mean_norms[row],
                expected[0].hypot(expected[1])
            ));
        }
    }

    #[test]
    fn codes_give_the_vectors_back_within_their_error() {
        let dim = 40;
        let number = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 100.0 - 5.0;
        let vectors = Vectors::new((0..dim * 50).map(number).collect(), dim);
        let clusters: Vec<Vec<u32>> = (0..10).map(|c| (c * 5..c * 5 + 5).collect()).collect();
        let encoded = Encoded::of(&vectors, &clusters).unwrap();
        assert!(
            (0.02..0.2).contains(&encoded.code_error),
            "{}",
            encoded.code_error
        );
        let means = Codes8::new(&encoded.means, &encoded.mean_scales, &encoded.base).unwrap();
        let codes = Codes4::new(&encoded.codes, &encoded.code_scales, &encoded.profile).unwrap();
        let (mut mean, mut rest) = (vec![0.0; dim], vec![0.0; dim]);
        let (mut error, mut size) = (0.0, 0.0);
        for token in 0..50 {
            means.decode(token / 5, &mut mean).unwrap();
            codes.decode(token, &mut rest).unwrap();
            for (d, x) in vectors.row(token as u32).iter().enumerate() {
                let beside_mean = x + vectors.base[d] - mean[d];
                error += (beside_mean - rest[d]).powi(2);
                size += beside_mean.powi(2);
            }
        }
        let found: f32 = (error / size).sqrt();
        assert!((found / encoded.code_error - 1.0).abs() < 1e-3, "{found}");
    }

    #[test]
    fn equal_vectors_have_no_spread_and_no_error() {
        let vectors = Vectors::new([1.5, -2.0].repeat(4), 2);
        let encoded = Encoded::of(&vectors, &[vec![0, 1, 2, 3]]).unwrap();
        assert_eq!((encoded.spreads[0], encoded.code_error), (0.0, 0.0));
        assert_eq!(encoded.mean_norms, [2.5]);
    }
}
