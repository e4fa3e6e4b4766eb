//! Log mass of clusters.

use proptest::prelude::*;
use wavekv_kernels::{Kernels, LogMass, Spreads, reference};

use crate::inputs::{close, numbers, rows};

proptest! {
    #[test]
    fn log_masses_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), counts in prop::collection::vec(0..10_000_u32, 1..70),
        second_order: bool, size in 0.01..1e4_f32, seed: u64,
    ) {
        let positive = |seed, count| numbers(seed, count).iter().map(|x| x.abs()).collect::<Vec<f32>>();
        let scores: Vec<f32> = numbers(seed, rows * counts.len()).iter().map(|x| x * 20.0).collect();
        let of_clusters = positive(seed ^ 1, counts.len());
        let of_rows: Vec<f32> = positive(seed ^ 2, rows).iter().map(|x| x * size).collect();
        let mut first: Option<Vec<f32>> = None;
        for kernels in Kernels::available() {
            let mut got = scores.clone();
            let spreads = Spreads { of_clusters: &of_clusters, of_rows: &of_rows };
            let spreads = second_order.then_some(spreads);
            kernels.log_mass(LogMass::new(rows, &mut got, &counts, spreads).unwrap());
            for (index, got) in got.iter().enumerate() {
                let (row, cluster) = (index / counts.len(), index % counts.len());
                let variance = f64::from(of_clusters[cluster]) * f64::from(of_rows[row]);
                let variance = if second_order { variance } else { 0.0 };
                let truth = reference::log_mass(f64::from(scores[index]), counts[cluster], variance);
                prop_assert!(close(*got, truth, 1e-6, truth.abs().max(10.0)), "{got} {truth}");
            }
            let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            if let Some(first) = &first {
                prop_assert_eq!(bits(first), bits(&got), "{}", kernels.isa());
            }
            first.get_or_insert(got);
        }
    }
}

#[test]
fn no_clusters_and_other_shapes() {
    for kernels in Kernels::available() {
        kernels.log_mass(LogMass::new(3, &mut [], &[], None).unwrap());
    }
    assert!(LogMass::new(2, &mut [0.0; 3], &[1, 1], None).is_err());
    let spreads = |of_clusters, of_rows| {
        Some(Spreads {
            of_clusters,
            of_rows,
        })
    };
    assert!(LogMass::new(1, &mut [0.0; 2], &[1, 1], spreads(&[0.0], &[0.0])).is_err());
    assert!(LogMass::new(1, &mut [0.0; 2], &[1, 1], spreads(&[0.0; 2], &[0.0; 2])).is_err());
}
