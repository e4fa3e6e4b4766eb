//! Metrics: what is counted as it happens, the declaration of everything that is exported, and its form.
//!
//! Two kinds of figures come together in an answer to a scrape. Calls are counted here as they end, whatever their transport
//! ([`Metrics::begin`]): tens of nanoseconds, no allocation and no lock once a series is there. Everything else is read where
//! it is when it is asked for, by whoever knows it, and put on a [`Page`].
//!
//! The library is `prometheus`: its histograms and counters are atomics that a caller keeps hold of. Those of
//! `prometheus-client` are behind a lock, and those of `metrics-exporter-prometheus` keep every sample until somebody asks.
//!
//! Must not know: what a collection is, or who asks. Start at `declared.rs`, then [`Metrics`] and [`Page`].

mod calls;
pub mod declared;
mod labels;
mod page;
#[cfg(test)]
mod table;

pub use self::calls::{CallCounts, Metrics, Timed};
pub use self::labels::{Operation, Outcome, ShmEnd, Transport};
pub use self::page::{CONTENT_TYPE, Page};
