//! What every promise is tested with: a real daemon process, the sequences that are stored in it, and exact attention
//! over them.
//!
//! Must not know the daemon's insides: it starts the built binary and speaks gRPC.
//!
//! Start reading in `daemon.rs`, then `sequence.rs` (what is stored) and `collection.rs` (what is done with it).

pub(crate) mod collection;
pub(crate) mod daemon;
pub(crate) mod http;
pub(crate) mod mode;
pub(crate) mod partial;
pub(crate) mod poll;
pub(crate) mod property;
pub(crate) mod sequence;
pub(crate) mod trace;
pub(crate) mod verified;
pub(crate) mod written;

pub(crate) use collection::Collection;
pub(crate) use daemon::Daemon;
pub(crate) use partial::Partial;
pub(crate) use sequence::{EXACT, Sequence, Shape};
