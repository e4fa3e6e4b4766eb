//! A sealed segment as one Arrow IPC file: written once, checked, and mapped in place.
//!
//! `FORMAT.md` beside this file has the byte map. [`write()`] makes a file that is whole or not there; [`open`] maps it and
//! refuses whatever is not the segment that was asked for; [`load`] reads it into memory; [`verify`] reads every byte again.
//!
//! Must not know: what a column means, and where files stand. Start at [`Label`], then `write.rs`, then `open.rs`.

mod error;
mod frame;
mod label;
mod load;
mod open;
mod parse;
mod types;
mod verify;
mod write;

pub use error::FileError;
pub use label::Label;
pub use load::{LoadError, load};
pub use open::{Check, open};
pub use verify::verify;
pub use write::{length, write};

/// Version of the format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What the catalog keeps of a file, to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Of the whole file.
    pub bytes: u64,
    /// CRC-32C of the whole file.
    pub checksum: u32,
}

/// How far a write must have got when it is said to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// The system has it: it outlives this process.
    System,
    /// The device has it: it outlives a loss of power.
    Device,
}
