//! How good clusters are: their inertia, beside a k-means by FAISS over the whole segment.

use std::path::Path;

use faiss::Index as _;
use faiss::cluster::{Clustering, ClusteringParameters};
use faiss::index::flat::FlatIndex;
use wavekv::index::build::HeadBuild;
use wavekv_kernels::Dtype;
use wavekv_trace::Trace;

use crate::segments::{self, Failure, SEGMENT_TOKENS, Tokens, Workshop};

/// Of FAISS's k-means, its default.
const PASSES: u32 = 25;
/// So many runs of FAISS's k-means, from other initial centroids.
const SEEDS: [u32; 3] = [1, 2, 3];

pub(crate) fn print(traces: &[String]) -> Result<(), Failure> {
    if traces.is_empty() {
        return Ok(());
    }
    println!(
        "\nInertia of keys: ours over FAISS's after {PASSES} passes, same number of clusters, segments of \
         {SEGMENT_TOKENS}; FAISS's is the mean of {} seeds, and its spread the largest over the smallest:\n",
        SEEDS.len()
    );
    println!("| trace | layer | KV head | segment | clusters | ours / FAISS | FAISS's spread |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for path in traces {
        of_trace(Path::new(path))?;
    }
    Ok(())
}

fn of_trace(path: &Path) -> Result<(), Failure> {
    let trace = Trace::load(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let dtype = match trace.dtype {
        wavekv_trace::Dtype::Bf16 => Dtype::Bf16,
        wavekv_trace::Dtype::F16 => Dtype::F16,
        wavekv_trace::Dtype::F32 => Dtype::F32,
    };
    let mut ratios = vec![];
    for layer in &trace.layers {
        for head in 0..trace.kv_heads {
            let [keys, values] = [&layer.k, &layer.v].map(|plane| {
                let bytes = plane.data().len() / trace.kv_heads;
                plane.data().slice(head * bytes..(head + 1) * bytes)
            });
            let tokens = Tokens::new(&keys, &values, dtype, trace.head_dim);
            let workshop = Workshop::new(trace.head_dim, dtype)?;
            for (number, range) in tokens.segments().enumerate() {
                let clusters =
                    segments::clusters(&workshop.build(&mut HeadBuild::new(), &tokens, &range)?)?;
                let bytes = trace.head_dim * dtype.size_of();
                let bytes = &keys[range.start * bytes..range.end * bytes];
                let points = Points::new(trace.dtype.decode(bytes), trace.head_dim);
                let ours = points.inertia(&clusters);
                let theirs = SEEDS.map(|seed| points.faiss(clusters.len(), seed));
                let theirs = theirs.into_iter().collect::<Result<Vec<f64>, _>>()?;
                let mean = theirs.iter().sum::<f64>() / theirs.len() as f64;
                let [least, most] = [f64::min, f64::max]
                    .map(|of| theirs.iter().copied().reduce(of).unwrap_or(f64::NAN));
                println!(
                    "| {name} | {} | {head} | {number} | {} | {:.3} | {:.3} |",
                    layer.number,
                    clusters.len(),
                    ours / mean,
                    most / least
                );
                ratios.push(ours / mean);
            }
        }
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(f64::NAN, f64::max);
    println!("| {name} | all | | mean {mean:.3} | | worst {worst:.3} | |");
    Ok(())
}

/// Keys of one segment beside their mean.
struct Points {
    all: Vec<f32>,
    dim: usize,
}

impl Points {
    fn new(mut all: Vec<f32>, dim: usize) -> Self {
        let rows: Vec<u32> = (0..(all.len() / dim) as u32).collect();
        let mean = mean(&all, dim, &rows);
        for row in all.chunks_exact_mut(dim) {
            for (x, mean) in row.iter_mut().zip(&mean) {
                *x -= *mean as f32;
            }
        }
        Self { all, dim }
    }

    /// Sum of the squared distances of points from the mean of their cluster.
    fn inertia(&self, clusters: &[Vec<u32>]) -> f64 {
        let of_cluster = |rows: &Vec<u32>| {
            let mean = mean(&self.all, self.dim, rows);
            let of_row = |row: &u32| {
                let point = &self.all[*row as usize * self.dim..][..self.dim];
                let squares = point.iter().zip(&mean);
                squares
                    .map(|(x, mean)| (f64::from(*x) - mean).powi(2))
                    .sum::<f64>()
            };
            rows.iter().map(of_row).sum::<f64>()
        };
        clusters.iter().map(of_cluster).sum()
    }

    /// The inertia of what FAISS makes.
    fn faiss(&self, clusters: usize, seed: u32) -> Result<f64, Failure> {
        let mut parameters = ClusteringParameters::new();
        parameters.set_niter(PASSES);
        parameters.set_seed(seed);
        parameters.set_min_points_per_centroid(1);
        let dim = self.dim as u32;
        let mut clustering = Clustering::new_with_params(dim, clusters as u32, &parameters)?;
        clustering.train(&self.all, &mut FlatIndex::new_l2(dim)?)?;
        let mut centroids = FlatIndex::new_l2(dim)?;
        centroids.add(&clustering.centroids()?.concat())?;
        let nearest = centroids.assign(&self.all, 1)?.labels;
        let mut made = vec![vec![]; clusters];
        for (row, cluster) in (0..).zip(nearest) {
            let cluster = cluster.get().ok_or("FAISS assigned a point to nothing")?;
            made[cluster as usize].push(row);
        }
        made.retain(|rows| !rows.is_empty());
        Ok(self.inertia(&made))
    }
}

fn mean(points: &[f32], dim: usize, rows: &[u32]) -> Vec<f64> {
    let mut mean = vec![0.0; dim];
    for row in rows {
        for (sum, x) in mean.iter_mut().zip(&points[*row as usize * dim..][..dim]) {
            *sum += f64::from(*x);
        }
    }
    for x in &mut mean {
        *x /= rows.len().max(1) as f64;
    }
    mean
}
