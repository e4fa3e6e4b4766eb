//! What every promise is tested with: a real daemon process, the sequences that are stored in it, and exact attention
//! over them.
//!
//! Must not know the daemon's insides: it starts the built binary and speaks gRPC.
//!
//! Start reading in `daemon.rs`, then `sequence.rs`.

pub(crate) mod daemon;
pub(crate) mod sequence;

pub(crate) use daemon::Daemon;
pub(crate) use sequence::{Sequence, Shape};
