//! The C client: a small C ABI over the blocking Rust client, for engines in C and C++.
//!
//! `include/wavekv.h` is generated from this crate, and a test compares it. A function checks every pointer that may not be
//! null, copies what it is given, and writes to memory of the caller's; it never unwinds into C, and no signal of it ends the host
//! (`sigpipe.rs`). `status.rs` is how failures
//! are told, `given.rs` how pointers become values, and the rest one file for each group of calls: start in `client.rs`.
//!
//! Must not know more of the daemon than the Rust client does.

mod attend;
mod client;
mod collections;
mod given;
mod sigpipe;
mod status;
mod tokens;

pub use attend::{WavekvAttend, WavekvMode, WavekvModeKind, WavekvReport, wavekv_attend};
pub use client::{WavekvClient, wavekv_close, wavekv_connect};
pub use collections::{
    WavekvDescription, WavekvDurability, WavekvGeometry, WavekvIndex, wavekv_create, wavekv_delete,
    wavekv_fork, wavekv_get, wavekv_truncate,
};
pub use given::{WavekvCollection, WavekvDtype, WavekvLayer, WavekvTensor};
pub use status::{WavekvStatus, wavekv_error};
pub use tokens::{WavekvInsert, wavekv_fetch, wavekv_insert, wavekv_segment_cluster};
