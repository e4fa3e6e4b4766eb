//! The contract of shared memory: where everything lies, how the rings work, what a call's bytes mean, and how two
//! processes begin. `LAYOUT.md` says all of it for those who write another client.
//!
//! Both sides use this crate and neither trusts the other: an index, a descriptor or a body is copied once out of memory
//! that may change at any time, and checked as the copy. Nothing here panics over what the peer writes.
//!
//! It knows nobody, and not what a call means: a body is a record of numbers and [`Region`]s. Start reading at [`layout`],
//! then [`memory`] (the one `unsafe` place), [`ring`], [`body`] and [`handshake`].

pub mod body;
pub mod descriptor;
pub mod handshake;
pub mod layout;
pub mod line;
pub mod memory;
pub mod ring;
pub mod spin;
pub mod writer;

pub use descriptor::{Completion, Operation, Submission};
pub use layout::{Layout, LayoutError, Region};
pub use memory::{Memory, OutOfArena};
