//! Attention traces, recorded and generated, and exact attention in f64: what every accuracy figure is measured with.
//!
//! A [`Trace`] holds the K and V of some layers of one sequence and the queries that were asked of them. It is read from
//! a safetensors file captured from a real model, or made by [`generate::generate`], whose keys behave like a model's.
//! [`exact::attend`] is the oracle, and [`compare`] says how far an answer is from it.
//!
//! This crate must not know the daemon, its contract or any index. Start reading in `trace.rs`.
#![forbid(unsafe_code)]

pub mod compare;
mod dtype;
pub mod exact;
mod file;
pub mod generate;
mod geometry;
mod plane;
mod trace;

pub use dtype::{Dtype, UnknownDtype};
pub use file::{Fault, TraceError};
pub use geometry::Geometry;
pub use plane::Plane;
pub use trace::{Layer, Planted, Trace};
