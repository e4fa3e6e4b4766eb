//! Every kernel of `kernels/cuda`, run on the CPU, against the reference in `f64` and, where there is one, the family of the CPU.
//!
//! One module a family; `world.rs` makes sequences and puts them into device memory.

#![expect(
    clippy::unwrap_used,
    reason = "a launch refused where it should run is a failed test"
)]
#![expect(clippy::float_cmp, reason = "infinities are equal to themselves alone")]

mod adaptive;
mod assign;
mod attend;
mod gather;
mod scan;
mod select;
mod sources;
mod trace;
mod world;

use bytemuck::NoUninit;
use wavekv_kernels::cuda::launch::Kernel;
use wavekv_kernels_shim::{Launch, Memory, Traffic};

/// Runs a kernel in the shape that the host would launch it with.
fn launch<P: NoUninit>(
    kernel: Kernel,
    grid: [usize; 2],
    params: &P,
    memory: &mut Memory,
) -> Traffic {
    let launch = Launch {
        kernel: kernel.name,
        grid: [grid[0] as u32, grid[1] as u32, 1],
        threads: kernel.threads,
        shared_bytes: kernel.shared_bytes,
    };
    launch.run(params, memory).unwrap()
}

/// Whether `got` is `truth` up to `tolerance`; infinities are equal to themselves alone.
#[track_caller]
fn assert_close(got: f32, truth: f64, tolerance: f64, what: &str) {
    let close = if truth.is_finite() {
        (f64::from(got) - truth).abs() <= tolerance
    } else {
        f64::from(got) == truth
    };
    assert!(close, "{what}: {got} is not {truth} (within {tolerance:e})");
}
