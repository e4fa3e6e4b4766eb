//! A round of k-means, to the bit.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{Assign, Part};
use wavekv_kernels::{AddPoints, Kernels, Matrix, Points, Quantise, Sums, reference};
use wavekv_kernels_shim::Memory;

use crate::launch;

/// Points as a build makes them: numbers around the means of clusters, at the scale of 16 bits.
fn points(seed: u64, rows: usize, dim: usize) -> Points {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let numbers: Vec<f32> = (0..rows * dim)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let mut points = Points::new(dim);
    let matrix = Matrix::from_f32(&numbers, rows, dim).unwrap();
    let (base, mut lengths) = (vec![0.05; dim], vec![]);
    Kernels::detect().quantise(Quantise::new(matrix, &base, &mut lengths, &mut points).unwrap());
    points
}

fn numbers(points: &Points) -> Vec<i16> {
    let rows = (0..points.rows()).flat_map(|row| points.row(row).as_flattened().to_vec());
    rows.collect()
}

/// Points and centroids of several k-means, and where they are in device memory.
fn put(memory: &mut Memory, dim: usize, shapes: &[(usize, usize)]) -> Vec<(Points, Points, Part)> {
    let elements = dim.div_ceil(2) * 2;
    let part = |(at, (rows, clusters)): (usize, &(usize, usize))| {
        let points = points(at as u64, *rows, dim);
        // Some twice: of equal centroids the first is nearest.
        let picks: Vec<u32> = (0..*clusters)
            .map(|cluster| (cluster * 3 / 2 % rows) as u32)
            .collect();
        let mut centroids = Points::new(dim);
        centroids.take(&points, &picks).unwrap();
        let part = Part {
            points: memory.put("points", &numbers(&points)),
            centroids: memory.put_writable("centroids", &numbers(&centroids)),
            half_squares: memory.put_writable("half_squares", &halves(&centroids)),
            nearest: memory.room::<u32>("nearest", *rows),
            sums: memory.put_writable("sums", &vec![0_i32; clusters * elements]),
            counts: memory.put_writable("counts", &vec![0_u32; *clusters]),
            points_count: *rows as u32,
            clusters: *clusters as u32,
        };
        (points, centroids, part)
    };
    shapes.iter().enumerate().map(part).collect()
}

fn halves(centroids: &Points) -> Vec<i32> {
    (0..centroids.rows())
        .map(|cluster| centroids.square(cluster) / 2)
        .collect()
}

#[test]
fn a_round_is_the_same_as_on_the_cpu() {
    for dim in [64, 128, 256, 80, 16, 33, 576] {
        let mut memory = Memory::new();
        let all = put(&mut memory, dim, &[(130, 17), (1, 1), (64, 64), (77, 5)]);
        let parts: Vec<Part> = all.iter().map(|(_, _, part)| *part).collect();
        let params = Assign {
            parts: memory.put("parts", &parts),
            elements: dim.div_ceil(2) as u32 * 2,
            unused: 0,
        };
        let kernel = launch::assign_points(params.elements);
        launch(
            kernel,
            [130_usize.div_ceil(64), parts.len()],
            &params,
            &mut memory,
        );
        for (points, centroids, part) in &all {
            let nearest: Vec<u32> = memory.read(part.nearest);
            assert_eq!(nearest, reference::assign(points, centroids), "dim {dim}");
        }
        launch(launch::ADD_POINTS, [3, parts.len()], &params, &mut memory);
        launch(
            launch::MOVE_CENTROIDS,
            [2, parts.len()],
            &params,
            &mut memory,
        );
        for (points, centroids, part) in &all {
            let mut sums = Sums::default();
            sums.clear(part.clusters as usize, dim);
            let nearest: Vec<u32> = memory.read(part.nearest);
            Kernels::detect().add_points(AddPoints::new(points, &nearest, &mut sums).unwrap());
            let mut moved = centroids.clone();
            sums.move_centroids(&mut moved).unwrap();
            assert_eq!(
                memory.read::<i16>(part.centroids),
                numbers(&moved),
                "dim {dim}"
            );
            assert_eq!(
                memory.read::<i32>(part.half_squares),
                halves(&moved),
                "dim {dim}"
            );
            assert!(memory.read::<i32>(part.sums).iter().all(|sum| *sum == 0));
            assert!(
                memory
                    .read::<u32>(part.counts)
                    .iter()
                    .all(|count| *count == 0)
            );
        }
    }
}
