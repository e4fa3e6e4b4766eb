//! Keys or values of one KV head once their clusters are known: what is kept of each cluster when its tokens are not
//! read, and what is kept of each token when it is not read exactly.
//!
//! The variance of `a.k` inside a cluster needs its key covariance. A diagonal per cluster would cost as many bytes as the
//! centroid; on the real traces one number a cluster (the trace of its covariance) times one profile a head and segment
//! (the pooled diagonal) gave the same answers, while an isotropic profile failed badly on one of the models. The same
//! profile makes one scale a token enough for its codes.

use half::f16;
use wavekv_kernels::{
    CodeErrors, Codes4, Codes8, Encode, Kernels, Matrix, Mean, Members, ShapeError, Summarise,
};

use super::clusters::Clusters;

/// What is kept of the vectors of one head. Rows of means are clusters, rows of codes are tokens in cluster order. Made
/// in three steps: [`Encoded::begin`], [`Encoded::put_means`], [`Encoded::put_codes`].
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// All but the codes.
    pub(super) summary: Summary,
    /// `[tokens, Codes4::code_bytes(dim)]`: [`Codes4`] of each vector beside the decoded mean of its cluster.
    pub(super) codes: Vec<u8>,
    /// Of the codes.
    pub(super) code_scales: Vec<f16>,
}

/// What is kept of the clusters of one head, and of the head.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// `[dim]`: the mean of all vectors.
    pub(super) base: Vec<f32>,
    /// `[dim]`: standard deviation of each dimension within clusters.
    pub(super) profile: Vec<f32>,
    /// `[clusters, dim]`: [`Codes8`] of the mean vectors, beside the base.
    pub(super) means: Vec<i8>,
    /// Of the means.
    pub(super) mean_scales: Vec<f32>,
    /// Length of each mean, as decoded.
    pub(super) mean_norms: Vec<f32>,
    /// Mean squared distance of each cluster's vectors from their mean: the trace of their covariance.
    pub(super) spreads: Vec<f32>,
    /// Root mean square error of the codes as a share of the root mean square of what they encode.
    pub(super) code_error: f32,
}

impl Encoded {
    /// Forgets what was made, and takes the mean of these vectors.
    pub(super) fn begin(
        &mut self,
        kernels: Kernels,
        vectors: Matrix<'_>,
    ) -> Result<(), ShapeError> {
        self.summary = Summary {
            base: vec![0.0; vectors.cols()],
            ..Summary::default()
        };
        kernels.mean(Mean::new(vectors, &mut self.summary.base)?);
        Ok(())
    }

    /// What is kept of the clusters, and the profile of the head.
    pub(super) fn put_means(
        &mut self,
        kernels: Kernels,
        vectors: Matrix<'_>,
        clusters: &Clusters,
    ) -> Result<(), ShapeError> {
        let (dim, kept) = (vectors.cols(), &mut self.summary);
        let mut pooled = vec![0.0_f64; dim];
        let (mut mean, mut squares, none) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
        kept.means.resize(clusters.len() * dim, 0);
        for (cluster, codes) in clusters.iter().zip(kept.means.chunks_exact_mut(dim)) {
            let members = Members::new(vectors, &kept.base, cluster)?;
            kernels.summarise(Summarise::new(members, &mut mean, &mut squares)?);
            for (pooled, square) in pooled.iter_mut().zip(&squares) {
                *pooled += f64::from(*square);
            }
            let spread = squares.iter().sum::<f32>() / cluster.len() as f32;
            kept.spreads.push(spread);
            let scale = Codes8::encode(&mean, &none, codes)?;
            kept.mean_scales.push(scale);
            let decoded = codes.iter().zip(&kept.base);
            let norm = decoded.map(|(code, base)| scale.mul_add(f32::from(*code), *base).powi(2));
            kept.mean_norms.push(norm.sum::<f32>().sqrt());
        }
        let tokens = clusters.rows().len().max(1) as f64;
        let deviations = pooled.iter().map(|square| (square / tokens).sqrt() as f32);
        kept.profile = deviations.collect();
        Ok(())
    }

    /// The codes of all tokens, once the profile is known.
    pub(super) fn put_codes(
        &mut self,
        kernels: Kernels,
        vectors: Matrix<'_>,
        clusters: &Clusters,
    ) -> Result<(), ShapeError> {
        let (dim, bytes) = (vectors.cols(), Codes4::code_bytes(vectors.cols()));
        let kept = &mut self.summary;
        let inverse = |deviation: &f32| {
            // One over a smaller one may be no number.
            if deviation.is_normal() {
                deviation.recip()
            } else {
                0.0
            }
        };
        let inverse_profile: Vec<f32> = kept.profile.iter().map(inverse).collect();
        let tokens = clusters.rows().len();
        self.codes.resize(tokens * bytes, 0);
        self.code_scales.resize(tokens, f16::ZERO);
        let (mut errors, mut centre) = (CodeErrors::default(), vec![0.0; dim]);
        let means = kept.means.chunks_exact(dim).zip(&kept.mean_scales);
        for ((start, end), (mean, mean_scale)) in clusters.bounds().zip(means) {
            let rows = start as usize..end as usize;
            let decoded = kept.base.iter().zip(mean);
            for (centre, (base, code)) in centre.iter_mut().zip(decoded) {
                *centre = base + mean_scale * f32::from(*code);
            }
            let members = Members::new(vectors, &centre, &clusters.rows()[rows.clone()])?;
            let profiles = [kept.profile.as_slice(), &inverse_profile];
            let codes = &mut self.codes[rows.start * bytes..rows.end * bytes];
            let scales = &mut self.code_scales[rows];
            kernels.encode(Encode::new(members, profiles, codes, scales, &mut errors)?);
        }
        kept.code_error = if errors.size > 0.0 {
            (errors.error / errors.size).sqrt() as f32
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

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(vectors: &[f32], dim: usize, clusters: &[Vec<u32>]) -> Encoded {
        let kernels = Kernels::detect();
        let vectors = Matrix::from_f32(vectors, vectors.len() / dim, dim).unwrap();
        let mut made = Clusters::default();
        for cluster in clusters {
            made.push(cluster);
        }
        let mut encoded = Encoded::default();
        encoded.begin(kernels, vectors).unwrap();
        encoded.put_means(kernels, vectors, &made).unwrap();
        encoded.put_codes(kernels, vectors, &made).unwrap();
        encoded
    }

    #[test]
    fn means_spreads_and_profile_are_those_of_the_definition() {
        let clusters = [vec![0, 1], vec![2]];
        let encoded = encoded(&[0.0, 0.0, 2.0, 4.0, 10.0, 11.0], 2, &clusters);
        assert_eq!(encoded.summary.base, [4.0, 5.0]);
        assert_eq!(encoded.summary.spreads, [5.0, 0.0]);
        // Variances 2/3 and 8/3 over all three tokens.
        for (found, expected) in encoded
            .summary
            .profile
            .iter()
            .zip([2.0_f32 / 3.0, 8.0 / 3.0])
        {
            assert!((found * found - expected).abs() < 1e-6);
        }
        let means = Codes8::new(
            &encoded.summary.means,
            &encoded.summary.mean_scales,
            &encoded.summary.base,
        )
        .unwrap();
        for (row, expected) in [[1.0_f32, 2.0], [10.0, 11.0]].iter().enumerate() {
            let mut mean = [0.0; 2];
            means.decode(row, &mut mean).unwrap();
            let near = |a: f32, b: f32| (a - b).abs() < 0.03;
            assert!(
                near(mean[0], expected[0]) && near(mean[1], expected[1]),
                "{mean:?}"
            );
            assert!(near(
                encoded.summary.mean_norms[row],
                expected[0].hypot(expected[1])
            ));
        }
    }

    #[test]
    fn codes_give_the_vectors_back_within_their_error() {
        let dim = 40;
        let number = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 100.0 - 5.0;
        let vectors: Vec<f32> = (0..dim * 50).map(number).collect();
        let clusters: Vec<Vec<u32>> = (0..10).map(|c| (c * 5..c * 5 + 5).collect()).collect();
        let encoded = encoded(&vectors, dim, &clusters);
        assert!(
            (0.02..0.2).contains(&encoded.summary.code_error),
            "{}",
            encoded.summary.code_error
        );
        let means = Codes8::new(
            &encoded.summary.means,
            &encoded.summary.mean_scales,
            &encoded.summary.base,
        )
        .unwrap();
        let codes = Codes4::new(
            &encoded.codes,
            &encoded.code_scales,
            &encoded.summary.profile,
        )
        .unwrap();
        let (mut mean, mut rest) = (vec![0.0; dim], vec![0.0; dim]);
        let (mut error, mut size) = (0.0, 0.0);
        for token in 0..50 {
            means.decode(token / 5, &mut mean).unwrap();
            codes.decode(token, &mut rest).unwrap();
            for (d, x) in vectors[token * dim..][..dim].iter().enumerate() {
                let beside_mean = x - mean[d];
                error += (beside_mean - rest[d]).powi(2);
                size += beside_mean.powi(2);
            }
        }
        let found: f32 = (error / size).sqrt();
        assert!(
            (found / encoded.summary.code_error - 1.0).abs() < 1e-3,
            "{found}"
        );
    }

    #[test]
    fn equal_vectors_have_no_spread_and_no_error() {
        let encoded = encoded(&[1.5, -2.0].repeat(4), 2, &[vec![0, 1, 2, 3]]);
        assert_eq!(
            (encoded.summary.spreads[0], encoded.summary.code_error),
            (0.0, 0.0)
        );
        assert_eq!(encoded.summary.mean_norms, [2.5]);
    }
}
