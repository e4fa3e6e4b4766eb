//! The data plane over shared memory. `proto/shm/LAYOUT.md` is the contract.
//!
//! A [`Transport`] has one connection at a time and makes another when the daemon was started again. A call takes a block
//! of the arena, writes its tensors there, submits, looks for its completion for a moment and then sleeps; its block is
//! free again when the daemon has answered, whoever still wants the answer.
//!
//! Must not know what the daemon does. Start reading in `transport.rs`, then `connection.rs`, `entry.rs` (from messages to
//! bytes) and `outcome.rs` (back).

mod arena;
mod connection;
mod entry;
mod names;
mod outcome;
mod pending;
mod transport;

pub use transport::ShmOptions;
pub(crate) use transport::Transport;
