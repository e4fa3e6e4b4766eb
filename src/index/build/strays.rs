//! Points that are like no other of their cluster: each becomes a cluster of its own.
//!
//! A key that is far from all others of its cluster is told apart by nothing that is kept of that: its part in the mean is
//! small, and the second order of a mass that one token of sixteen makes up falls short of it by orders of magnitude. So a
//! query that looks for that one token would not see it. Alone, its centroid is the key.

use wavekv_kernels::Points;

use super::clusters::Clusters;

/// So many times farther than the average from the mean of the others of its cluster, squared. A dimension counts by how much
/// keys vary in it within clusters: some vary with the position alone, and hide what is far in all others.
const FAR: f64 = 4.0;
/// Of so many points one may be taken apart, the farthest first: each costs the index as much as a cluster does.
const RARE: usize = 512;

/// Takes such points out of their clusters.
pub(super) fn take_apart(points: &Points, clusters: &mut Clusters) {
    let most = points.rows() / RARE;
    if most == 0 {
        return;
    }
    let many = || clusters.iter().filter(|rows| rows.len() > 1);
    let (mut cluster, mut pooled) = (
        Beside::default(),
        vec![0.0; points.dim().next_multiple_of(2)],
    );
    for rows in many() {
        cluster.sum(points, rows);
        for row in rows {
            let squares = cluster.squares(points, *row);
            pooled
                .iter_mut()
                .zip(squares)
                .for_each(|(to, square)| *to += square);
        }
    }
    let inverse = |pooled: &f64| if *pooled > 0.0 { pooled.recip() } else { 0.0 };
    let inverses: Vec<f64> = pooled.iter().map(inverse).collect();
    let mut distances = Vec::with_capacity(clusters.rows().len());
    for rows in many() {
        cluster.sum(points, rows);
        for row in rows {
            let squares = cluster.squares(points, *row).zip(&inverses);
            let distance: f64 = squares.map(|(square, inverse)| square * inverse).sum();
            distances.push((distance, *row));
        }
    }
    let whole: f64 = distances.iter().map(|(distance, _)| distance).sum();
    let far = FAR * whole / distances.len().max(1) as f64;
    distances.retain(|(distance, _)| *distance > far);
    distances.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    distances.truncate(most);
    if distances.is_empty() {
        return;
    }
    let mut strays: Vec<u32> = distances.into_iter().map(|(_, row)| row).collect();
    strays.sort_unstable();
    let before = std::mem::take(clusters);
    for rows in before.iter() {
        let is_stray = |row: &&u32| strays.binary_search(row).is_ok();
        let stay: Vec<u32> = rows.iter().filter(|row| !is_stray(row)).copied().collect();
        clusters.push(&stay);
        for stray in rows.iter().filter(is_stray) {
            clusters.push(&[*stray]);
        }
    }
}

/// The points of one cluster, each beside the others.
#[derive(Debug, Default)]
struct Beside {
    /// Of all: of numbers of 16 bits, and of the hundreds that a cluster has at most.
    sums: Vec<i32>,
    count: i32,
}

impl Beside {
    /// From now on of these rows, two or more.
    fn sum(&mut self, points: &Points, rows: &[u32]) {
        self.count = rows.len() as i32;
        self.sums.clear();
        self.sums.resize(points.dim().next_multiple_of(2), 0);
        for row in rows {
            let numbers = points.row(*row as usize).as_flattened();
            for (sum, number) in self.sums.iter_mut().zip(numbers) {
                *sum += i32::from(*number);
            }
        }
    }

    /// The squared distance of a row from the mean of the others, dimension by dimension.
    fn squares(&self, points: &Points, row: u32) -> impl Iterator<Item = f64> {
        let others = f64::from(self.count - 1);
        let scale = (others * others).recip();
        let numbers = points.row(row as usize).as_flattened();
        // |n x - sum| is n - 1 times the distance, and a whole number: the same on every CPU.
        self.sums.iter().zip(numbers).map(move |(sum, number)| {
            let whole = f64::from(self.count * i32::from(*number) - sum);
            whole * whole * scale
        })
    }
}

#[cfg(test)]
mod tests {
    use wavekv_kernels::{Kernels, Matrix, Quantise};

    use super::*;

    /// 1024 points in clusters of 16 around as many places, but that some of them are far from everything.
    fn clustered(strays: &[usize]) -> (Points, Clusters) {
        let mut numbers: Vec<f32> = (0..1024 * 4)
            .map(|i| (i / 64) as f32 * 0.01 + (i * 37 % 19) as f32)
            .collect();
        for (number, stray) in strays.iter().enumerate() {
            numbers[stray * 4 + number % 4] = 400.0 + number as f32;
        }
        let (mut points, mut lengths) = (Points::default(), vec![]);
        let matrix = Matrix::from_f32(&numbers, 1024, 4).unwrap();
        let quantise = Quantise::new(matrix, &[0.0; 4], &mut lengths, &mut points).unwrap();
        Kernels::detect().quantise(quantise);
        let mut clusters = Clusters::default();
        let of: Vec<u32> = (0..1024).map(|row| row / 16).collect();
        clusters.assign(&of, 64);
        (points, clusters)
    }

    #[test]
    fn what_is_far_from_its_cluster_gets_one_of_its_own() {
        let (points, mut clusters) = clustered(&[100, 900]);
        take_apart(&points, &mut clusters);
        assert_eq!(clusters.len(), 66);
        let alone: Vec<&[u32]> = clusters.iter().filter(|rows| rows.len() == 1).collect();
        assert_eq!(alone, [&[100], &[900]]);
        // It stands behind the cluster that it comes from.
        assert_eq!(clusters.iter().nth(7), Some(&[100][..]));
        let mut rows = clusters.rows().to_vec();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..1024));
    }

    #[test]
    fn few_are_taken_apart_and_of_points_that_are_alike_none() {
        let (points, mut clusters) = clustered(&[]);
        let before = clusters.clone();
        take_apart(&points, &mut clusters);
        assert_eq!(clusters, before);
        // One in 512, so two, and those that are farthest.
        let (points, mut clusters) = clustered(&[5, 300, 700, 1000]);
        take_apart(&points, &mut clusters);
        let alone: Vec<&[u32]> = clusters.iter().filter(|rows| rows.len() == 1).collect();
        assert_eq!(alone.len(), 2, "{alone:?}");
        take_apart(&Points::default(), &mut Clusters::default());
    }

    #[test]
    fn both_of_a_pair_may_be_far_from_each_other() {
        let (points, mut clusters) = clustered(&[8, 9]);
        // Those two by themselves, the others as they were.
        let of: Vec<u32> = (0..1024)
            .map(|row| if row == 8 || row == 9 { 64 } else { row / 16 })
            .collect();
        clusters.assign(&of, 65);
        take_apart(&points, &mut clusters);
        let alone: Vec<&[u32]> = clusters.iter().filter(|rows| rows.len() == 1).collect();
        assert_eq!(alone, [&[8], &[9]]);
    }
}
