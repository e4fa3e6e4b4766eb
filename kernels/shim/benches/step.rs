//! A decode step on a GPU, by the kernels themselves: exact attention, the scan, and the step by budget, at growing lengths.
//!
//! `WAVEKV_ON_GPU=1 cargo bench --package wavekv-kernels-shim --features gpu --bench step`. Where no GPU is asked for, one small
//! step runs on the CPU, to see that it runs: nothing is timed there. Geometry of Llama 3: 8 KV heads, groups of 4, 128 elements,
//! bf16. Numbers are random, so the time is measured and the error is not. Before each timed launch all keys and values are
//! read, so that none of what it reads is in a cache.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and has no other way to go on"
)]

use bytemuck::NoUninit;
use half::bf16;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::Dtype;
use wavekv_kernels::cuda::launch::{self, Kernel};
use wavekv_kernels::cuda::tables::{
    Attend, BAND, BLOCK_TOKENS, Block, Budget, ITEM_CLUSTERS, ITEM_LIST, ITEM_ROWS, Item,
    MOST_ROWS, Merge, Peak, Scan, ScanItem, Segment, Task,
};
use wavekv_kernels_shim::{Launch, Memory};

const HEADS: usize = 8;
const GROUP: usize = 4;
const DIM: usize = 128;
/// Tokens of a cluster, and of a segment.
const CLUSTER: usize = 16;
const SEGMENT: usize = 8192;
/// Tokens and clusters of an item.
const ITEM_TOKENS: usize = 1024;
const SCAN_CLUSTERS: usize = 256;
const ESTIMATE_CLUSTERS: usize = 512;
/// Parts of a list.
const SPLITS: u32 = 16;
const REPEATS: usize = 9;

fn main() {
    let Some(gpu) = Memory::gpu() else {
        println!("step: no GPU is asked for: one step on the CPU, not timed");
        let mut scene = Scene::new(2 * SEGMENT / 8);
        scene.exact();
        scene.step();
        return;
    };
    println!(
        "{gpu}; {HEADS} KV heads, groups of {GROUP}, {DIM} elements, bf16; median of {REPEATS}, milliseconds"
    );
    println!("| tokens | exact | GB/s | scan | GB/s | step by budget | exact / step |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for tokens in [8192, 32768, 131_072, 524_288, 1_048_576] {
        let mut scene = Scene::new(tokens);
        let exact = scene.median(Scene::exact);
        let scan = scene.median(Scene::scan);
        let step = scene.median(Scene::step);
        let bytes = (HEADS * tokens * DIM * 4) as f32;
        let scanned = (HEADS * tokens / CLUSTER * (DIM + 12)) as f32;
        let rate = |bytes: f32, time: f32| bytes / time / 1e6;
        println!(
            "| {tokens} | {exact:.3} | {:.0} | {scan:.3} | {:.0} | {step:.3} | {:.1} |",
            rate(bytes, exact),
            rate(scanned, scan),
            exact / step
        );
    }
}

/// Sequences of one length in device memory, and what is launched over them.
struct Scene {
    memory: Memory,
    scan: (Scan, usize),
    budget: Budget,
    exact: (Attend, usize, Merge),
    chosen: (Attend, usize, Merge),
}

fn random(seed: u64, count: usize) -> Vec<u16> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut number = || bf16::from_f32(random.random_range(-1.0..1.0)).to_bits();
    let some: Vec<u16> = (0..count.min(1 << 20)).map(|_| number()).collect();
    some.iter().copied().cycle().take(count).collect()
}

fn bytes(seed: u64, count: usize) -> Vec<i8> {
    let words = random(seed, count);
    words
        .iter()
        .map(|word| (word.wrapping_mul(40503) >> 8) as i8)
        .collect()
}

impl Scene {
    fn new(tokens: usize) -> Self {
        let mut memory = Memory::new();
        let clusters = tokens / CLUSTER;
        let (mut tasks, mut segments, mut blocks) = (vec![], vec![], vec![]);
        for head in 0..HEADS {
            tasks.push(task(
                &mut memory,
                head,
                clusters,
                [segments.len(), blocks.len()],
            ));
            segments.extend(of_segments(&mut memory, head, tokens));
            let keys = memory.put("keys", &random(head as u64, tokens * DIM));
            let values = memory.put("values", &random(head as u64 + 100, tokens * DIM));
            let at = |block: usize| (block * BLOCK_TOKENS * DIM * 2) as u64;
            blocks.extend((0..tokens / BLOCK_TOKENS).map(|block| Block {
                keys: keys + at(block),
                values: values + at(block),
            }));
        }
        let mut scan_items = vec![];
        let (mut exact_items, mut chosen_items) = (vec![], vec![]);
        for (at, task) in tasks.iter_mut().enumerate() {
            task.first_scan = scan_items.len() as u32;
            scan_items.extend(of_scan(at, task, &segments));
            task.scans = scan_items.len() as u32 - task.first_scan;
            exact_items.extend(of_rows(at, tokens));
            chosen_items.extend(of_choice(at, task, &segments));
        }
        let segments = memory.put("segments", &segments);
        let blocks = memory.put("blocks", &blocks);
        let entries = HEADS * GROUP * clusters;
        let scan = Scan {
            tasks: memory.put("tasks", &tasks),
            segments,
            items: memory.put("items", &scan_items),
            scores: memory.room::<f32>("scores", entries),
            log_mass: memory.room::<f32>("log_mass", entries),
            peaks: memory.room::<Peak>("peaks", scan_items.len() * MOST_ROWS),
            spreads: memory.room::<f32>("spreads", HEADS * tokens.div_ceil(SEGMENT) * MOST_ROWS),
            head_dim: DIM as u32,
            first_order: 0,
        };
        let budget = budget(&mut memory, &scan, tokens);
        let exact = attend(
            &mut memory,
            &mut tasks,
            &exact_items,
            (&scan, &budget, blocks),
        );
        let chosen = attend(
            &mut memory,
            &mut tasks,
            &chosen_items,
            (&scan, &budget, blocks),
        );
        Self {
            memory,
            scan: (scan, scan_items.len()),
            budget,
            exact,
            chosen,
        }
    }

    /// The median time of some launches, each after all keys and values were read.
    fn median(&mut self, work: fn(&mut Self)) -> f32 {
        let mut times: Vec<f32> = (0..REPEATS)
            .map(|_| {
                self.exact();
                // Launches are of the memory, which is timed: it is lent for that long.
                let mut memory = std::mem::take(&mut self.memory);
                let time = memory.time(|memory| {
                    std::mem::swap(&mut self.memory, memory);
                    work(self);
                    std::mem::swap(&mut self.memory, memory);
                });
                self.memory = memory;
                time.unwrap()
            })
            .collect();
        times.sort_by(f32::total_cmp);
        times[REPEATS / 2]
    }

    fn exact(&mut self) {
        let (attend, items, merge) = self.exact;
        self.attend(&attend, items, &merge);
    }

    fn scan(&mut self) {
        let (params, items) = self.scan;
        run(
            launch::scan_int8(DIM as u32),
            [items, 1],
            &params,
            &mut self.memory,
        );
    }

    fn step(&mut self) {
        self.scan();
        run(
            launch::SELECT_BUDGET,
            [HEADS, 1],
            &self.budget,
            &mut self.memory,
        );
        let (attend, items, merge) = self.chosen;
        self.attend(&attend, items, &merge);
    }

    fn attend(&mut self, attend: &Attend, items: usize, merge: &Merge) {
        let kernel = launch::attend(Dtype::Bf16, DIM as u32, DIM as u32);
        run(kernel, [items, 1], attend, &mut self.memory);
        run(launch::MERGE, [HEADS, GROUP], merge, &mut self.memory);
    }
}

fn run<P: NoUninit>(kernel: Kernel, grid: [usize; 2], params: &P, memory: &mut Memory) {
    let launch = Launch {
        kernel: kernel.name,
        grid: [grid[0] as u32, grid[1] as u32, 1],
        threads: kernel.threads,
        shared_bytes: kernel.shared_bytes,
    };
    launch.run(params, memory).unwrap();
}

fn task(memory: &mut Memory, head: usize, clusters: usize, [segments, blocks]: [usize; 2]) -> Task {
    let queries = random(head as u64 + 200, GROUP * DIM);
    let queries: Vec<f32> = queries
        .iter()
        .map(|x| bf16::from_bits(*x).to_f32())
        .collect();
    Task {
        queries: memory.put("queries", &queries),
        positions: 0,
        entries: (head * GROUP * clusters) as u64,
        weights: 0,
        first_cluster: (head * clusters) as u32,
        clusters: clusters as u32,
        rows: GROUP as u32,
        first_segment: segments as u32,
        segments: (clusters * CLUSTER).div_ceil(SEGMENT) as u32,
        first_block: blocks as u32,
        first_scan: 0,
        scans: 0,
        first_item: 0,
        items: 0,
        first_listed: (head * clusters * CLUSTER) as u32,
        capacity: (clusters * CLUSTER) as u32,
        first_answer: (head * GROUP) as u32,
        visible_first: 0,
        visible_end: u32::MAX,
        scale: (DIM as f32).sqrt().recip(),
        softcap: 0.0,
        unused: 0,
    }
}

/// The segments of a head: pieces of columns that run through all of them.
fn of_segments(memory: &mut Memory, head: usize, tokens: usize) -> Vec<Segment> {
    let clusters = tokens / CLUSTER;
    let centroids = memory.put("centroids", &bytes(head as u64 + 300, clusters * DIM));
    let means = memory.put("value_means", &bytes(head as u64 + 400, clusters * DIM));
    let scales = memory.put("scales", &vec![0.01_f32; clusters]);
    let spreads = memory.put("spreads", &vec![0.5_f32; clusters]);
    let counts = memory.put("counts", &vec![CLUSTER as u32; clusters]);
    let rows: Vec<u32> = (0..clusters)
        .map(|cluster| (cluster * CLUSTER) as u32)
        .collect();
    let rows = memory.put("first_rows", &rows);
    let line = memory.put("profile", &[0.1_f32; DIM]);
    let segment = |at: usize| {
        let first = at * SEGMENT / CLUSTER;
        let words = (first * size_of::<f32>()) as u64;
        Segment {
            centroids: centroids + (first * DIM) as u64,
            centroid_scales: scales + words,
            key_base: line,
            key_profile: line,
            key_spreads: spreads + words,
            counts: counts + words,
            first_rows: rows + words,
            value_means: means + (first * DIM) as u64,
            value_mean_scales: scales + words,
            value_base: line,
            value_mean_norms: spreads + words,
            value_spreads: spreads + words,
            value_profile: line,
            clusters: (SEGMENT / CLUSTER).min(clusters - first) as u32,
            first_cluster: first as u32,
            first_row: (at * SEGMENT) as u32,
            first_position: (at * SEGMENT) as u32,
            end_position: ((at + 1) * SEGMENT).min(tokens) as u32,
            ..bytemuck::Zeroable::zeroed()
        }
    };
    (0..tokens.div_ceil(SEGMENT)).map(segment).collect()
}

fn of_scan(at: usize, task: &Task, segments: &[Segment]) -> Vec<ScanItem> {
    let part = SCAN_CLUSTERS as u32;
    let of_segment = |segment: u32| {
        let clusters = segments[segment as usize].clusters;
        (0..clusters.div_ceil(part)).map(move |index| ScanItem {
            task: at as u32,
            segment,
            first: index * part,
            end: clusters.min((index + 1) * part),
        })
    };
    (task.first_segment..task.first_segment + task.segments)
        .flat_map(of_segment)
        .collect()
}

fn item(task: usize, kind: u32) -> Item {
    Item {
        task: task as u32,
        kind,
        splits: SPLITS,
        ..bytemuck::Zeroable::zeroed()
    }
}

fn of_rows(at: usize, tokens: usize) -> Vec<Item> {
    let part = |first: usize| Item {
        first: first as u32,
        end: tokens.min(first + ITEM_TOKENS) as u32,
        ..item(at, ITEM_ROWS)
    };
    (0..tokens).step_by(ITEM_TOKENS).map(part).collect()
}

fn of_choice(at: usize, task: &Task, segments: &[Segment]) -> Vec<Item> {
    let listed = (0..SPLITS).map(|split| Item {
        split,
        ..item(at, ITEM_LIST)
    });
    let estimated = (task.first_segment..task.first_segment + task.segments).flat_map(|segment| {
        let clusters = segments[segment as usize].clusters as usize;
        (0..clusters)
            .step_by(ESTIMATE_CLUSTERS)
            .map(move |first| Item {
                segment,
                first: first as u32,
                end: clusters.min(first + ESTIMATE_CLUSTERS) as u32,
                ..item(at, ITEM_CLUSTERS)
            })
    });
    listed.chain(estimated).collect()
}

/// The choice of 1.8 % of the tokens.
fn budget(memory: &mut Memory, scan: &Scan, tokens: usize) -> Budget {
    Budget {
        tasks: scan.tasks,
        segments: scan.segments,
        logits: scan.log_mass,
        log_mass: scan.log_mass,
        shares: memory.room::<f32>("shares", HEADS * tokens / CLUSTER),
        zones: memory.room::<u8>("zones", HEADS * tokens / CLUSTER),
        lists: memory.room::<u32>("lists", HEADS * tokens),
        list_lengths: memory.room::<u32>("list_lengths", HEADS),
        retrieve_share: 0.018,
        estimate_share: 1.0,
        by_clusters: 0,
        unused: 0,
    }
}

/// Attention by these items, how many they are, and their merge.
fn attend(
    memory: &mut Memory,
    tasks: &mut [Task],
    items: &[Item],
    (scan, budget, blocks): (&Scan, &Budget, u64),
) -> (Attend, usize, Merge) {
    for (at, task) in tasks.iter_mut().enumerate() {
        task.first_item = items
            .iter()
            .take_while(|item| (item.task as usize) < at)
            .count() as u32;
        task.items = items.iter().filter(|item| item.task as usize == at).count() as u32;
    }
    let slots = items.len() * BAND;
    let params = Attend {
        tasks: memory.put("tasks", tasks),
        segments: scan.segments,
        items: memory.put("items", items),
        blocks,
        lists: budget.lists,
        list_lengths: budget.list_lengths,
        log_mass: scan.log_mass,
        peaks: scan.peaks,
        outs: memory.room::<f32>("outs", slots * DIM),
        sums: memory.room::<Peak>("sums", slots),
        key_dim: DIM as u32,
        value_dim: DIM as u32,
        bands: 1,
        dtype: 0,
        light_share: -20.0,
        unused: 0,
    };
    let merge = Merge {
        tasks: params.tasks,
        outs: params.outs,
        sums: params.sums,
        answers: memory.room::<f32>("answers", HEADS * GROUP * DIM),
        lse: memory.room::<f32>("lse", HEADS * GROUP),
        norms: memory.room::<f32>("norms", HEADS * GROUP),
        value_dim: DIM as u32,
        bands: 1,
    };
    (params, items.len(), merge)
}
