//! Clusters of a given mass and their mean values.

use proptest::prelude::*;
use wavekv_kernels::{Accumulator, Estimate, Kernels, reference};

use crate::inputs::{Bytes8, close, dims, lengths, numbers, rows};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn estimates_are_the_reference_on_every_level(
        rows in rows(), value_dim in dims(), length in lengths(), means in 1..40_usize,
        spread in 0.1..40.0_f32, absent in 1..5_usize, base in 1..9_usize, seed: u64,
    ) {
        let mut masses: Vec<f32> = numbers(seed, rows * length).iter().map(|x| x * spread).collect();
        for mass in masses.iter_mut().step_by(absent) {
            *mass = f32::NEG_INFINITY;
        }
        let values = Bytes8::random(seed ^ 1, means, value_dim);
        let picks: Vec<u32> = (0..length)
            .map(|j| if j % base == 0 { Estimate::BASE } else { (j * 7 % means) as u32 })
            .collect();
        let rows_of_values = reference::rows_of_codes8(values.codes());
        let base: Vec<f64> = values.codes().base().iter().map(|x| f64::from(*x)).collect();
        let picked: Vec<Vec<f64>> = picks
            .iter()
            .map(|pick| rows_of_values.get(*pick as usize).unwrap_or(&base).clone())
            .collect();
        let by_row: Vec<Vec<f64>> = (0..rows)
            .map(|r| (0..length).map(|j| f64::from(masses[r * length + j])).collect())
            .collect();
        let truth = reference::estimate(&by_row, &picked, value_dim);
        for kernels in Kernels::available() {
            let mut acc = Accumulator::new(rows, value_dim);
            kernels.estimate(Estimate::new(&masses, &picks, values.codes(), &mut acc).unwrap());
            let mut out = vec![f32::NAN; value_dim];
            for (row, truth) in truth.iter().enumerate() {
                let lse = acc.write_row(row, &mut out).unwrap();
                prop_assert!(close(lse, truth.lse, 1e-5, truth.lse.abs().max(1.0)));
                for (out, truth) in out.iter().zip(&truth.out) {
                    prop_assert!(close(*out, *truth, 1e-5, truth.abs().max(1.0)), "{out} {truth}");
                }
            }
        }
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let values = Bytes8::random(1, 3, 4);
    let fits = |masses: usize, picks: &[u32], dim| {
        let mut acc = Accumulator::new(2, dim);
        Estimate::new(&vec![0.0; masses], picks, values.codes(), &mut acc).is_ok()
    };
    assert!(fits(6, &[0, 2, Estimate::BASE], 4));
    assert!(!fits(6, &[0, 3, 1], 4));
    assert!(!fits(5, &[0, 1, 2], 4));
    assert!(!fits(6, &[0, 1, 2], 5));
}
