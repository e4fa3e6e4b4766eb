//! Rows from anywhere, side by side.

use proptest::prelude::*;
use wavekv_kernels::{Dtype, Gather, Kernels};

use crate::inputs::{Tensor, dims, dtypes};

proptest! {
    #[test]
    fn picked_rows_are_the_rows_in_order(
        dtype in dtypes(), rows in 1..100_usize, dim in dims(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60), seed: u64,
    ) {
        let tensor = Tensor::random(seed, dtype, rows, dim);
        let picks: Vec<u32> = picks.iter().map(|pick| pick.index(rows) as u32).collect();
        let row = dim * dtype.size_of();
        let expected: Vec<u8> = picks
            .iter()
            .flat_map(|pick| tensor.matrix().bytes()[*pick as usize * row..][..row].to_vec())
            .collect();
        for kernels in Kernels::available() {
            let mut to = vec![0; picks.len() * row];
            kernels.gather(Gather::new(tensor.matrix(), &picks, &mut to).unwrap());
            prop_assert_eq!(&to, &expected, "{}", kernels.isa());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let tensor = Tensor::random(1, Dtype::Bf16, 3, 16);
    let fits = |picks: &[u32], bytes: usize| {
        Gather::new(tensor.matrix(), picks, &mut vec![0; bytes]).is_ok()
    };
    assert!(fits(&[2, 0], 64));
    assert!(!fits(&[3, 0], 64));
    assert!(!fits(&[2, 0], 63));
    assert!(!fits(&[2], 64));
}
