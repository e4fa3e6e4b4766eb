//! Entries of a given mass.

use proptest::prelude::*;
use wavekv_kernels::{Accumulator, Estimate, Kernels, reference};

use crate::inputs::{Tensor, close, dims, dtypes, lengths, numbers, rows};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn estimates_are_the_reference_on_every_level(
        rows in rows(), value_dim in dims(), length in lengths(), dtype in dtypes(),
        spread in 0.1..40.0_f32, absent in 1..5_usize, seed: u64,
    ) {
        let mut masses: Vec<f32> = numbers(seed, rows * length).iter().map(|x| x * spread).collect();
        for mass in masses.iter_mut().step_by(absent) {
            *mass = f32::NEG_INFINITY;
        }
        let values = Tensor::random(seed ^ 1, dtype, length, value_dim);
        let by_row: Vec<Vec<f64>> = (0..rows)
            .map(|r| masses[r * length..][..length].iter().map(|x| f64::from(*x)).collect())
            .collect();
        let truth = reference::estimate(&by_row, values.matrix());
        for kernels in Kernels::available() {
            let mut acc = Accumulator::new(rows, value_dim);
            kernels.estimate(Estimate::new(&masses, values.matrix(), &mut acc).unwrap());
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
    let values = Tensor::random(1, wavekv_kernels::Dtype::F32, 3, 4);
    let fits = |masses: usize, rows, dim| {
        let mut acc = Accumulator::new(rows, dim);
        Estimate::new(&vec![0.0; masses], values.matrix(), &mut acc).is_ok()
    };
    assert!(fits(6, 2, 4));
    assert!(!fits(5, 2, 4));
    assert!(!fits(6, 2, 5));
}
