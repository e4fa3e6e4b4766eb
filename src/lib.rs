//! WaveKV: a KV-cache storage daemon with a vector-database API.
//!
//! A sequence's KV cache is a collection: its keys are vectors, grouped into clusters; a decode step is a query that
//! reads the few clusters that matter exactly and estimates the rest. This crate is the daemon, `wavekvd`; what its
//! rooms are for and who may know whom is in `ARCHITECTURE.md`.
//!
//! Start reading at [`model`] for the words, then [`index`] for the idea and [`collection`] for the life of an insert
//! and of an attend.
#![forbid(unsafe_code)]

pub mod clock;
pub mod collection;
pub mod config;
pub mod engine;
pub mod index;
pub mod model;
pub mod service;
pub mod telemetry;
