//! The nearest centroid of each point, for k-means.

use super::lanes::{Simd, Task};
use super::score::score;
use super::{BAND, TILE, Tile};
use crate::tensor::{Matrix, Queries, ShapeError, expect_equal};

/// For each point the centroid that minimises `|p - c|^2`, that is, has the largest
/// `p.c - |c|^2 / 2`. Ties go to the lowest index. The same bits on every level.
#[derive(Debug)]
pub struct Assign<'a> {
    points: Queries<'a>,
    centroids: Matrix<'a>,
    half_norms: &'a [f32],
    nearest: &'a mut [u32],
    gains: &'a mut [f32],
}

impl<'a> Assign<'a> {
    /// The nearest of `centroids` for each of `points`, to be written to `nearest`, and its
    /// `p.c - |c|^2 / 2` to `gains` (the squared distance is `|p|^2 - 2 gain`). `half_norms` are the
    /// `|c|^2 / 2`.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, or there is no centroid.
    pub fn new(
        points: Queries<'a>,
        centroids: Matrix<'a>,
        half_norms: &'a [f32],
        nearest: &'a mut [u32],
        gains: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        expect_equal("dimension of the centroids", centroids.cols(), points.dim())?;
        expect_equal("number of half norms", half_norms.len(), centroids.rows())?;
        expect_equal(
            "length of the nearest centroids",
            nearest.len(),
            points.rows(),
        )?;
        expect_equal("length of the gains", gains.len(), points.rows())?;
        if centroids.rows() == 0 {
            return Err(ShapeError {
                what: "number of centroids",
                given: 0,
                expected: 1,
            });
        }
        Ok(Self {
            points,
            centroids,
            half_norms,
            nearest,
            gains,
        })
    }
}

impl Task for Assign<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut scores: Tile = [[0.0; TILE]; BAND];
        self.nearest.fill(0);
        self.gains.fill(f32::NEG_INFINITY);
        let mut first = 0;
        for centroids in self.centroids.tiles(TILE) {
            let halves = &self.half_norms[first..][..centroids.rows()];
            let mut point = 0;
            for band in self.points.bands(BAND) {
                score(simd, band, centroids, 1.0, &mut scores);
                for scores in &scores[..band.rows()] {
                    let best = (&mut self.nearest[point], &mut self.gains[point]);
                    take_larger(scores, halves, first as u32, best);
                    point += 1;
                }
            }
            first += centroids.rows();
        }
    }
}

/// Takes the first of the largest gains where it is larger than the best so far.
#[inline(always)]
fn take_larger(scores: &[f32; TILE], halves: &[f32], first: u32, best: (&mut u32, &mut f32)) {
    let (nearest, gain) = best;
    let (mut index, mut largest) = (*nearest, *gain);
    for ((score, half), centroid) in scores.iter().zip(halves).zip(first..) {
        let candidate = score - half;
        if candidate > largest {
            (index, largest) = (centroid, candidate);
        }
    }
    (*nearest, *gain) = (index, largest);
}
