//! The nearest centroid of each point, for k-means.
//!
//! A lane is a point: a register holds one pair of elements of sixteen points, and meets the same pair of several
//! centroids, each of them in all lanes. So nothing is summed across lanes, and the best centroid is kept by a comparison.
//!
//! Hot path: no allocation, no lock, no log.

use super::lanes::{LANES, Simd, Task};
use crate::points::{PointBlocks, Points, Sums};
use crate::tensor::{ShapeError, expect_equal};

/// For each point the centroid that minimises `|p - c|^2`, that is, has the largest
/// `p.c - |c|^2 / 2` (halves rounded down). Ties go to the lowest index. Exact: the same on every level.
#[derive(Debug)]
pub struct Assign<'a> {
    points: &'a PointBlocks,
    centroids: &'a Points,
    half_squares: &'a [i32],
    nearest: &'a mut [u32],
}

impl<'a> Assign<'a> {
    /// The nearest of `centroids` for each of `points`, to be written to `nearest`. `half_squares` are the `|c|^2 / 2`,
    /// rounded down.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, or there is no centroid.
    pub fn new(
        points: &'a PointBlocks,
        centroids: &'a Points,
        half_squares: &'a [i32],
        nearest: &'a mut [u32],
    ) -> Result<Self, ShapeError> {
        if points.rows() > 0 {
            expect_equal("pairs of a centroid", centroids.pairs(), points.pairs)?;
        }
        expect_equal(
            "number of half squares",
            half_squares.len(),
            centroids.rows(),
        )?;
        expect_equal(
            "length of the nearest centroids",
            nearest.len(),
            points.rows(),
        )?;
        if half_squares.is_empty() {
            return Err(ShapeError {
                what: "number of centroids",
                given: 0,
                expected: 1,
            });
        }
        Ok(Self {
            points,
            centroids,
            half_squares,
            nearest,
        })
    }
}

impl Task for Assign<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pairs = self.points.pairs;
        let blocks = self.points.numbers.chunks_exact(pairs.max(1));
        let mut to = self.nearest.chunks_mut(LANES);
        if S::WIDE {
            let mut twos = self.points.numbers.chunks_exact(2 * pairs.max(1));
            for two in twos.by_ref() {
                let (a, b) = two.split_at(pairs);
                let best = nearest::<S, 2, 8>(simd, [a, b], self.centroids, self.half_squares);
                for marks in best {
                    put(simd, marks, to.next());
                }
            }
            if !twos.remainder().is_empty() {
                let last = [twos.remainder()];
                let [marks] = nearest::<S, 1, 8>(simd, last, self.centroids, self.half_squares);
                put(simd, marks, to.next());
            }
        } else {
            for block in blocks {
                let [marks] = nearest::<S, 1, 4>(simd, [block], self.centroids, self.half_squares);
                put(simd, marks, to.next());
            }
        }
    }
}

#[inline(always)]
fn put<S: Simd>(simd: S, marks: S::Sums, to: Option<&mut [u32]>) {
    let mut all = [0; LANES];
    simd.store_sums(marks, &mut all);
    for (to, mark) in to.unwrap_or_default().iter_mut().zip(all) {
        *to = mark.cast_unsigned();
    }
}

/// The best centroid of every lane of some blocks, of which `AT_ONCE` are tried in one reading of the blocks.
#[inline(always)]
fn nearest<S: Simd, const BLOCKS: usize, const AT_ONCE: usize>(
    simd: S,
    blocks: [&[[[i16; 2]; LANES]]; BLOCKS],
    centroids: &Points,
    half_squares: &[i32],
) -> [S::Sums; BLOCKS] {
    let pairs = centroids.pairs();
    let worst = simd.splat_sum(i32::MIN);
    let mut best = [(worst, simd.splat_sum(0)); BLOCKS];
    let mut first = 0;
    let mut rest = centroids.numbers.as_slice();
    while half_squares.len() - first >= AT_ONCE {
        let halves = &half_squares[first..first + AT_ONCE];
        let (rows, after) = rest.split_at(AT_ONCE * pairs);
        meet::<S, BLOCKS, AT_ONCE>(simd, blocks, (rows, halves, first), &mut best);
        (rest, first) = (after, first + AT_ONCE);
    }
    while half_squares.len() - first >= 2 {
        let halves = &half_squares[first..first + 2];
        let (rows, after) = rest.split_at(2 * pairs);
        meet::<S, BLOCKS, 2>(simd, blocks, (rows, halves, first), &mut best);
        (rest, first) = (after, first + 2);
    }
    if first < half_squares.len() {
        let halves = &half_squares[first..];
        meet::<S, BLOCKS, 1>(simd, blocks, (rest, halves, first), &mut best);
    }
    let mut marks = [worst; BLOCKS];
    for b in 0..BLOCKS {
        marks[b] = best[b].1;
    }
    marks
}

#[inline(always)]
fn meet<S: Simd, const BLOCKS: usize, const AT_ONCE: usize>(
    simd: S,
    blocks: [&[[[i16; 2]; LANES]]; BLOCKS],
    (rows, half_squares, first): (&[[i16; 2]], &[i32], usize),
    best: &mut [(S::Sums, S::Sums); BLOCKS],
) {
    let pairs = rows.len() / AT_ONCE;
    let mut sums = [[simd.splat_sum(0); AT_ONCE]; BLOCKS];
    for sums in &mut sums {
        for (sum, half) in sums.iter_mut().zip(half_squares) {
            *sum = simd.splat_sum(-half);
        }
    }
    let mut centroids = [rows; AT_ONCE];
    for c in 0..AT_ONCE {
        centroids[c] = &rows[c * pairs..][..pairs];
    }
    let mut lanes = blocks;
    for block in &mut lanes {
        *block = &block[..pairs];
    }
    for pair in 0..pairs {
        let mut points = [simd.splat_pair([0; 2]); BLOCKS];
        for b in 0..BLOCKS {
            points[b] = simd.load_pairs(&lanes[b][pair]);
        }
        for c in 0..AT_ONCE {
            let centroid = simd.splat_pair(centroids[c][pair]);
            for b in 0..BLOCKS {
                sums[b][c] = simd.add_pairs(sums[b][c], points[b], centroid);
            }
        }
    }
    for (best, sums) in best.iter_mut().zip(sums) {
        for (sum, mark) in sums.into_iter().zip(first as i32..) {
            *best = simd.larger(*best, (sum, simd.splat_sum(mark)));
        }
    }
}

/// Points added to the sums of their clusters.
#[derive(Debug)]
pub struct AddPoints<'a> {
    points: &'a Points,
    clusters: &'a [u32],
    sums: &'a mut Sums,
}

impl<'a> AddPoints<'a> {
    /// Each of `points`, to be added to the sums of its cluster.
    ///
    /// # Errors
    /// Where the shapes of the parts disagree, there is no such cluster, or there would be too many points in all.
    pub fn new(
        points: &'a Points,
        clusters: &'a [u32],
        sums: &'a mut Sums,
    ) -> Result<Self, ShapeError> {
        expect_equal("pairs of the sums", sums.pairs(), points.pairs())?;
        expect_equal("number of clusters named", clusters.len(), points.rows())?;
        let before: u32 = sums.counts.iter().sum();
        crate::points::expect_at_most("number of points", before as usize + clusters.len())?;
        let last = clusters.iter().copied().max().unwrap_or(0) as usize;
        if !clusters.is_empty() && last >= sums.counts.len() {
            return Err(ShapeError {
                what: "cluster of a point",
                given: last,
                expected: sums.counts.len(),
            });
        }
        Ok(Self {
            points,
            clusters,
            sums,
        })
    }
}

impl Task for AddPoints<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let pairs = self.points.pairs().max(1);
        let points = self.points.numbers.chunks_exact(pairs);
        for (point, cluster) in points.zip(self.clusters) {
            let cluster = *cluster as usize;
            self.sums.counts[cluster] += 1;
            let sums = self.sums.numbers[cluster * pairs..][..pairs].as_flattened_mut();
            // Compiled for the level: integers need no order.
            for (sum, x) in sums.iter_mut().zip(point.as_flattened()) {
                *sum += i32::from(*x);
            }
        }
    }
}
