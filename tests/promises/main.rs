//! What WaveKV promises, one module each, seen through the real daemon process over real gRPC.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails its test"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod about;
mod accuracy;
mod activity;
mod audit;
mod backpressure;
mod bad_input;
mod concurrency;
mod corruption;
mod described;
mod disk;
mod durability;
mod exactness;
mod formats;
mod full_disk;
mod health;
mod histories;
mod inspector;
mod isolation;
mod kinds;
mod lifecycle;
mod merging;
mod metrics;
mod packaging;
mod reported;
mod residence;
mod same_collection;
mod services;
mod settings;
mod shared_memory;
mod sharing;
mod snapshots;
mod speculation;
mod traces;
mod verification;
mod zones;
