//! The Rust client of WaveKV: the calls of the contract, over gRPC (on a Unix socket or TCP) or shared memory.
//!
//! [`Client::connect`] gives a [`Client`], which is cheap to clone and may be used by many tasks at once. Its methods
//! are the calls of the contract; messages are those of [`wire`], documented in `proto/wavekv/v1/*.proto`. A batch
//! answers entry by entry ([`Batch`]); the methods that end in `_one` take one entry and answer with its outcome.
//! [`blocking::Client`] is the same for threads that wait.
//!
//! This crate must not know what a trace is, nor anything of the daemon but its contract. Start reading in `client.rs`.
#![forbid(unsafe_code)]

mod address;
mod batch;
pub mod blocking;
mod client;
mod collections;
mod data_plane;
mod error;
mod events;
mod mode;
mod packed;
mod shm;
mod snapshots;
mod verification;

pub use address::{Address, AddressError};
pub use batch::{Batch, EntryResult};
pub use client::{Client, ConnectOptions};
pub use error::{ClientError, Code};
pub use events::Events;
pub use mode::{Mode, UnknownMode};
pub use packed::Packed;
pub use shm::ShmOptions;
pub use verification::Verification;

/// The messages of the contract, package `wavekv.v1`.
pub use wavekv_proto::v1 as wire;
