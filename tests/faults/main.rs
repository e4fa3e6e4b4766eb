//! What WaveKV promises when the disk fails, the process ends or the power goes, exactly at every place where that can be.
//!
//! The daemon is built with the feature `failpoints`: `make test` does so after the tests that need none.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails its test"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "the promises are tested with the rest of it"
)]
#[path = "../harness/mod.rs"]
mod harness;

mod crash;
mod errors;
mod faulty;
mod power;
mod sharing;
