//! The door of shared memory: the data plane for engines on this machine, without copies and without serialization.
//!
//! A client has a connection, a connection has a memory, a thread and what its client may cost. The thread takes calls out
//! of the ring in their order, checks them with the code that checks those of gRPC, and has the engine make them: small
//! ones where they are, others on the compute pool; whoever made a call writes its answer. Whatever a client does with its
//! memory or its socket, it loses its connection at worst; the others notice nothing.
//!
//! Must not know how memory is laid out and how rings work: that is `wavekv-shm`.
//!
//! Start reading in `listen.rs`, then `connection.rs`, `calls.rs`, `requests.rs` and `answers.rs`.

mod answers;
mod call;
mod calls;
mod connection;
mod listen;
mod names;
mod peer;
mod requests;
mod spare;

pub(super) use listen::Door;
pub use listen::ShmSettings;
