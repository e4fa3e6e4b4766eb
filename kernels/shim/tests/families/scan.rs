//! Scores, log masses and their softmax.

use half::bf16;
use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{MOST_ROWS, Peak, Scan, ScanItem, Task};
use wavekv_kernels::{Codes8, Kernels, Queries, Queries8, reference};

use crate::world::{Sequence, Shape, Stored, World, bands_of};
use crate::{assert_close, launch};

/// The scan of a world, as it was run.
pub(crate) struct Scanned {
    pub(crate) scores: u64,
    pub(crate) log_mass: u64,
    pub(crate) peaks: u64,
    pub(crate) spreads: u64,
}

/// Items of at most `tile` clusters each.
fn items(world: &mut World, tile: u32) -> Vec<ScanItem> {
    let mut items = vec![];
    for (at, task) in world.tasks.iter_mut().enumerate() {
        task.first_scan = items.len() as u32;
        for segment in task.first_segment..task.first_segment + task.segments {
            let clusters = world.segments[segment as usize].clusters;
            items.extend((0..clusters.div_ceil(tile)).map(|part| ScanItem {
                task: at as u32,
                segment,
                first: part * tile,
                end: clusters.min((part + 1) * tile),
            }));
        }
        task.scans = items.len() as u32 - task.first_scan;
    }
    items
}

/// Runs the scan over all sequences of a world.
pub(crate) fn scan(world: &mut World, dim: usize, bands: usize, narrow: bool) -> Scanned {
    let items = items(world, 70);
    let memory = &mut world.memory;
    let scanned = Scanned {
        scores: memory.room::<f32>("scores", world.entries),
        log_mass: memory.room::<f32>("log_mass", world.entries),
        peaks: memory.room::<Peak>("peaks", items.len() * MOST_ROWS),
        spreads: memory.room::<f32>("spreads", world.segments.len() * MOST_ROWS),
    };
    let params = Scan {
        tasks: memory.put("tasks", &world.tasks),
        segments: memory.put("segments", &world.segments),
        items: memory.put("items", &items),
        scores: scanned.scores,
        log_mass: scanned.log_mass,
        peaks: scanned.peaks,
        spreads: scanned.spreads,
        head_dim: dim as u32,
        first_order: 0,
    };
    let kernel = if narrow {
        launch::scan_bf16(dim as u32)
    } else {
        launch::scan_int8(dim as u32)
    };
    let traffic = launch(kernel, [items.len(), bands], &params, memory);
    let centroids: usize = world.clusters * dim * if narrow { 2 } else { 1 };
    if bands == 1 && dim.is_multiple_of(16) {
        // Lanes past the last cluster of an item read it again.
        let read = traffic
            .read("centroids")
            .map_or(centroids, |read| read as usize);
        assert!(read >= centroids && read <= centroids + items.len() * 4 * 32 * dim * 2);
    }
    scanned
}

/// The variance of scores within a cluster, by the profile.
fn variance(sequence: &Sequence, segment: usize, cluster: usize, row: usize) -> f64 {
    let dim = sequence.shape.dim;
    let stored = &sequence.segments[segment];
    let pairs = sequence.queries[row * dim..][..dim]
        .iter()
        .zip(&stored.key_profile);
    let square: f64 = pairs
        .map(|(q, p)| (f64::from(*q) * f64::from(sequence.scale) * f64::from(*p)).powi(2))
        .sum();
    square * f64::from(stored.key_spreads[cluster])
}

fn check(sequences: &[Sequence], narrow: bool) {
    let mut world = World::new(sequences);
    let shape = &sequences[0].shape;
    let (dim, bands) = (shape.dim, bands_of(sequences));
    if narrow {
        let at = world
            .segments
            .iter_mut()
            .zip(sequences.iter().flat_map(|s| &s.segments));
        for (segment, stored) in at {
            let decoded = (0..stored.counts.len()).flat_map(|cluster| stored.centroid(cluster));
            let decoded: Vec<u16> = decoded.map(|x| bf16::from_f64(x).to_bits()).collect();
            segment.centroids = world.memory.put("centroids", &decoded);
        }
    }
    let scanned = scan(&mut world, dim, bands, narrow);
    let scores: Vec<f32> = world.memory.read(scanned.scores);
    let log_mass: Vec<f32> = world.memory.read(scanned.log_mass);
    let peaks: Vec<Peak> = world.memory.read(scanned.peaks);
    for (task, sequence) in world.tasks.iter().zip(sequences) {
        for row in 0..sequence.shape.group {
            let found = [scores.as_slice(), &log_mass];
            let masses = check_row(sequence, task, row, narrow, found);
            let scans = task.first_scan as usize..(task.first_scan + task.scans) as usize;
            let peaks: Vec<Peak> = scans.map(|item| peaks[item * MOST_ROWS + row]).collect();
            check_peaks(&peaks, &masses);
        }
    }
    if !narrow {
        against_the_cpu(sequences, &world, &scores);
    }
}

/// Scores and masses of all clusters for a query head; returns the masses.
fn check_row(
    sequence: &Sequence,
    task: &Task,
    row: usize,
    narrow: bool,
    [scores, log_mass]: [&[f32]; 2],
) -> Vec<f64> {
    let dim = sequence.shape.dim;
    let query = sequence.queries[row * dim..][..dim].iter();
    let query: Vec<f64> = query.map(|x| f64::from(*x)).collect();
    let round = |x: &f64| {
        if narrow {
            bf16::from_f64(*x).to_f64()
        } else {
            *x
        }
    };
    let mut all = vec![];
    for (at, stored) in sequence.segments.iter().enumerate() {
        for cluster in 0..stored.counts.len() {
            let centroid = stored.centroid(cluster);
            let product: f64 = query.iter().zip(&centroid).map(|(q, c)| q * round(c)).sum();
            let score = product * f64::from(sequence.scale);
            let count = stored.counts[cluster];
            let [first, last] = stored.bounds[cluster];
            let seen = first >= sequence.visible[0] && last < sequence.visible[1] && count > 0;
            let variance = variance(sequence, at, cluster, row);
            let mass = if seen {
                reference::log_mass(score, count, variance)
            } else {
                f64::NEG_INFINITY
            };
            let entry = task.entries as usize
                + row * task.clusters as usize
                + stored.first_cluster
                + cluster;
            let tolerance =
                tolerance(sequence, stored, &query, &centroid) + 1e-5 * score.abs().max(1.0);
            let what = format!("dim {dim}, row {row}, cluster {cluster}");
            assert_close(scores[entry], score, tolerance, &what);
            assert_close(log_mass[entry], mass, tolerance + 1e-5, &what);
            all.push(f64::from(log_mass[entry]));
        }
    }
    all
}

/// Integers of 14 bits: half a step of the largest element, over the length of what is beside the base.
fn tolerance(sequence: &Sequence, stored: &Stored, query: &[f64], centroid: &[f64]) -> f64 {
    let base = || stored.key_base.iter().map(|x| f64::from(*x));
    let size: f64 = centroid
        .iter()
        .zip(base())
        .map(|(x, base)| (x - base).powi(2))
        .sum();
    let largest = query.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let step = largest / 8191.0 * f64::from(sequence.scale) * size.sqrt();
    let offset: f64 = query
        .iter()
        .zip(base())
        .map(|(q, base)| (q * base).abs())
        .sum();
    2.5 * step + 1e-6 * offset
}

/// The softmax over clusters, of all items together.
fn check_peaks(peaks: &[Peak], masses: &[f64]) {
    let ln = |peak: f64| peak * std::f64::consts::LN_2;
    let partials = peaks
        .iter()
        .map(|p| ln(f64::from(p.largest) + f64::from(p.sum).log2()));
    let partials: Vec<f64> = partials.collect();
    let truth = reference::softmax(masses, &vec![vec![]; masses.len()], 0).lse;
    let got = reference::softmax(&partials, &vec![vec![]; partials.len()], 0).lse;
    assert_close(
        got as f32,
        truth,
        1e-5 * truth.abs().max(1.0),
        "softmax over clusters",
    );
    let largest = masses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let found = peaks
        .iter()
        .map(|p| f64::from(p.largest))
        .fold(f64::NEG_INFINITY, f64::max);
    assert_close(
        ln(found) as f32,
        largest,
        1e-5 * largest.abs().max(1.0),
        "peak",
    );
}

/// The integers are the same, so that only the order of a few sums differs.
fn against_the_cpu(sequences: &[Sequence], world: &World, scores: &[f32]) {
    for (task, sequence) in world.tasks.iter().zip(sequences) {
        let (dim, group) = (sequence.shape.dim, sequence.shape.group);
        let queries = Queries::new(&sequence.queries, group, dim).unwrap();
        let made = Queries8::new(queries, sequence.scale);
        for stored in &sequence.segments {
            let offset = |row: usize| {
                let pairs = queries.row(row).iter().zip(&stored.key_base);
                sequence.scale * pairs.map(|(q, b)| q * b).sum::<f32>()
            };
            let offsets: Vec<f32> = (0..group).map(offset).collect();
            let codes =
                Codes8::new(&stored.centroids, &stored.centroid_scales, &stored.key_base).unwrap();
            let count = stored.counts.len();
            let mut expected = vec![f32::NAN; group * count];
            let task_scan =
                wavekv_kernels::Scan::new(&made, &offsets, codes, &mut expected).unwrap();
            Kernels::detect().scan(task_scan);
            for row in 0..group {
                let entry =
                    task.entries as usize + row * task.clusters as usize + stored.first_cluster;
                for (got, expected) in scores[entry..][..count]
                    .iter()
                    .zip(&expected[row * count..])
                {
                    assert_close(
                        *got,
                        f64::from(*expected),
                        2e-5 * f64::from(expected.abs().max(1.0)),
                        "the CPU's",
                    );
                }
            }
        }
    }
}

fn clusters(many: usize, seed: u32) -> Vec<u32> {
    (0..many as u32).map(|at| (at * 7 + seed) % 19).collect()
}

#[test]
fn scores_and_masses_are_the_reference_at_every_dimension() {
    for dim in [64, 128, 256, 80, 16, 576, 33] {
        for (group, narrow) in [(1, false), (4, true), (4, false), (8, false), (11, true)] {
            let shape = Shape::new(
                dim,
                group,
                vec![clusters(75, 3), clusters(1, 4), clusters(33, 5)],
            );
            check(&[Sequence::random(dim as u64, &shape)], narrow);
        }
    }
}

#[test]
fn sequences_of_different_lengths_share_a_launch() {
    let shapes = [
        (1, vec![]),
        (3, vec![clusters(200, 1)]),
        (8, vec![vec![5], clusters(64, 2)]),
    ];
    let sequences =
        shapes.map(|(group, segments)| Sequence::random(9, &Shape::new(128, group, segments)));
    check(&sequences, false);
}

#[test]
fn clusters_that_the_query_does_not_wholly_see_have_no_mass() {
    for seen in [[0.0, 0.4], [0.3, 0.9], [0.0, 0.0]] {
        let shape = Shape {
            seen,
            ..Shape::new(64, 4, vec![clusters(30, 3), clusters(40, 6)])
        };
        check(&[Sequence::random(3, &shape)], false);
    }
}

#[test]
fn extreme_scores_stay_finite() {
    let shape = Shape {
        size: 12.0,
        ..Shape::new(128, 4, vec![clusters(50, 3)])
    };
    check(&[Sequence::random(4, &shape)], false);
}
