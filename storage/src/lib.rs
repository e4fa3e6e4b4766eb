//! Bytes: what WaveKV holds, how much of it, and where.
//!
//! * [`Budget`] counts memory, [`Buffer`] is memory that is counted;
//! * [`segment`] keeps the columns of one immutable segment, in memory or in a mapped file, under a schema that it is
//!   given;
//! * [`Residence`] decides which blocks of mapped files are in memory;
//! * [`store`] keeps collections over restarts: a catalog in RocksDB, and files;
//! * [`DataDir`] is the directory on disk that one daemon owns.
//!
//! Must not know: what the bytes mean. No name here speaks of attention, of the index or of the API, and no other crate
//! of the workspace is known, so that the index can change without a change here.
//!
//! Start at [`Budget::allocate`], then [`segment`] and [`store`].
#![deny(unsafe_code)]

mod budget;
mod buffer;
mod catalog;
mod cells;
mod data_dir;
pub mod faults;
mod reread;
mod residence;
pub mod segment;
pub mod store;

pub use budget::{Budget, BudgetExceeded, Bytes, Reservation, Shortage};
pub use buffer::Buffer;
pub use catalog::CatalogError;
pub use cells::Cells;
pub use data_dir::{DataDir, DataDirError};
pub use residence::{Hold, Home, Patience, Residence, ResidenceError, Traffic};
