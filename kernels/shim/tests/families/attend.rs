//! The fused step: steady tokens, retrieved ones, estimated clusters; parts, and their merge.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{
    Attend, ITEM_CLUSTERS, ITEM_LIST, ITEM_ROWS, Item, MOST_ROWS, Merge, Peak,
};
use wavekv_kernels::{Dtype, reference};

use crate::scan::scan;
use crate::world::{Sequence, Shape, World, bands_of};
use crate::{assert_close, launch};

/// What a task is made of.
struct Plan {
    /// Parts of the steady rows, of the list, and of each segment's clusters.
    splits: usize,
    /// Rows that are computed exactly.
    listed: Vec<Vec<u32>>,
    /// The share of the heaviest mass below which a cluster is light.
    light: f32,
}

fn items(world: &mut World, sequences: &[Sequence], splits: usize) -> Vec<Item> {
    let mut items = vec![];
    for (at, sequence) in sequences.iter().enumerate() {
        let task = &mut world.tasks[at];
        task.first_item = items.len() as u32;
        let item = |kind, segment, first: usize, end: usize, split: usize| Item {
            task: at as u32,
            kind,
            first: first as u32,
            end: end as u32,
            segment,
            split: split as u32,
            splits: splits as u32,
            unused: 0,
        };
        let part = |range: &std::ops::Range<usize>, split: usize| {
            let count = range.len();
            (
                range.start + count * split / splits,
                range.start + count * (split + 1) / splits,
            )
        };
        for split in 0..splits {
            let (first, end) = part(&sequence.loose, split);
            items.push(item(ITEM_ROWS, 0, first, end, 0));
            items.push(item(ITEM_LIST, 0, 0, 0, split));
            for (ordinal, stored) in sequence.segments.iter().enumerate() {
                let (first, end) = part(&(0..stored.counts.len()), split);
                items.push(item(
                    ITEM_CLUSTERS,
                    task.first_segment + ordinal as u32,
                    first,
                    end,
                    0,
                ));
            }
        }
        task.items = items.len() as u32 - task.first_item;
    }
    items
}

/// The rows of all lists, and how many of each task's.
fn lists(world: &mut World, plan: &Plan) -> [Vec<u32>; 2] {
    let mut lists: Vec<u32> = vec![];
    for (task, listed) in world.tasks.iter_mut().zip(&plan.listed) {
        task.first_listed = lists.len() as u32;
        lists.extend(listed);
    }
    let lengths = plan.listed.iter().map(|listed| listed.len() as u32);
    [lists, lengths.collect()]
}

/// Has clusters whose tokens are listed estimate nothing.
fn hide(world: &World, sequences: &[Sequence], plan: &Plan, log_mass: &mut [f32]) {
    for ((task, sequence), listed) in world.tasks.iter().zip(sequences).zip(&plan.listed) {
        for stored in &sequence.segments {
            for (cluster, first) in stored.first_rows.iter().enumerate() {
                if stored.counts[cluster] > 0 && listed.contains(first) {
                    for row in 0..sequence.shape.group {
                        let entry = task.entries as usize + row * task.clusters as usize;
                        log_mass[entry + stored.first_cluster + cluster] = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// All tokens exactly, then some of them and the rest estimated.
pub(crate) fn check_exactly(sequences: &[Sequence], splits: usize, tolerance: f64) {
    let all = sequences.iter().map(Sequence::clustered).collect();
    for listed in [all, some_rows(4, sequences, 0.1)] {
        let plan = Plan {
            splits,
            listed,
            light: 0.0,
        };
        check(sequences, &plan, tolerance);
    }
}

fn check(sequences: &[Sequence], plan: &Plan, tolerance: f64) {
    let mut world = World::new(sequences);
    let shape = &sequences[0].shape;
    let bands = bands_of(sequences);
    let scanned = scan(&mut world, shape.dim, bands, false);
    let scanned_mass: Vec<f32> = world.memory.read(scanned.log_mass);
    let mut log_mass = scanned_mass.clone();
    hide(&world, sequences, plan, &mut log_mass);
    let items = items(&mut world, sequences, plan.splits);
    let [lists, lengths] = lists(&mut world, plan);
    let memory = &mut world.memory;
    let slots = items.len() * bands * 8;
    let params = Attend {
        tasks: memory.put("tasks", &world.tasks),
        segments: memory.put("segments", &world.segments),
        items: memory.put("items", &items),
        blocks: memory.put("blocks", &world.blocks),
        lists: memory.put("lists", &lists),
        list_lengths: memory.put("list_lengths", &lengths),
        log_mass: memory.put("log_mass", &log_mass),
        peaks: scanned.peaks,
        outs: memory.room::<f32>("outs", slots * shape.value_dim),
        sums: memory.room::<Peak>("sums", slots),
        key_dim: shape.dim as u32,
        value_dim: shape.value_dim as u32,
        bands: bands as u32,
        dtype: Dtype::ALL
            .iter()
            .position(|dtype| *dtype == shape.dtype)
            .unwrap() as u32,
        light_share: plan.light.log2(),
        unused: 0,
    };
    let kernel = launch::attend(shape.dtype, shape.dim as u32, shape.value_dim as u32);
    let traffic = launch(kernel, [items.len(), bands], &params, memory);
    if bands == 1 && kernel.name != "attend_any" {
        let tokens: usize = sequences.iter().map(|s| s.loose.len()).sum::<usize>() + lists.len();
        let (parts, row) = (2 * plan.splits * sequences.len(), shape.dim * 2);
        // One pass for the whole group; a tile that is not full reads its last token again.
        let read = traffic
            .read("keys")
            .map_or(tokens * row, |read| read as usize);
        assert!(
            read >= tokens * row && read <= (tokens + parts * 64) * row,
            "{read} bytes of keys"
        );
    }
    let merge = Merge {
        tasks: params.tasks,
        outs: params.outs,
        sums: params.sums,
        answers: memory.room::<f32>("answers", world.answers * shape.value_dim),
        lse: memory.room::<f32>("lse", world.answers),
        norms: memory.room::<f32>("norms", world.answers),
        value_dim: shape.value_dim as u32,
        bands: bands as u32,
    };
    launch(launch::MERGE, [sequences.len(), MOST_ROWS], &merge, memory);
    let masses = [scanned_mass.as_slice(), &log_mass];
    compare(&world, sequences, plan, &merge, masses, tolerance);
}

/// The answers against the reference; masses as the scan found them, and of what is not listed.
fn compare(
    world: &World,
    sequences: &[Sequence],
    plan: &Plan,
    merge: &Merge,
    [scanned, left]: [&[f32]; 2],
    tolerance: f64,
) {
    let answers: Vec<f32> = world.memory.read(merge.answers);
    let lse: Vec<f32> = world.memory.read(merge.lse);
    let norms: Vec<f32> = world.memory.read(merge.norms);
    for ((task, sequence), listed) in world.tasks.iter().zip(sequences).zip(&plan.listed) {
        let shape = &sequence.shape;
        let masses = Masses {
            scanned: &scanned[task.entries as usize..],
            left: &left[task.entries as usize..],
            light: plan.light,
        };
        for row in 0..shape.group {
            let (masses, values) = truth(sequence, &masses, row, listed);
            let truth = reference::softmax(&masses, &values, shape.value_dim);
            let at = task.first_answer as usize + row;
            let what = format!(
                "dim {} {:?} row {row} of {}",
                shape.dim, shape.dtype, shape.group
            );
            assert_close(
                lse[at],
                truth.lse,
                tolerance * truth.lse.abs().max(1.0),
                &what,
            );
            let answer = &answers[at * shape.value_dim..][..shape.value_dim];
            for (got, truth) in answer.iter().zip(&truth.out) {
                assert_close(*got, *truth, tolerance, &what);
            }
            let norm: f64 = truth.out.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert_close(norms[at], norm, 10.0 * tolerance * norm.max(1.0), &what);
        }
    }
}

/// Log masses of a task, `[group, clusters]`.
struct Masses<'a> {
    scanned: &'a [f32],
    /// Of what is not computed exactly.
    left: &'a [f32],
    light: f32,
}

/// The entries of one query head's answer.
fn truth(
    sequence: &Sequence,
    masses: &Masses<'_>,
    row: usize,
    listed: &[u32],
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let Masses {
        scanned,
        left,
        light,
    } = masses;
    let exact = sequence
        .loose
        .clone()
        .chain(listed.iter().map(|row| *row as usize));
    let exact = exact.filter(|row| sequence.sees(*row));
    let (mut masses, mut values): (Vec<f64>, Vec<Vec<f64>>) = exact
        .map(|token| (sequence.score(row, token), sequence.value(token)))
        .unzip();
    let (group, clusters) = (sequence.shape.group, sequence.clusters());
    let of_row = |row: usize| &left[row * clusters..][..clusters];
    // A band of eight decides together which clusters are light, beside the heaviest of all.
    let band = row / 8 * 8..group.min(row / 8 * 8 + 8);
    let least: Vec<f32> = band
        .clone()
        .map(|row| {
            scanned[row * clusters..][..clusters]
                .iter()
                .copied()
                .fold(f32::NEG_INFINITY, f32::max)
                + light.ln()
        })
        .collect();
    for stored in &sequence.segments {
        for cluster in 0..stored.counts.len() {
            let at = stored.first_cluster + cluster;
            let mass = of_row(row)[at];
            if mass == f32::NEG_INFINITY {
                continue;
            }
            let heavy = band
                .clone()
                .zip(&least)
                .any(|(row, least)| of_row(row)[at] >= *least);
            masses.push(f64::from(mass));
            values.push(if heavy {
                stored.value_mean(cluster)
            } else {
                stored.value_base.iter().map(|x| f64::from(*x)).collect()
            });
        }
    }
    (masses, values)
}

/// Rows of some clusters of each sequence.
fn some_rows(seed: u64, sequences: &[Sequence], share: f64) -> Vec<Vec<u32>> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let of = |sequence: &Sequence| {
        let runs = sequence
            .segments
            .iter()
            .flat_map(|s| s.first_rows.iter().zip(&s.counts));
        let mut rows = vec![];
        for (first, count) in runs {
            if random.random_bool(share) {
                rows.extend(*first..first + count);
            }
        }
        rows
    };
    sequences.iter().map(of).collect()
}

fn clusters(many: usize, seed: u32) -> Vec<u32> {
    (0..many as u32).map(|at| (at * 5 + seed) % 13).collect()
}

fn check_shape(seed: u64, shape: &Shape, splits: usize, light: f32, tolerance: f64) {
    let sequences = [Sequence::random(seed, shape)];
    let listed = some_rows(seed, &sequences, 0.3);
    check(
        &sequences,
        &Plan {
            splits,
            listed,
            light,
        },
        tolerance,
    );
}

#[test]
fn answers_are_the_reference_at_every_dimension_and_dtype() {
    for dim in [64, 128, 256, 80, 16, 576] {
        for dtype in Dtype::ALL {
            for (group, splits) in [(1, 1), (4, 3), (8, 2)] {
                let shape = Shape {
                    dtype,
                    ..Shape::new(dim, group, vec![clusters(23, 3), clusters(9, 1)])
                };
                check_shape(dim as u64, &shape, splits, 0.0, 3e-5);
            }
        }
    }
}

#[test]
fn keys_and_values_may_have_other_dimensions() {
    let shape = Shape {
        value_dim: 48,
        ..Shape::new(80, 5, vec![clusters(23, 3)])
    };
    check_shape(5, &shape, 2, 0.0, 3e-5);
}

#[test]
fn groups_of_more_than_a_band() {
    for dim in [64, 48] {
        check_shape(
            6,
            &Shape::new(dim, 19, vec![clusters(23, 3)]),
            2,
            0.02,
            3e-5,
        );
    }
}

#[test]
fn light_clusters_take_the_value_of_their_segment() {
    for dim in [64, 128, 256, 80] {
        let shape = Shape {
            size: 2.0,
            ..Shape::new(dim, 4, vec![clusters(60, 3), clusters(40, 2)])
        };
        check_shape(7, &shape, 2, 0.05, 1e-4);
    }
}

#[test]
fn extreme_scores_and_caps() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        for (size, softcap) in [(16.0, 0.0), (16.0, 20.0)] {
            let shape = Shape {
                dtype,
                size,
                softcap,
                ..Shape::new(128, 4, vec![clusters(23, 3)])
            };
            check_shape(8, &shape, 2, 0.0, 3e-4);
        }
    }
}

#[test]
fn tokens_and_clusters_that_the_query_does_not_see_have_no_part() {
    for (dim, seen) in [
        (64, [0.0, 0.5]),
        (128, [0.4, 0.8]),
        (80, [0.2, 0.95]),
        (64, [0.0, 0.0]),
    ] {
        let shape = Shape {
            seen,
            ..Shape::new(dim, 3, vec![clusters(23, 3), clusters(30, 1)])
        };
        check_shape(9, &shape, 2, 0.0, 3e-5);
    }
}

#[test]
fn nothing_is_zeros_and_minus_infinity() {
    for dim in [64, 80] {
        let shape = Shape {
            loose: 0,
            ..Shape::new(dim, 2, vec![])
        };
        let sequences = [Sequence::random(1, &shape)];
        check(
            &sequences,
            &Plan {
                splits: 2,
                listed: vec![vec![]],
                light: 0.0,
            },
            1e-6,
        );
    }
}

#[test]
fn sequences_of_different_lengths_share_a_launch() {
    let shapes = [
        (1, 3, vec![]),
        (4, 200, vec![clusters(50, 1)]),
        (8, 0, vec![vec![5], clusters(20, 2)]),
    ];
    let sequences = shapes.map(|(group, loose, segments)| {
        let shape = Shape {
            loose,
            ..Shape::new(128, group, segments)
        };
        Sequence::random(9, &shape)
    });
    let listed = some_rows(2, &sequences, 0.5);
    check(
        &sequences,
        &Plan {
            splits: 3,
            listed,
            light: 0.0,
        },
        3e-5,
    );
}
