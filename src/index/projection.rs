//! Vectors in a plane, for those who want to look at them: on their two principal components.
//!
//! By power iteration on the covariance, which is never made: `X'(Xv)` is two passes over the vectors. The same vectors
//! come to the same plane, and an axis points where its largest element is positive.

/// Most steps to an axis. Where two components are so nearly as long as each other that these do not tell them apart, either
/// shows as much as the other.
const STEPS: usize = 48;
/// An axis whose cosine with the one before is within this of 1 has been found.
const FOUND: f32 = 1e-6;

/// Vectors on their two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Of each vector, beside their mean.
    pub points: Vec<[f32; 2]>,
    /// The share of the variance of all vectors that is along each axis.
    pub shares: [f32; 2],
}

impl Plane {
    /// Of rows of `dim` numbers each.
    pub fn of(vectors: &[f32], dim: usize) -> Self {
        let beside = centred(vectors, dim);
        let rows = || beside.chunks_exact(dim);
        let total: f32 = rows().map(|row| product(row, row)).sum();
        let mut plane = Self {
            points: vec![[0.0; 2]; rows().len()],
            shares: [0.0; 2],
        };
        let mut axes: Vec<Vec<f32>> = vec![];
        for component in 0..2 {
            let Some(axis) = longest(&beside, dim, &axes) else {
                break;
            };
            let mut along = 0.0;
            for (point, row) in plane.points.iter_mut().zip(rows()) {
                point[component] = product(row, &axis);
                along += point[component] * point[component];
            }
            plane.shares[component] = along / total;
            axes.push(axis);
        }
        plane
    }
}

/// The vectors without their mean.
fn centred(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f64; dim];
    for row in vectors.chunks_exact(dim) {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += f64::from(*x);
        }
    }
    let rows = (vectors.len() / dim).max(1) as f64;
    let of_row = |row: &[f32]| -> Vec<f32> {
        let beside = row.iter().zip(&mean);
        beside
            .map(|(x, mean)| (f64::from(*x) - mean / rows) as f32)
            .collect()
    };
    vectors.chunks_exact(dim).flat_map(of_row).collect()
}

/// The direction at right angles to `axes` along which the rows vary most; none when they do not vary.
fn longest(rows: &[f32], dim: usize, axes: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut axis = start(rows, dim, axes)?;
    for _ in 0..STEPS {
        let mut next = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            let along = product(row, &axis);
            for (next, x) in next.iter_mut().zip(row) {
                *next += along * x;
            }
        }
        let next = unit(next, axes)?;
        let same = product(&next, &axis);
        axis = next;
        if same > 1.0 - FOUND {
            break;
        }
    }
    let largest = axis
        .iter()
        .copied()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if largest.is_some_and(|largest| largest < 0.0) {
        for x in &mut axis {
            *x = -*x;
        }
    }
    Some(axis)
}

/// Where the search begins: at the longest of the rows beside `axes`, which no component is likely to be at right angles to.
fn start(rows: &[f32], dim: usize, axes: &[Vec<f32>]) -> Option<Vec<f32>> {
    let length = |row: &&[f32]| {
        let along: f32 = axes.iter().map(|axis| product(row, axis).powi(2)).sum();
        product(row, row) - along
    };
    let rows = rows.chunks_exact(dim);
    let first = rows.max_by(|a, b| length(a).total_cmp(&length(b)))?;
    unit(first.to_vec(), axes)
}

/// Of length 1 and at right angles to `axes`; none when nothing is left.
fn unit(mut vector: Vec<f32>, axes: &[Vec<f32>]) -> Option<Vec<f32>> {
    let before = product(&vector, &vector);
    for axis in axes {
        let along = product(&vector, axis);
        for (x, axis) in vector.iter_mut().zip(axis) {
            *x -= along * axis;
        }
    }
    let square = product(&vector, &vector);
    // What rounding leaves is no direction.
    if !square.is_normal() || square < before * f32::EPSILON {
        return None;
    }
    let inverse = square.sqrt().recip();
    for x in &mut vector {
        *x *= inverse;
    }
    Some(vector)
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 16;

    /// An ellipse in the plane of two axes that are at right angles, away from the origin: its half axes are its components.
    fn ellipse(half: [f32; 2]) -> (Vec<f32>, Vec<[f32; 2]>) {
        let mut axes = [[0.0_f32; DIM]; 2];
        (axes[0][2], axes[0][5]) = (0.8, 0.6);
        (axes[1][2], axes[1][5]) = (-0.6, 0.8);
        let angles = (0..360_u16).map(|degree| f32::from(degree).to_radians());
        let points: Vec<[f32; 2]> = angles
            .map(|angle| [half[0] * angle.cos(), half[1] * angle.sin()])
            .collect();
        let vector = |point: &[f32; 2]| {
            let [x, y] = *point;
            (0..DIM).map(move |at| 7.0 + x * axes[0][at] + y * axes[1][at])
        };
        (points.iter().flat_map(vector).collect(), points)
    }

    #[test]
    fn an_ellipse_lies_on_its_own_axes() {
        let (vectors, points) = ellipse([5.0, 2.0]);
        let plane = Plane::of(&vectors, DIM);
        for (found, expected) in plane.points.iter().zip(&points) {
            assert!(
                (found[0] - expected[0]).abs() < 2e-2,
                "{found:?} {expected:?}"
            );
            assert!(
                (found[1] - expected[1]).abs() < 2e-2,
                "{found:?} {expected:?}"
            );
        }
        assert!((plane.shares[0] - 25.0 / 29.0).abs() < 1e-3, "{plane:?}");
        assert!((plane.shares[1] - 4.0 / 29.0).abs() < 1e-3);
        assert_eq!(plane, Plane::of(&vectors, DIM));
    }

    #[test]
    fn vectors_that_vary_along_less_than_two_axes_lie_on_a_line_or_a_point() {
        let (vectors, points) = ellipse([3.0, 0.0]);
        let line = Plane::of(&vectors, DIM);
        assert!((line.shares[0] - 1.0).abs() < 1e-4 && line.shares[1] < 1e-6);
        assert!((line.points[0][0] - points[0][0]).abs() < 1e-3);
        let same = Plane::of(&[1.0; 4 * DIM], DIM);
        assert_eq!(same.points, [[0.0; 2]; 4]);
        assert!(Plane::of(&[], DIM).points.is_empty());
    }
}
