//! The same kernels on K, V and Q of a real model, where the traces are.

use std::fs;
use std::path::Path;

use half::f16;
use safetensors::SafeTensors;
use wavekv_kernels::Dtype;

use crate::attend::check_exactly;
use crate::world::{Sequence, Shape};

const TRACE: &str = "../../../shared/traces/smol_kjv_needle_8k.safetensors";
/// Of the last ones of the trace.
const TOKENS: usize = 1500;
const DIM: usize = 64;
const GROUP: usize = 3;

fn numbers(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = tensors.tensor(name).unwrap();
    let pairs = bytes.data().as_chunks::<2>().0;
    pairs
        .iter()
        .map(|pair| f16::from_le_bytes(*pair).to_f32())
        .collect()
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "what a test run did not test should be seen"
)]
fn kernels_are_the_reference_on_a_real_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRACE);
    let Ok(file) = fs::read(&path) else {
        eprintln!("not tested, since there is no trace: {}", path.display());
        return;
    };
    let tensors = SafeTensors::deserialize(&file).unwrap();
    for layer in [2, 7, 22] {
        let [keys, values, queries] =
            ["k", "v", "q"].map(|part| numbers(&tensors, &format!("L{layer}.{part}")));
        let tokens = tensors.tensor(&format!("L{layer}.k")).unwrap().shape()[1];
        let heads = queries.len() / 128 / DIM;
        let shape = Shape {
            dtype: Dtype::F16,
            loose: 64,
            ..Shape::new(DIM, GROUP, vec![vec![16; (TOKENS - 64) / 16]])
        };
        let head = layer % (heads / GROUP);
        let of_head =
            |all: &[f32]| all[(head * tokens + tokens - TOKENS) * DIM..][..TOKENS * DIM].to_vec();
        // The last query, which reads all of them.
        let query = &queries[(127 * heads + head * GROUP) * DIM..][..GROUP * DIM];
        let sequence = Sequence::of(7, &shape, (&of_head(&keys), &of_head(&values)), query);
        check_exactly(&[sequence], 3, 2e-4);
    }
}
