//! The choice by budget: the CPU's rule, on the shares that the kernel found.

use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::Budget;
use wavekv_kernels_shim::Memory;

use crate::scan::scan;
use crate::world::{Sequence, Shape, World, bands_of};
use crate::{assert_close, launch};

const ESTIMATION: u8 = 1;
const RETRIEVAL: u8 = 2;
const IGNORED: u8 = 4;

/// Retrieve share, estimate share, whether by clusters and scores.
type Rule = (f32, f32, bool);

fn check(sequences: &[Sequence], (retrieve, estimate, by_clusters): Rule) {
    let mut world = World::new(sequences);
    let bands = bands_of(sequences);
    let scanned = scan(&mut world, sequences[0].shape.dim, bands, false);
    let before: Vec<f32> = world.memory.read(scanned.log_mass);
    let scores: Vec<f32> = world.memory.read(scanned.scores);
    let mut listed = 0;
    for (task, sequence) in world.tasks.iter_mut().zip(sequences) {
        task.first_listed = listed;
        task.capacity = sequence.positions.len() as u32;
        listed += task.capacity;
    }
    let memory = &mut world.memory;
    let params = Budget {
        tasks: memory.put("tasks", &world.tasks),
        segments: memory.put("segments", &world.segments),
        logits: if by_clusters {
            scanned.scores
        } else {
            memory.put("logits", &before)
        },
        log_mass: scanned.log_mass,
        shares: memory.room::<f32>("shares", world.clusters),
        zones: memory.room::<u8>("zones", world.clusters),
        lists: memory.room::<u32>("lists", listed as usize),
        list_lengths: memory.room::<u32>("list_lengths", sequences.len()),
        retrieve_share: retrieve,
        estimate_share: estimate,
        by_clusters: u32::from(by_clusters),
        unused: 0,
    };
    launch(launch::SELECT_BUDGET, [sequences.len(), 1], &params, memory);
    let logits = if by_clusters { &scores } else { &before };
    compare(&world, sequences, &params, (&before, logits));
}

fn compare(
    world: &World,
    sequences: &[Sequence],
    params: &Budget,
    (before, logits): (&[f32], &[f32]),
) {
    let memory: &Memory = &world.memory;
    let shares: Vec<f32> = memory.read(params.shares);
    let zones: Vec<u8> = memory.read(params.zones);
    let lists: Vec<u32> = memory.read(params.lists);
    let lengths: Vec<u32> = memory.read(params.list_lengths);
    let after: Vec<f32> = memory.read(params.log_mass);
    for (at, (task, sequence)) in world.tasks.iter().zip(sequences).enumerate() {
        let clusters = task.clusters as usize;
        let first = task.first_cluster as usize;
        let counts: Vec<u32> = sequence
            .segments
            .iter()
            .flat_map(|s| s.counts.clone())
            .collect();
        let rows: Vec<u32> = sequence
            .segments
            .iter()
            .flat_map(|s| s.first_rows.clone())
            .collect();
        let entry = |row: usize, cluster: usize| task.entries as usize + row * clusters + cluster;
        let there = |cluster: &usize| before[entry(0, *cluster)] != f32::NEG_INFINITY;
        let mut ranked: Vec<usize> = (0..clusters).filter(there).collect();
        let group = sequence.shape.group;
        check_shares(
            &ranked,
            &shares[first..],
            |row, cluster| logits[entry(row, cluster)],
            group,
        );
        ranked.sort_by(|a, b| shares[first + b].total_cmp(&shares[first + a]));
        let [retrieved, estimated] = amounts(params, &ranked, &counts);
        let mut expected = vec![0; clusters];
        for (rank, cluster) in ranked.iter().enumerate() {
            expected[*cluster] = match rank {
                rank if rank < retrieved => RETRIEVAL,
                rank if rank - retrieved < estimated => ESTIMATION,
                _ => IGNORED,
            };
        }
        assert_eq!(zones[first..first + clusters], expected, "task {at}");
        let chosen = (0..clusters).filter(|cluster| expected[*cluster] == RETRIEVAL);
        let chosen: Vec<u32> = chosen.flat_map(|c| rows[c]..rows[c] + counts[c]).collect();
        let list = &lists[task.first_listed as usize..][..lengths[at] as usize];
        assert_eq!(list, chosen, "task {at}");
        for row in 0..group {
            for (cluster, zone) in expected.iter().enumerate() {
                let left = if *zone == ESTIMATION {
                    before[entry(row, cluster)]
                } else {
                    f32::NEG_INFINITY
                };
                assert_eq!(after[entry(row, cluster)].to_bits(), left.to_bits());
            }
        }
    }
}

/// Each share is the softmax over those that can be chosen, mean over the group.
fn check_shares(
    ranked: &[usize],
    shares: &[f32],
    logit: impl Fn(usize, usize) -> f32,
    group: usize,
) {
    for cluster in ranked {
        let share = (0..group).map(|row| {
            let of_row = |cluster: usize| f64::from(logit(row, cluster));
            let others = ranked
                .iter()
                .map(|other| (of_row(*other) - of_row(*cluster)).exp());
            1.0 / others.sum::<f64>() / group as f64
        });
        let share: f64 = share.sum();
        assert_close(shares[*cluster], share, 2e-5 * share + 1e-12, "share");
    }
}

/// How many of the ranked are retrieved, and how many more estimated.
fn amounts(params: &Budget, ranked: &[usize], counts: &[u32]) -> [usize; 2] {
    let whole = |what: u64, share: f32| (what as f64 * f64::from(share)).ceil() as u64;
    let clusters = ranked.len() as u64;
    let estimated = whole(clusters, params.estimate_share) as usize;
    if params.by_clusters == 1 {
        return [whole(clusters, params.retrieve_share) as usize, estimated];
    }
    let tokens: u64 = ranked
        .iter()
        .map(|cluster| u64::from(counts[*cluster]))
        .sum();
    let (mut held, wanted) = (0, whole(tokens, params.retrieve_share));
    let enough = ranked.iter().position(|cluster| {
        let stop = held >= wanted;
        held += u64::from(counts[*cluster]);
        stop
    });
    [enough.unwrap_or(ranked.len()), estimated]
}

fn clusters(many: usize, seed: u32) -> Vec<u32> {
    (0..many as u32).map(|at| (at * 7 + seed) % 19).collect()
}

const RULES: [Rule; 6] = [
    (0.018, 1.0, false),
    (0.3, 0.4, false),
    (0.0, 0.5, false),
    (1.0, 1.0, false),
    (0.018, 0.232, true),
    (0.5, 0.7, true),
];

#[test]
fn the_heaviest_clusters_are_retrieved_and_the_next_estimated() {
    for rule in RULES {
        let shapes = [
            (1, vec![]),
            (4, vec![clusters(600, 1), clusters(90, 5)]),
            (11, vec![clusters(64, 2)]),
        ];
        let sequences =
            shapes.map(|(group, segments)| Sequence::random(9, &Shape::new(64, group, segments)));
        check(&sequences, rule);
    }
}

#[test]
fn equal_clusters_are_taken_in_order_of_place() {
    for rule in RULES {
        let mut sequence = Sequence::random(
            2,
            &Shape::new(64, 2, vec![clusters(300, 1), clusters(40, 1)]),
        );
        sequence.queries.fill(0.0);
        check(&[sequence], rule);
    }
}

#[test]
fn clusters_that_are_not_seen_are_never_chosen() {
    let shape = Shape {
        seen: [0.2, 0.7],
        ..Shape::new(64, 2, vec![clusters(100, 1), clusters(140, 1)])
    };
    for rule in RULES {
        check(&[Sequence::random(2, &shape)], rule);
    }
}
