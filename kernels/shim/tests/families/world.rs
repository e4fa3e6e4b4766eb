//! Sequences of random tokens in clusters, as they are stored, in `f64` and in device memory.

use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::cuda::tables::{BLOCK_TOKENS, Block, Segment, Task};
use wavekv_kernels::{Codes4, Codes8, Dtype};
use wavekv_kernels_shim::Memory;

/// What a sequence looks like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) dim: usize,
    pub(crate) value_dim: usize,
    /// Query heads of the group.
    pub(crate) group: usize,
    /// Sizes of the clusters of each segment.
    pub(crate) segments: Vec<Vec<u32>>,
    /// Tokens of sink and tail.
    pub(crate) loose: usize,
    pub(crate) dtype: Dtype,
    /// What keys and queries are multiplied with: large ones make extreme scores.
    pub(crate) size: f32,
    pub(crate) softcap: f32,
    /// The share of the positions that the query sees, from the first and to the last.
    pub(crate) seen: [f64; 2],
}

impl Shape {
    pub(crate) fn new(dim: usize, group: usize, segments: Vec<Vec<u32>>) -> Self {
        Self {
            dim,
            value_dim: dim,
            group,
            segments,
            loose: 21,
            dtype: Dtype::Bf16,
            size: 1.0,
            softcap: 0.0,
            seen: [0.0, 1.0],
        }
    }
}

/// One segment of a sequence; codes as they are stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) counts: Vec<u32>,
    pub(crate) first_rows: Vec<u32>,
    pub(crate) bounds: Vec<[u32; 2]>,
    pub(crate) positions: [u32; 2],
    pub(crate) centroids: Vec<i8>,
    pub(crate) centroid_scales: Vec<f32>,
    pub(crate) key_base: Vec<f32>,
    pub(crate) key_profile: Vec<f32>,
    pub(crate) key_spreads: Vec<f32>,
    pub(crate) value_means: Vec<i8>,
    pub(crate) value_mean_scales: Vec<f32>,
    pub(crate) value_base: Vec<f32>,
    pub(crate) value_norms: Vec<f32>,
    pub(crate) value_spreads: Vec<f32>,
    pub(crate) value_profile: Vec<f32>,
    pub(crate) key_codes: Vec<u8>,
    pub(crate) key_code_scales: Vec<f16>,
    pub(crate) value_codes: Vec<u8>,
    pub(crate) value_code_scales: Vec<f16>,
    pub(crate) first_row: usize,
    pub(crate) first_cluster: usize,
}

/// One KV head of a sequence.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) shape: Shape,
    pub(crate) scale: f32,
    pub(crate) queries: Vec<f32>,
    /// `[rows, dim]`, as the dtype has them; padding rows are zeros.
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) positions: Vec<u32>,
    pub(crate) segments: Vec<Stored>,
    /// Rows of sink and tail.
    pub(crate) loose: std::ops::Range<usize>,
    pub(crate) visible: [u32; 2],
}

fn rounded(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::Bf16 => bf16::from_f32(x).to_f32(),
        Dtype::F16 => f16::from_f32(x).to_f32(),
        Dtype::F32 => x,
    }
}

/// Rows of codes of half a byte beside `means`, for the tokens of clusters.
fn encode4(
    rows: &[f32],
    means: &[Vec<f32>],
    counts: &[u32],
    profile: &[f32],
) -> (Vec<u8>, Vec<f16>) {
    let dim = profile.len();
    let inverse: Vec<f32> = profile.iter().map(|x| x.recip()).collect();
    let mut codes = vec![];
    let mut scales = vec![];
    let mut at = 0;
    for (mean, count) in means.iter().zip(counts) {
        for row in rows[at * dim..].chunks_exact(dim).take(*count as usize) {
            let rest: Vec<f32> = row.iter().zip(mean).map(|(x, mean)| x - mean).collect();
            let mut to = vec![0; Codes4::code_bytes(dim)];
            scales.push(Codes4::encode(&rest, &inverse, &mut to).unwrap());
            codes.extend(to);
        }
        at += *count as usize;
    }
    (codes, scales)
}

impl Sequence {
    pub(crate) fn random(seed: u64, shape: &Shape) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (dim, value_dim) = (shape.dim, shape.value_dim);
        let mut made = Self {
            scale: (dim as f32).sqrt().recip(),
            queries: (0..shape.group * dim)
                .map(|_| random.random_range(-1.0..1.0) * shape.size)
                .collect(),
            keys: vec![],
            values: vec![],
            positions: vec![],
            segments: vec![],
            loose: 0..0,
            visible: [0, u32::MAX],
            shape: shape.clone(),
        };
        let mut position = 0;
        for clusters in &shape.segments {
            made.add_segment(&mut random, clusters, position);
            position += clusters.iter().sum::<u32>();
        }
        made.pad();
        let first = made.positions.len();
        made.loose = first..first + shape.loose;
        for at in 0..shape.loose {
            made.add_token(
                &mut random,
                &vec![0.0; dim],
                &vec![0.0; value_dim],
                position + at as u32,
            );
        }
        let all = f64::from(position) + shape.loose as f64;
        made.visible = shape.seen.map(|share| (share * all) as u32);
        made.pad();
        made
    }

    /// These tokens, in order, instead of random ones: clusters of neighbours.
    pub(crate) fn of(
        seed: u64,
        shape: &Shape,
        (keys, values): (&[f32], &[f32]),
        queries: &[f32],
    ) -> Self {
        let mut made = Self::random(seed, shape);
        made.queries = queries.to_vec();
        let rows: Vec<u32> = made.clustered();
        let rows = rows
            .into_iter()
            .map(|row| row as usize)
            .chain(made.loose.clone());
        for (token, row) in rows.enumerate() {
            let (dim, value_dim) = (shape.dim, shape.value_dim);
            made.keys[row * dim..][..dim].copy_from_slice(&keys[token * dim..][..dim]);
            made.values[row * value_dim..][..value_dim]
                .copy_from_slice(&values[token * value_dim..][..value_dim]);
        }
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        for at in 0..made.segments.len() {
            let Stored {
                counts,
                first_rows,
                positions,
                first_row,
                first_cluster,
                ..
            } = std::mem::take(&mut made.segments[at]);
            let tokens = counts.iter().sum::<u32>() as usize;
            let mut stored = Stored {
                counts,
                first_rows,
                positions,
                first_row,
                first_cluster,
                ..Stored::default()
            };
            made.describe(&mut random, &mut stored, tokens);
            made.segments[at] = stored;
        }
        made
    }

    /// Up to the next whole block.
    fn pad(&mut self) {
        while !self.positions.len().is_multiple_of(BLOCK_TOKENS) {
            self.positions.push(u32::MAX);
            self.keys.extend(vec![0.0; self.shape.dim]);
            self.values.extend(vec![0.0; self.shape.value_dim]);
        }
    }

    fn add_token(&mut self, random: &mut Pcg64Mcg, key: &[f32], value: &[f32], position: u32) {
        let (size, dtype) = (self.shape.size, self.shape.dtype);
        let mut beside =
            |x: &f32, size: f32| rounded((x + random.random_range(-0.5..0.5)) * size, dtype);
        self.keys.extend(key.iter().map(|x| beside(x, size)));
        self.values.extend(value.iter().map(|x| beside(x, 1.0)));
        self.positions.push(position);
    }

    fn add_segment(&mut self, random: &mut Pcg64Mcg, counts: &[u32], first_position: u32) {
        self.pad();
        let (dim, value_dim) = (self.shape.dim, self.shape.value_dim);
        let tokens: u32 = counts.iter().sum();
        let first_row = self.positions.len();
        let mut order: Vec<u32> = (0..tokens).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.random_range(0..=at));
        }
        let mut next = order.into_iter();
        let mut first_rows = vec![];
        for count in counts {
            first_rows.push(self.positions.len() as u32);
            let centre: Vec<f32> = (0..dim).map(|_| random.random_range(-1.0..1.0)).collect();
            let value: Vec<f32> = (0..value_dim)
                .map(|_| random.random_range(-1.0..1.0))
                .collect();
            for order in next.by_ref().take(*count as usize) {
                self.add_token(random, &centre, &value, first_position + order);
            }
        }
        let mut stored = Stored {
            counts: counts.to_vec(),
            first_rows,
            positions: [first_position, first_position + tokens],
            first_row,
            first_cluster: self
                .segments
                .iter()
                .map(|segment| segment.counts.len())
                .sum(),
            ..Stored::default()
        };
        self.describe(random, &mut stored, tokens as usize);
        self.segments.push(stored);
    }

    /// The statistics and codes of a segment whose tokens are there.
    fn describe(&self, random: &mut Pcg64Mcg, stored: &mut Stored, tokens: usize) {
        let (dim, value_dim) = (self.shape.dim, self.shape.value_dim);
        let mut number = |range: std::ops::Range<f32>| random.random_range(range);
        stored.key_base = (0..dim).map(|_| number(-0.3..0.3)).collect();
        stored.value_base = (0..value_dim).map(|_| number(-0.3..0.3)).collect();
        stored.key_profile = (0..dim).map(|_| number(0.1..0.4)).collect();
        stored.value_profile = (0..value_dim).map(|_| number(0.1..0.4)).collect();
        let (mut keys, mut values) = (vec![], vec![]);
        for (first, count) in stored.first_rows.iter().zip(&stored.counts) {
            let rows = *first as usize..(first + count) as usize;
            let mean = |all: &[f32], dim: usize| -> Vec<f32> {
                let of = |d| rows.clone().map(|row| all[row * dim + d]).sum::<f32>();
                (0..dim).map(|d| of(d) / (*count).max(1) as f32).collect()
            };
            let encode =
                |mean: &[f32], base: &[f32], codes: &mut Vec<i8>, scales: &mut Vec<f32>| {
                    let mut to = vec![0; mean.len()];
                    scales.push(Codes8::encode(mean, base, &mut to).unwrap());
                    codes.extend(to);
                };
            keys.push(mean(&self.keys, dim));
            values.push(mean(&self.values, value_dim));
            let (key, value) = (&keys[keys.len() - 1], &values[values.len() - 1]);
            encode(
                key,
                &stored.key_base,
                &mut stored.centroids,
                &mut stored.centroid_scales,
            );
            encode(
                value,
                &stored.value_base,
                &mut stored.value_means,
                &mut stored.value_mean_scales,
            );
            stored
                .value_norms
                .push(value.iter().map(|x| x * x).sum::<f32>().sqrt());
            stored.value_spreads.push(number(0.0..2.0));
            stored.key_spreads.push(number(0.0..1.5));
            let positions = &self.positions[rows];
            let bound = |x: Option<&u32>| x.copied().unwrap_or(0);
            stored
                .bounds
                .push([bound(positions.iter().min()), bound(positions.iter().max())]);
        }
        let rows = stored.first_row..stored.first_row + tokens;
        let tokens = &self.keys[rows.start * dim..rows.end * dim];
        (stored.key_codes, stored.key_code_scales) =
            encode4(tokens, &keys, &stored.counts, &stored.key_profile);
        let tokens = &self.values[rows.start * value_dim..rows.end * value_dim];
        (stored.value_codes, stored.value_code_scales) =
            encode4(tokens, &values, &stored.counts, &stored.value_profile);
    }

    pub(crate) fn clusters(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.counts.len())
            .sum()
    }

    pub(crate) fn sees(&self, row: usize) -> bool {
        (self.visible[0]..self.visible[1]).contains(&self.positions[row])
    }

    /// Rows of all tokens of clusters, in order.
    pub(crate) fn clustered(&self) -> Vec<u32> {
        let runs = self
            .segments
            .iter()
            .flat_map(|segment| segment.first_rows.iter().zip(&segment.counts));
        runs.flat_map(|(first, count)| *first..first + count)
            .collect()
    }

    /// The score of a token for a query head.
    pub(crate) fn score(&self, query: usize, row: usize) -> f64 {
        let dim = self.shape.dim;
        let pairs = self.queries[query * dim..][..dim]
            .iter()
            .zip(&self.keys[row * dim..]);
        let score = pairs
            .map(|(q, k)| f64::from(*q) * f64::from(*k))
            .sum::<f64>()
            * f64::from(self.scale);
        let cap = f64::from(self.shape.softcap);
        if cap > 0.0 {
            cap * (score / cap).tanh()
        } else {
            score
        }
    }

    pub(crate) fn value(&self, row: usize) -> Vec<f64> {
        let dim = self.shape.value_dim;
        self.values[row * dim..][..dim]
            .iter()
            .map(|x| f64::from(*x))
            .collect()
    }
}

impl Stored {
    pub(crate) fn centroid(&self, cluster: usize) -> Vec<f64> {
        decode(
            &self.centroids,
            &self.centroid_scales,
            &self.key_base,
            cluster,
        )
    }

    pub(crate) fn value_mean(&self, cluster: usize) -> Vec<f64> {
        decode(
            &self.value_means,
            &self.value_mean_scales,
            &self.value_base,
            cluster,
        )
    }
}

fn decode(codes: &[i8], scales: &[f32], base: &[f32], row: usize) -> Vec<f64> {
    let codes = codes[row * base.len()..].iter().zip(base);
    let scale = f64::from(scales[row]);
    codes
        .map(|(code, base)| f64::from(*code) * scale + f64::from(*base))
        .collect()
}

/// Bands of the sequence with most query rows.
pub(crate) fn bands_of(sequences: &[Sequence]) -> usize {
    let groups = sequences.iter().map(|sequence| sequence.shape.group);
    groups.max().unwrap_or(0).div_ceil(8)
}

/// Sequences in device memory.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) tasks: Vec<Task>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) blocks: Vec<Block>,
    /// Entries of arrays `[R, clusters]`, and of arrays `[clusters]`.
    pub(crate) entries: usize,
    pub(crate) clusters: usize,
    pub(crate) answers: usize,
}

fn bytes_of(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    let bytes = |x: &f32| match dtype {
        Dtype::Bf16 => bf16::from_f32(*x).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(*x).to_le_bytes().to_vec(),
        Dtype::F32 => x.to_le_bytes().to_vec(),
    };
    numbers.iter().flat_map(bytes).collect()
}

impl World {
    pub(crate) fn new(sequences: &[Sequence]) -> Self {
        let mut world = Self {
            memory: Memory::new(),
            tasks: vec![],
            segments: vec![],
            blocks: vec![],
            entries: 0,
            clusters: 0,
            answers: 0,
        };
        for sequence in sequences {
            world.add(sequence);
        }
        world
    }

    fn add(&mut self, sequence: &Sequence) {
        let (shape, memory) = (&sequence.shape, &mut self.memory);
        let clusters = sequence.clusters();
        self.tasks.push(Task {
            queries: memory.put("queries", &sequence.queries),
            positions: memory.put("positions", &sequence.positions),
            entries: self.entries as u64,
            first_cluster: self.clusters as u32,
            clusters: clusters as u32,
            rows: shape.group as u32,
            first_segment: self.segments.len() as u32,
            segments: sequence.segments.len() as u32,
            first_block: self.blocks.len() as u32,
            first_scan: 0,
            scans: 0,
            first_item: 0,
            items: 0,
            first_listed: 0,
            capacity: 0,
            weights: 0,
            unused: 0,
            first_answer: self.answers as u32,
            visible_first: sequence.visible[0],
            visible_end: sequence.visible[1],
            scale: sequence.scale,
            softcap: shape.softcap,
        });
        for stored in &sequence.segments {
            self.segments.push(segment_of(memory, stored));
        }
        let keys = memory.put("keys", &bytes_of(&sequence.keys, shape.dtype));
        let values = memory.put("values", &bytes_of(&sequence.values, shape.dtype));
        let bytes = |dim: usize| (BLOCK_TOKENS * dim * shape.dtype.size_of()) as u64;
        self.blocks.extend(
            (0..sequence.positions.len() / BLOCK_TOKENS).map(|block| Block {
                keys: keys + block as u64 * bytes(shape.dim),
                values: values + block as u64 * bytes(shape.value_dim),
            }),
        );
        self.entries += shape.group * clusters;
        self.clusters += clusters;
        self.answers += shape.group;
    }
}

fn segment_of(memory: &mut Memory, stored: &Stored) -> Segment {
    Segment {
        centroids: memory.put("centroids", &stored.centroids),
        centroid_scales: memory.put("centroid_scales", &stored.centroid_scales),
        key_base: memory.put("key_base", &stored.key_base),
        key_profile: memory.put("key_profile", &stored.key_profile),
        key_spreads: memory.put("key_spreads", &stored.key_spreads),
        counts: memory.put("counts", &stored.counts),
        first_rows: memory.put("first_rows", &stored.first_rows),
        position_bounds: memory.put("position_bounds", &stored.bounds),
        value_means: memory.put("value_means", &stored.value_means),
        value_mean_scales: memory.put("value_mean_scales", &stored.value_mean_scales),
        value_base: memory.put("value_base", &stored.value_base),
        value_mean_norms: memory.put("value_mean_norms", &stored.value_norms),
        value_spreads: memory.put("value_spreads", &stored.value_spreads),
        key_codes: memory.put("key_codes", &stored.key_codes),
        key_code_scales: memory.put("key_code_scales", &bits(&stored.key_code_scales)),
        value_codes: memory.put("value_codes", &stored.value_codes),
        value_code_scales: memory.put("value_code_scales", &bits(&stored.value_code_scales)),
        value_profile: memory.put("value_profile", &stored.value_profile),
        clusters: stored.counts.len() as u32,
        first_cluster: stored.first_cluster as u32,
        first_row: stored.first_row as u32,
        first_position: stored.positions[0],
        end_position: stored.positions[1],
        key_code_error: 0.15,
        value_code_error: 0.15,
        unused: 0,
    }
}

fn bits(numbers: &[f16]) -> Vec<u16> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
