//! The adaptive step from end to end: scan, an answer that estimates all, the choice of clusters, the weights of their tokens,
//! the judgement on these, and the answer; each stage against `f64`, given what the one before it found.

use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{
    Adaptive, AddValues, Attend, ITEM_CLUSTERS, ITEM_CODED, ITEM_LIST, ITEM_ROWS, Item, Judge,
    MOST_ROWS, Merge, Peak, Weigh, WeighItem,
};
use wavekv_kernels::{Codes4, reference};

use crate::scan::{Scanned, scan};
use crate::world::{Sequence, Shape, World, bands_of};
use crate::{assert_close, launch};

const COHERENCE: f64 = 0.07;
const CODED: u8 = 3;
/// As `world.rs` says of both codes.
const CODE_ERROR: f64 = 0.15;

/// Device memory of one step, and what the host knows of it.
struct Step<'a> {
    sequences: &'a [Sequence],
    world: World,
    scanned: Scanned,
    bands: usize,
    splits: usize,
    tasks: u64,
    segments: u64,
    blocks: u64,
}

impl<'a> Step<'a> {
    fn new(sequences: &'a [Sequence]) -> Self {
        let mut world = World::new(sequences);
        let bands = bands_of(sequences);
        let scanned = scan(&mut world, sequences[0].shape.dim, bands, false);
        let (mut listed, mut weights) = (0, 0);
        for (task, sequence) in world.tasks.iter_mut().zip(sequences) {
            task.first_listed = listed;
            task.capacity = sequence.positions.len() as u32;
            task.weights = weights;
            listed += task.capacity;
            weights += u64::from(task.capacity) * sequence.shape.group as u64;
        }
        let segments = world.memory.put("segments", &world.segments);
        let blocks = world.memory.put("blocks", &world.blocks);
        Self {
            sequences,
            world,
            scanned,
            bands,
            splits: 2,
            tasks: 0,
            segments,
            blocks,
        }
    }

    fn listed(&self) -> usize {
        self.world
            .tasks
            .iter()
            .map(|task| task.capacity as usize)
            .sum()
    }

    fn read<T: bytemuck::AnyBitPattern>(&self, address: u64) -> Vec<T> {
        self.world.memory.read(address)
    }

    /// Items of all tasks; of lists and codes too where `all` is said.
    fn items(&mut self, all: bool) -> Vec<Item> {
        let mut items = vec![];
        let splits = self.splits;
        for (at, sequence) in self.sequences.iter().enumerate() {
            let task = &mut self.world.tasks[at];
            task.first_item = items.len() as u32;
            let item = |kind, segment, range: std::ops::Range<usize>, split: usize| Item {
                task: at as u32,
                kind,
                first: range.start as u32,
                end: range.end as u32,
                segment,
                split: split as u32,
                splits: splits as u32,
                unused: 0,
            };
            items.push(item(ITEM_ROWS, 0, sequence.loose.clone(), 0));
            for split in 0..splits {
                for (ordinal, stored) in sequence.segments.iter().enumerate() {
                    let segment = task.first_segment + ordinal as u32;
                    let count = stored.counts.len();
                    let part = count * split / splits..count * (split + 1) / splits;
                    items.push(item(ITEM_CLUSTERS, segment, part, 0));
                    if all {
                        items.push(item(ITEM_CODED, segment, 0..0, split));
                    }
                }
                if all {
                    items.push(item(ITEM_LIST, 0, 0..0, split));
                }
            }
            task.items = items.len() as u32 - task.first_item;
        }
        self.tasks = self.world.memory.put("tasks", &self.world.tasks);
        items
    }

    fn attend(&mut self, items: &[Item], [lists, lengths]: [u64; 2]) -> Attend {
        let shape = &self.sequences[0].shape;
        let memory = &mut self.world.memory;
        let slots = items.len() * self.bands * 8;
        Attend {
            tasks: self.tasks,
            segments: self.segments,
            items: memory.put("items", items),
            blocks: self.blocks,
            lists,
            list_lengths: lengths,
            log_mass: self.scanned.log_mass,
            peaks: self.scanned.peaks,
            outs: memory.room::<f32>("outs", slots * shape.value_dim),
            sums: memory.room::<Peak>("sums", slots),
            key_dim: shape.dim as u32,
            value_dim: shape.value_dim as u32,
            bands: self.bands as u32,
            dtype: 0,
            light_share: f32::NEG_INFINITY,
            unused: 0,
        }
    }

    fn merge(&mut self, attend: &Attend) -> Merge {
        let memory = &mut self.world.memory;
        let answers = self.world.answers;
        let merge = Merge {
            tasks: self.tasks,
            outs: attend.outs,
            sums: attend.sums,
            answers: memory.room::<f32>("answers", answers * attend.value_dim as usize),
            lse: memory.room::<f32>("lse", answers),
            norms: memory.room::<f32>("norms", answers),
            value_dim: attend.value_dim,
            bands: attend.bands,
        };
        launch(
            launch::MERGE,
            [self.sequences.len(), MOST_ROWS],
            &merge,
            memory,
        );
        merge
    }

    fn select(&mut self, answer: &Merge, target_error: f32) -> Adaptive {
        let (clusters, tasks, answers) = (
            self.world.clusters,
            self.sequences.len(),
            self.world.answers,
        );
        let segments = self.world.segments.len();
        let memory = &mut self.world.memory;
        let params = Adaptive {
            tasks: self.tasks,
            segments: self.segments,
            log_mass: self.scanned.log_mass,
            spreads: self.scanned.spreads,
            lse: answer.lse,
            norms: answer.norms,
            worths: memory.room::<f32>("worths", clusters),
            zones: memory.room::<u8>("zones", clusters),
            coded: memory.room::<u32>("coded", clusters),
            coded_starts: memory.room::<u32>("coded_starts", clusters),
            coded_segments: memory.room::<[u32; 2]>("coded_segments", segments),
            coded_counts: memory.room::<[u32; 2]>("coded_counts", tasks),
            prices: memory.room::<f32>("prices", tasks),
            doubt_squares: memory.room::<f32>("doubt_squares", answers),
            doubt_sums: memory.room::<f32>("doubt_sums", answers),
            target_error,
            token_bytes: Codes4::row_bytes_of(self.sequences[0].shape.dim) as u32,
        };
        launch(launch::SELECT_ADAPTIVE, [tasks, 1], &params, memory);
        params
    }

    fn weigh(&mut self, chosen: &Adaptive) -> Weigh {
        let items: Vec<WeighItem> = self
            .world
            .tasks
            .iter()
            .enumerate()
            .flat_map(|(at, task)| {
                (0..task.segments * 2).map(move |part| WeighItem {
                    task: at as u32,
                    segment: task.first_segment + part / 2,
                    split: part % 2,
                    splits: 2,
                })
            })
            .collect();
        let rooms = self
            .world
            .tasks
            .iter()
            .map(|task| (task.capacity * task.rows) as usize);
        let rooms = rooms.sum();
        let head_dim = self.sequences[0].shape.dim as u32;
        let memory = &mut self.world.memory;
        let params = Weigh {
            tasks: self.tasks,
            segments: self.segments,
            items: memory.put("items", &items),
            coded: chosen.coded,
            coded_starts: chosen.coded_starts,
            coded_segments: chosen.coded_segments,
            scores: self.scanned.scores,
            lse: chosen.lse,
            weights: memory.room::<f32>("weights", rooms),
            head_dim,
            unused: 0,
        };
        launch(
            launch::weigh_codes(head_dim),
            [items.len(), self.bands],
            &params,
            memory,
        );
        params
    }

    fn judge(&mut self, chosen: &Adaptive, weighed: &Weigh) -> Judge {
        let (listed, tasks) = (self.listed(), self.sequences.len());
        let shape = &self.sequences[0].shape;
        let memory = &mut self.world.memory;
        let params = Judge {
            tasks: self.tasks,
            segments: self.segments,
            coded: chosen.coded,
            coded_starts: chosen.coded_starts,
            coded_counts: chosen.coded_counts,
            weights: weighed.weights,
            spreads: chosen.spreads,
            lse: chosen.lse,
            norms: chosen.norms,
            prices: chosen.prices,
            log_mass: self.scanned.log_mass,
            exact_rows: memory.room::<u32>("exact_rows", listed),
            exact_lengths: memory.room::<u32>("exact_lengths", tasks),
            value_rows: memory.room::<u32>("value_rows", listed),
            value_tokens: memory.room::<u32>("value_tokens", listed),
            value_lengths: memory.room::<u32>("value_lengths", tasks),
            doubt_squares: chosen.doubt_squares,
            doubt_sums: chosen.doubt_sums,
            target_error: chosen.target_error,
            exact_bytes: 2 * (shape.dim + shape.value_dim) as u32,
            value_bytes: Codes4::row_bytes_of(shape.value_dim) as u32,
            unused: 0,
        };
        launch(launch::JUDGE, [tasks, 1], &params, memory);
        params
    }
}

/// A cluster by its ordinal: its segment, and its place in it.
fn find(sequence: &Sequence, ordinal: usize) -> (usize, usize) {
    let at = sequence
        .segments
        .iter()
        .rposition(|stored| stored.first_cluster <= ordinal)
        .unwrap();
    (at, ordinal - sequence.segments[at].first_cluster)
}

fn error_of(squares: f64, sums: f64) -> f64 {
    (squares + (COHERENCE * sums).powi(2)).sqrt()
}

/// Rungs as the daemon has them: the exponent and two bits of the mantissa.
fn rung_of(worth: f32) -> u32 {
    let bits = worth.max(0.0).to_bits() >> 21;
    bits.saturating_sub((127 - 60) << 2).min(255)
}

/// The least worth on a rung.
fn worth_of(rung: u32) -> f32 {
    if rung == 0 {
        return 0.0;
    }
    f32::from_bits((rung + ((127 - 60) << 2)) << 21)
}

/// What reading each cluster of a task would gain for each query head, and its rung; none of a cluster that cannot be chosen.
struct Gains {
    gains: Vec<Vec<f64>>,
    rungs: Vec<Option<u32>>,
}

impl Gains {
    fn of(step: &Step<'_>, chosen: &Adaptive, at: usize, before: &[f32]) -> Self {
        let (lse, norms): (Vec<f32>, Vec<f32>) = (step.read(chosen.lse), step.read(chosen.norms));
        let spreads: Vec<f32> = step.read(chosen.spreads);
        let worths: Vec<f32> = step.read(chosen.worths);
        let (task, sequence) = (&step.world.tasks[at], &step.sequences[at]);
        let (clusters, group) = (task.clusters as usize, sequence.shape.group);
        let linear = 2.0 * COHERENCE * 0.55 * f64::from(chosen.target_error);
        let mut made = Self {
            gains: vec![vec![0.0; group]; clusters],
            rungs: vec![None; clusters],
        };
        for (ordinal, gains) in made.gains.iter_mut().enumerate() {
            let (segment, cluster) = find(sequence, ordinal);
            let stored = &sequence.segments[segment];
            if before[task.entries as usize + ordinal] == f32::NEG_INFINITY {
                continue;
            }
            for (row, gain) in gains.iter_mut().enumerate() {
                let answer = task.first_answer as usize + row;
                let mass = f64::from(before[task.entries as usize + row * clusters + ordinal]);
                let spread = spreads[(task.first_segment as usize + segment) * MOST_ROWS + row];
                *gain = reference::gain(
                    (mass - f64::from(lse[answer])).exp(),
                    f64::from(stored.key_spreads[cluster]) * f64::from(spread),
                    f64::from(stored.value_spreads[cluster]),
                    f64::from(stored.value_norms[cluster]),
                    f64::from(norms[answer]),
                );
            }
            let worth: f64 = gains.iter().map(|gain| gain * (gain + linear)).sum();
            let found = worths[task.first_cluster as usize + ordinal];
            assert_close(found, worth, 2e-4 * worth + 1e-30, "worth");
            made.rungs[ordinal] = Some(rung_of(found / stored.counts[cluster] as f32));
        }
        made
    }

    /// Squares and sum, for a query head, over the clusters on the rungs that are left.
    fn over(&self, left: impl Fn(u32) -> bool, row: usize) -> [f64; 2] {
        let clusters = self.rungs.iter().zip(&self.gains);
        let in_doubt = clusters.filter(|(rung, _)| rung.is_some_and(&left));
        in_doubt.fold([0.0; 2], |[squares, sum], (_, gains)| {
            [squares + gains[row] * gains[row], sum + gains[row]]
        })
    }
}

/// The clusters whose codes are read are those worth most, as many as the target asks for and no more than a rung more.
fn check_choice(step: &Step<'_>, chosen: &Adaptive, before: &[f32]) -> Vec<Vec<u32>> {
    let (zones, prices): (Vec<u8>, Vec<f32>) = (step.read(chosen.zones), step.read(chosen.prices));
    let coded: Vec<u32> = step.read(chosen.coded);
    let counts: Vec<[u32; 2]> = step.read(chosen.coded_counts);
    let doubts: [Vec<f32>; 2] = [
        step.read(chosen.doubt_squares),
        step.read(chosen.doubt_sums),
    ];
    let aim = 0.55 * f64::from(chosen.target_error);
    let mut lists = vec![];
    for (at, task) in step.world.tasks.iter().enumerate() {
        let first = task.first_cluster as usize;
        let gains = Gains::of(step, chosen, at, before);
        let list = &coded[first..first + counts[at][0] as usize];
        // Whole rungs, from the top.
        let least = list
            .iter()
            .filter_map(|ordinal| gains.rungs[*ordinal as usize])
            .min();
        for (ordinal, rung) in gains.rungs.iter().enumerate() {
            let taken = list.contains(&(ordinal as u32));
            let worth_it = rung.is_some() && least.is_some() && *rung >= least;
            assert_eq!(taken, worth_it, "cluster {ordinal}");
            assert_eq!(zones[first + ordinal] == CODED, taken);
        }
        let mut more_needed = false;
        for row in 0..step.sequences[at].shape.group {
            let [square, sum] = gains.over(|rung| least.is_none_or(|least| rung < least), row);
            let answer = task.first_answer as usize + row;
            assert_close(
                doubts[0][answer],
                square,
                1e-3 * square + 1e-12,
                "squares in doubt",
            );
            assert_close(doubts[1][answer], sum, 1e-3 * sum + 1e-12, "sum in doubt");
            assert!(
                error_of(square, sum) <= aim * 1.001,
                "row {row} is over the aim"
            );
            let [square, sum] = gains.over(|rung| least.is_none_or(|least| rung <= least), row);
            more_needed |= error_of(square, sum) >= aim * 0.999;
        }
        assert_eq!(
            more_needed,
            least.is_some(),
            "more is read than the aim asks for"
        );
        assert_eq!(prices[at] >= 0.0, least.is_some());
        // The least worth itself, or a lower rung where no cluster is.
        assert!(
            least.is_none_or(|least| prices[at] <= worth_of(least) / chosen.token_bytes as f32)
        );
        check_places(step, chosen, at, list, counts[at][1]);
        lists.push(list.to_vec());
    }
    lists
}

/// Where the tokens of each coded cluster begin, and which of the clusters are of which segment.
fn check_places(step: &Step<'_>, chosen: &Adaptive, at: usize, list: &[u32], tokens: u32) {
    let (task, sequence) = (&step.world.tasks[at], &step.sequences[at]);
    let starts: Vec<u32> = step.read(chosen.coded_starts);
    let of_segments: Vec<[u32; 2]> = step.read(chosen.coded_segments);
    let mut token = 0;
    for (place, ordinal) in list.iter().enumerate() {
        let (segment, cluster) = find(sequence, *ordinal as usize);
        assert_eq!(starts[task.first_cluster as usize + place], token);
        token += sequence.segments[segment].counts[cluster];
        let [from, to] = of_segments[task.first_segment as usize + segment];
        assert!((from..to).contains(&(place as u32)));
    }
    assert_eq!(tokens, token);
}

/// The weights of the coded clusters' tokens: of each task `[group][tokens]`.
fn check_weights(step: &Step<'_>, weighed: &Weigh, lists: &[Vec<u32>]) -> Vec<Vec<Vec<f32>>> {
    let weights: Vec<f32> = step.read(weighed.weights);
    let lse: Vec<f32> = step.read(weighed.lse);
    let scores: Vec<f32> = step.read(step.scanned.scores);
    let mut all = vec![];
    for ((task, sequence), list) in step.world.tasks.iter().zip(step.sequences).zip(lists) {
        let dim = sequence.shape.dim;
        let mut of_task = vec![];
        for row in 0..sequence.shape.group {
            let query = &sequence.queries[row * dim..][..dim];
            let from = task.weights as usize + row * task.capacity as usize;
            let mut token = 0;
            for ordinal in list {
                let (segment, cluster) = find(sequence, *ordinal as usize);
                let stored = &sequence.segments[segment];
                let codes = Codes4::new(
                    &stored.key_codes,
                    &stored.key_code_scales,
                    &stored.key_profile,
                )
                .unwrap();
                let centre = scores
                    [task.entries as usize + row * task.clusters as usize + *ordinal as usize];
                let beside = f64::from(centre) - f64::from(lse[task.first_answer as usize + row]);
                let first = stored.first_rows[cluster] as usize - stored.first_row;
                let largest = query
                    .iter()
                    .zip(&stored.key_profile)
                    .fold(0.0_f32, |m, (q, p)| m.max((q * p).abs()));
                for at in first..first + stored.counts[cluster] as usize {
                    let mut key = vec![0.0; dim];
                    codes.decode(at, &mut key).unwrap();
                    let product = query
                        .iter()
                        .zip(&key)
                        .map(|(q, k)| f64::from(*q) * f64::from(*k));
                    let product = product.sum::<f64>() * f64::from(sequence.scale);
                    let length = key
                        .iter()
                        .zip(&stored.key_profile)
                        .map(|(k, p)| f64::from(k / p).powi(2));
                    let step = f64::from(largest * sequence.scale) / 8191.0;
                    let tolerance =
                        3.0 * step * length.sum::<f64>().sqrt() + 3e-5 * beside.abs().max(1.0);
                    let truth = (product + beside).min(40.0);
                    let weight = f64::from(weights[from + token]);
                    if truth > -80.0 {
                        assert_close(weight.ln() as f32, truth, tolerance, "weight");
                    }
                    token += 1;
                }
            }
            of_task.push(weights[from..from + token].to_vec());
        }
        all.push(of_task);
    }
    all
}

/// What a judgement says of the tokens of one task.
struct Verdict<'a> {
    /// `[group][tokens]`.
    weights: &'a [Vec<f32>],
    exact: &'a [u32],
    value: &'a [u32],
    places: &'a [u32],
    /// Least worths: of a value by codes, and of a token exactly.
    least: [f64; 2],
    linear: f64,
}

/// What stays of some tokens, for each query head: weights, squares and sums of errors.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    weight: f64,
    squares: f64,
    sum: f64,
}

impl Verdict<'_> {
    /// A token, by its row and its place among the weights, with the errors of a weight of 1; adds to `left` what stays.
    fn check_token(&self, row: u32, token: usize, errors: &[[f64; 2]], left: &mut [Left]) {
        let wrong = |kind: usize| {
            let of_rows = self.weights.iter().zip(errors);
            of_rows.map(move |(weights, errors)| f64::from(weights[token]) * errors[kind])
        };
        let worth: f64 = wrong(0).map(|error| error * (error + self.linear)).sum();
        let worth_exact: f64 = wrong(1).map(|error| error * error).sum();
        let is_exact = self.exact.contains(&row);
        let value = self.value.iter().position(|value| *value == row);
        let sure = |worth: f64, least: f64| (worth / least - 1.0).abs() > 1e-3;
        if sure(worth_exact, self.least[1]) {
            assert_eq!(is_exact, worth_exact >= self.least[1], "token {row}");
        }
        if !is_exact && sure(worth, self.least[0]) {
            assert_eq!(value.is_some(), worth >= self.least[0], "token {row}");
        }
        assert!(value.is_none_or(|at| self.places[at] as usize == token));
        if is_exact {
            return;
        }
        let errors = wrong(0).zip(wrong(1));
        for (at, (left, (by_mean, by_codes))) in left.iter_mut().zip(errors).enumerate() {
            let by_mean = if value.is_some() { 0.0 } else { by_mean };
            left.weight += f64::from(self.weights[at][token]);
            left.squares += by_codes * by_codes + by_mean * by_mean;
            left.sum += by_mean;
        }
    }
}

/// Errors of a weight of 1 in a cluster, for each query head: with the mean value, and with codes.
fn errors_of(step: &Step<'_>, judged: &Judge, at: usize, ordinal: usize) -> Vec<[f64; 2]> {
    let (norms, spreads): (Vec<f32>, Vec<f32>) =
        (step.read(judged.norms), step.read(judged.spreads));
    let (task, sequence) = (&step.world.tasks[at], &step.sequences[at]);
    let (segment, cluster) = find(sequence, ordinal);
    let stored = &sequence.segments[segment];
    let spread = f64::from(stored.value_spreads[cluster]);
    let norm = f64::from(stored.value_norms[cluster]);
    let errors = (0..sequence.shape.group).map(|row| {
        let answer = f64::from(norms[task.first_answer as usize + row]);
        let of_row = spreads[(task.first_segment as usize + segment) * MOST_ROWS + row];
        let variance = (f64::from(stored.key_spreads[cluster]) * f64::from(of_row)).min(16.0);
        let distance = (spread * spread + norm * norm + answer * answer).sqrt();
        let wrong = CODE_ERROR * spread + CODE_ERROR * variance.sqrt() * distance;
        [spread / answer, wrong / answer]
    });
    errors.collect()
}

/// The tokens that are read, and what is left of each coded cluster and of no other.
fn check_judgement(
    step: &Step<'_>,
    judged: &Judge,
    lists: &[Vec<u32>],
    weights: &[Vec<Vec<f32>>],
    doubts: &[[f32; 2]],
    [prices, before]: [&[f32]; 2],
) {
    let after: Vec<f32> = step.read(judged.log_mass);
    let lse: Vec<f32> = step.read(judged.lse);
    let final_prices: Vec<f32> = step.read(judged.prices);
    let [exacts, values, places] = [judged.exact_rows, judged.value_rows, judged.value_tokens];
    let [exacts, values, places] = [exacts, values, places].map(|list| step.read::<u32>(list));
    let lengths = [judged.exact_lengths, judged.value_lengths].map(|list| step.read::<u32>(list));
    for (at, (task, sequence)) in step.world.tasks.iter().zip(step.sequences).enumerate() {
        let listed = task.first_listed as usize;
        let price = f64::from(final_prices[at]);
        let verdict = Verdict {
            weights: &weights[at],
            exact: &exacts[listed..][..lengths[0][at] as usize],
            value: &values[listed..][..lengths[1][at] as usize],
            places: &places[listed..][..lengths[1][at] as usize],
            least: [judged.value_bytes, judged.exact_bytes].map(|bytes| price * f64::from(bytes)),
            linear: 2.0 * COHERENCE * 0.55 * f64::from(judged.target_error),
        };
        assert!(verdict.value.is_sorted() && verdict.places.is_sorted());
        let entry = |row: usize, ordinal: u32| {
            task.entries as usize + row * task.clusters as usize + ordinal as usize
        };
        let (mut token, mut all) = (0, vec![Left::default(); sequence.shape.group]);
        for ordinal in &lists[at] {
            let (segment, cluster) = find(sequence, *ordinal as usize);
            let stored = &sequence.segments[segment];
            let errors = errors_of(step, judged, at, *ordinal as usize);
            let mut left = vec![Left::default(); all.len()];
            for row in
                stored.first_rows[cluster]..stored.first_rows[cluster] + stored.counts[cluster]
            {
                verdict.check_token(row, token, &errors, &mut left);
                token += 1;
            }
            for (row, (left, all)) in left.iter().zip(&mut all).enumerate() {
                let truth = left.weight.ln() + f64::from(lse[task.first_answer as usize + row]);
                assert_close(
                    after[entry(row, *ordinal)],
                    truth,
                    2e-5 * truth.abs().max(1.0),
                    "mass left",
                );
                all.squares += left.squares;
                all.sum += left.sum;
            }
        }
        let lowered = final_prices[at] < prices[at] && !lists[at].is_empty();
        check_doubt(
            step,
            judged,
            task.first_answer as usize,
            &all,
            (doubts, lowered),
        );
        for row in 0..all.len() {
            for ordinal in (0..task.clusters).filter(|ordinal| !lists[at].contains(ordinal)) {
                let entry = entry(row, ordinal);
                assert_eq!(after[entry].to_bits(), before[entry].to_bits());
            }
        }
    }
}

/// What is in doubt after the judgement; within the aim, where the price was lowered for it.
fn check_doubt(
    step: &Step<'_>,
    judged: &Judge,
    first_answer: usize,
    left: &[Left],
    (before, lowered): (&[[f32; 2]], bool),
) {
    let squares: Vec<f32> = step.read(judged.doubt_squares);
    let sums: Vec<f32> = step.read(judged.doubt_sums);
    let aim = 0.8 * f64::from(judged.target_error);
    let mut worst = 0.0_f64;
    for (row, left) in left.iter().enumerate() {
        let answer = first_answer + row;
        let [square, sum] = before[answer].map(f64::from);
        let (square, sum) = (square + left.squares, sum + left.sum);
        assert_close(
            squares[answer],
            square,
            1e-3 * square + 1e-9,
            "squares in doubt",
        );
        assert_close(sums[answer], sum, 1e-3 * sum + 1e-9, "sum in doubt");
        worst = worst.max(error_of(square, sum));
    }
    assert!(
        !lowered || worst <= aim * 1.001,
        "a lowered price leaves {worst}, over {aim}"
    );
}

/// The answer: what is computed exactly, what is estimated, and what values are beside their means.
fn check_answer(
    step: &Step<'_>,
    judged: &Judge,
    weights: &[Vec<Vec<f32>>],
    merged: &Merge,
    tolerance: f64,
) {
    let (answers, lse): (Vec<f32>, Vec<f32>) = (step.read(merged.answers), step.read(merged.lse));
    let references: Vec<f32> = step.read(judged.lse);
    let log_mass: Vec<f32> = step.read(judged.log_mass);
    let (exacts, exact_lengths): (Vec<u32>, Vec<u32>) = (
        step.read(judged.exact_rows),
        step.read(judged.exact_lengths),
    );
    let (values, value_lengths): (Vec<u32>, Vec<u32>) = (
        step.read(judged.value_rows),
        step.read(judged.value_lengths),
    );
    let places: Vec<u32> = step.read(judged.value_tokens);
    for (at, (task, sequence)) in step.world.tasks.iter().zip(step.sequences).enumerate() {
        let dim = sequence.shape.value_dim;
        let listed = task.first_listed as usize;
        for (row, weights) in weights[at].iter().enumerate() {
            let exact = exacts[listed..][..exact_lengths[at] as usize]
                .iter()
                .map(|row| *row as usize);
            let exact = exact.chain(sequence.loose.clone());
            let (mut masses, mut parts): (Vec<f64>, Vec<Vec<f64>>) = exact
                .map(|token| (sequence.score(row, token), sequence.value(token)))
                .unzip();
            for stored in &sequence.segments {
                for cluster in 0..stored.counts.len() {
                    let entry = task.entries as usize
                        + row * task.clusters as usize
                        + stored.first_cluster
                        + cluster;
                    masses.push(f64::from(log_mass[entry]));
                    parts.push(stored.value_mean(cluster));
                }
            }
            let mut truth = reference::softmax(&masses, &parts, dim);
            let answer = task.first_answer as usize + row;
            let relative = (f64::from(references[answer]) - truth.lse).exp();
            for index in 0..value_lengths[at] as usize {
                let token = values[listed + index] as usize;
                let stored = sequence
                    .segments
                    .iter()
                    .rfind(|stored| stored.first_row <= token)
                    .unwrap();
                let codes = Codes4::new(
                    &stored.value_codes,
                    &stored.value_code_scales,
                    &stored.value_profile,
                )
                .unwrap();
                let mut value = vec![0.0; dim];
                codes.decode(token - stored.first_row, &mut value).unwrap();
                let weight = f64::from(weights[places[listed + index] as usize]) * relative;
                for (out, value) in truth.out.iter_mut().zip(value) {
                    *out += weight * f64::from(value);
                }
            }
            let what = format!("dim {dim}, task {at}, row {row}");
            assert_close(
                lse[answer],
                truth.lse,
                tolerance * truth.lse.abs().max(1.0),
                &what,
            );
            for (got, truth) in answers[answer * dim..][..dim].iter().zip(&truth.out) {
                assert_close(*got, *truth, tolerance, &what);
            }
        }
    }
}

/// Runs the step; returns how many clusters were coded, tokens exact, and values read by codes.
fn check(sequences: &[Sequence], target: f32) -> [usize; 3] {
    let mut step = Step::new(sequences);
    let shape = &sequences[0].shape;
    let attend = launch::attend(shape.dtype, shape.dim as u32, shape.value_dim as u32);
    let items = step.items(false);
    let none = step.world.memory.put("none", &vec![0_u32; sequences.len()]);
    let params = step.attend(&items, [none, none]);
    launch(
        attend,
        [items.len(), step.bands],
        &params,
        &mut step.world.memory,
    );
    let estimated = step.merge(&params);

    let before: Vec<f32> = step.read(step.scanned.log_mass);
    let chosen = step.select(&estimated, target);
    let lists = check_choice(&step, &chosen, &before);
    let prices: Vec<f32> = step.read(chosen.prices);
    let doubts: [Vec<f32>; 2] = [
        step.read(chosen.doubt_squares),
        step.read(chosen.doubt_sums),
    ];
    let doubts: Vec<[f32; 2]> = doubts[0]
        .iter()
        .zip(&doubts[1])
        .map(|(a, b)| [*a, *b])
        .collect();

    let weighed = step.weigh(&chosen);
    let weights = check_weights(&step, &weighed, &lists);
    let judged = step.judge(&chosen, &weighed);
    check_judgement(
        &step,
        &judged,
        &lists,
        &weights,
        &doubts,
        [&prices, &before],
    );

    let items = step.items(true);
    let params = step.attend(&items, [judged.exact_rows, judged.exact_lengths]);
    launch(
        attend,
        [items.len(), step.bands],
        &params,
        &mut step.world.memory,
    );
    let values = AddValues {
        attend: params,
        weights: weighed.weights,
        lse: weighed.lse,
        value_rows: judged.value_rows,
        value_tokens: judged.value_tokens,
        value_lengths: judged.value_lengths,
    };
    let kernel = launch::add_values(shape.value_dim as u32);
    launch(
        kernel,
        [items.len(), step.bands],
        &values,
        &mut step.world.memory,
    );
    let merged = step.merge(&params);
    check_answer(&step, &judged, &weights, &merged, 1e-4);
    let total = |address| step.read::<u32>(address).iter().sum::<u32>() as usize;
    [
        lists.iter().map(Vec::len).sum(),
        total(judged.exact_lengths),
        total(judged.value_lengths),
    ]
}

fn clusters(many: usize, seed: u32) -> Vec<u32> {
    (0..many as u32).map(|at| (at * 7 + seed) % 19).collect()
}

#[test]
fn an_adaptive_step_is_right_at_every_stage() {
    let mut read = [0; 3];
    for (dim, group, size) in [
        (64, 4, 2.0),
        (128, 4, 1.0),
        (128, 1, 3.0),
        (256, 2, 1.5),
        (80, 3, 2.0),
        (48, 11, 1.0),
    ] {
        for target in [0.3, 0.05, 0.005] {
            let shape = |segments| Shape {
                size,
                loose: 9,
                ..Shape::new(dim, group, segments)
            };
            let sequences = [
                Sequence::random(1, &shape(vec![clusters(50, 3), clusters(40, 1)])),
                Sequence::random(2, &shape(vec![clusters(30, 5)])),
            ];
            let found = check(&sequences, target);
            read = [0, 1, 2].map(|at| read[at] + found[at]);
        }
    }
    // Or the stages had nothing to be right about.
    assert!(read.iter().all(|count| *count > 100), "{read:?}");
}

#[test]
fn a_target_that_is_met_reads_no_codes() {
    let shape = Shape::new(64, 2, vec![clusters(20, 3)]);
    assert_eq!(check(&[Sequence::random(1, &shape)], 1000.0), [0; 3]);
}
