//! Every family, at every level this CPU has, against the reference.
//!
//! One module a family; `inputs.rs` makes the shapes. With `WAVEKV_REQUIRE_ISA=avx512bf16` (`avx512`, `avx2`) a
//! level that could not run is a failure instead of a gap.

#![expect(
    clippy::unwrap_used,
    reason = "a shape refused in a test is a failed test"
)]
#![expect(
    clippy::float_cmp,
    reason = "where numbers are compared, they are exact"
)]

mod appraise;
mod assign;
mod attend;
mod code;
mod encode;
mod estimate;
mod gather;
mod inputs;
mod judge;
mod log_mass;
mod scan;

use wavekv_kernels::{Isa, Kernels};

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the test run, not a setting"
)]
fn the_required_level_can_run() {
    let Ok(required) = std::env::var("WAVEKV_REQUIRE_ISA") else {
        return;
    };
    let isa = Isa::ALL.into_iter().find(|isa| isa.name() == required);
    let isa = isa.unwrap_or_else(|| panic!("WAVEKV_REQUIRE_ISA is {required}, expected a level"));
    assert!(Kernels::at(isa).is_some(), "this CPU has no {isa}");
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "what a test run did not test should be seen"
)]
fn levels_that_cannot_run_here_are_named() {
    for isa in Isa::ALL {
        if Kernels::at(isa).is_none() {
            eprintln!("not tested, since this CPU does not have it: {isa}");
        }
    }
}

#[test]
fn the_best_level_is_the_last_available() {
    let levels: Vec<Isa> = Kernels::available().map(Kernels::isa).collect();
    assert_eq!(levels.first(), Some(&Isa::Portable));
    assert_eq!(levels.last(), Some(&Kernels::detect().isa()));
}
