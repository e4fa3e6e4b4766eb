//! A context stored in a daemon and asked about: what `bench` and `capacity` measure with.
//!
//! `source.rs` has K, V and Q, `questions.rs` what is asked, `build.rs` stores, `ask.rs` measures, `tally.rs` adds up. K and V are
//! never in this process as a whole. Must not know who measures, or what for.

mod ask;
mod build;
mod questions;
mod source;
mod tally;

pub(crate) use ask::Asking;
pub(crate) use build::Builder;
pub(crate) use questions::Questions;
pub(crate) use source::{Recipe, Source};
