//! Log mass of clusters.

use proptest::prelude::*;
use wavekv_kernels::{Kernels, LogMass, reference};

use crate::inputs::{close, numbers, rows};

proptest! {
    #[test]
    fn log_masses_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), counts in prop::collection::vec(0..10_000_u32, 1..70),
        second_order: bool, size in 0.01..1e4_f32, seed: u64,
    ) {
        let scores: Vec<f32> = numbers(seed, rows * counts.len()).iter().map(|x| x * 20.0).collect();
        let variances: Vec<f32> = numbers(seed ^ 1, scores.len()).iter().map(|x| x.abs() * size).collect();
        let mut first: Option<Vec<f32>> = None;
        for kernels in Kernels::available() {
            let mut got = scores.clone();
            let variances = second_order.then_some(variances.as_slice());
            kernels.log_mass(LogMass::new(rows, &mut got, &counts, variances).unwrap());
            for (index, got) in got.iter().enumerate() {
                let variance = variances.map_or(0.0, |all| f64::from(all[index]));
                let count = counts[index % counts.len()];
                let truth = reference::log_mass(f64::from(scores[index]), count, variance);
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
    assert!(LogMass::new(1, &mut [0.0; 2], &[1, 1], Some(&[0.0])).is_err());
}
