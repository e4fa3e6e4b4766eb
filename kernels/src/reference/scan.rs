//! Scores: every query row against every row of a matrix.

use crate::tensor::{Elements, Matrix, Queries};

/// The rows of a matrix as `f64`.
pub fn rows_f64(matrix: Matrix<'_>) -> Vec<Vec<f64>> {
    let all: Vec<f64> = match matrix.elements() {
        Elements::Bf16(from) => from.iter().map(|x| x.to_f64()).collect(),
        Elements::F16(from) => from.iter().map(|x| x.to_f64()).collect(),
        Elements::F32(from) => from.iter().map(|x| f64::from(*x)).collect(),
    };
    all.chunks(matrix.cols()).map(<[f64]>::to_vec).collect()
}

/// `scores[r][j] = scale * q_r . c_j`.
pub fn scan(queries: Queries<'_>, centroids: Matrix<'_>, scale: f64) -> Vec<Vec<f64>> {
    let centroids = rows_f64(centroids);
    (0..queries.rows())
        .map(|row| {
            let query = queries.row(row);
            let dot = |c: &Vec<f64>| {
                query
                    .iter()
                    .zip(c)
                    .map(|(q, c)| f64::from(*q) * c)
                    .sum::<f64>()
            };
            centroids.iter().map(|c| scale * dot(c)).collect()
        })
        .collect()
}
