//! What every client promises an engine, one suite that each of them passes over both transports.
//!
//! The Rust clients are asked here; other languages by a program that speaks the lines of `program.rs`: the environment's
//! `WAVEKV_CONFORMANCE` names a folder of such programs, as `clients/c/test.sh` and `clients/python/test.sh` leave them.
//! The adapter for transformers and the engine in Rust, which call through these clients, have the same promises in tests of
//! their own (`clients/python/tests/test_transformers.py`, `tests/engine`).
//!
//! Start reading in `promises.rs`, then `session.rs`.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a failure is said to be of the client that was named last"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails its test"
)]

#[path = "../harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the promises are tested with the rest of it"
)]
mod harness;

mod dense;
mod program;
mod promises;
mod rust;
mod session;
