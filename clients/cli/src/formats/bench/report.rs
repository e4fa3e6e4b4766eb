//! What `wavekv bench` found: its JSON file, and that of whoever did the same work otherwise (`benches/peers`).
//!
//! Both have one schema, so that a run can take in the points of another. What does not apply is null.

use serde::{Deserialize, Serialize};

use crate::formats::trace::Summary;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// That made this report.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    /// That was measured; none in a report of other systems.
    pub(crate) daemon: Option<Daemon>,
    pub(crate) contexts: Vec<Context>,
    /// Whose points were taken in.
    #[serde(default)]
    pub(crate) peers: Vec<Origin>,
}

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// That the measured work could use.
    pub(crate) threads: usize,
    /// How fast all threads together read memory; see `buffer_bytes`.
    pub(crate) read_bytes_per_second: Option<f64>,
    /// What was read to find that.
    pub(crate) buffer_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Daemon {
    pub(crate) version: String,
    pub(crate) isa: String,
}

/// Where points that were taken in come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) command: String,
    pub(crate) machine: Machine,
}

/// One sequence, and how it was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// Points are taken in only where this is the same.
    pub(crate) trace: Summary,
    /// K and V of one layer.
    pub(crate) layer_bytes: u64,
    pub(crate) build: Option<Build>,
    pub(crate) points: Vec<Point>,
}

/// How the sequence was stored, all of its layers together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Build {
    /// Until all was acknowledged.
    pub(crate) insert_seconds: f64,
    /// Until all was clustered too.
    pub(crate) seconds: f64,
    pub(crate) tokens_times_kv_heads_per_second: f64,
    pub(crate) clusters: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) meta_index_bytes: u64,
    pub(crate) code_bytes: u64,
}

/// One way to answer the queries of a context, one query token of one layer a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// `wavekv`, `pytorch`, `faiss`.
    pub(crate) system: String,
    /// Its mode or setting; the first word (up to a colon or a space) names the family.
    pub(crate) method: String,
    /// Whether it computes all tokens, so that nothing but rounding makes its error.
    pub(crate) exact: bool,
    /// Timed.
    pub(crate) queries: usize,
    pub(crate) latency_p50_ms: f64,
    pub(crate) latency_p99_ms: f64,
    /// Compared with exact attention; the errors are over these and all query heads.
    pub(crate) checked: usize,
    /// |out - exact| / |exact|.
    pub(crate) error_mean: Option<f64>,
    pub(crate) error_p50: Option<f64>,
    pub(crate) error_p95: Option<f64>,
    pub(crate) error_p99: Option<f64>,
    /// That the answers gave themselves.
    pub(crate) error_estimate_mean: Option<f64>,
    /// Share of the errors that the estimate is within a factor 2 of.
    pub(crate) calibrated_share: Option<f64>,
    /// A query, as the daemon reports it.
    pub(crate) bytes_read: Option<f64>,
    /// Of the bytes of full attention over the same tokens.
    pub(crate) byte_share: Option<f64>,
    pub(crate) zones: Option<Zones>,
}

/// Tokens of each zone, a query and KV head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Zones {
    pub(crate) steady: f64,
    pub(crate) retrieved: f64,
    pub(crate) coded: f64,
    pub(crate) estimated: f64,
    pub(crate) ignored: f64,
}

impl Report {
    /// Where its points come from, for a report that takes them in.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            command: self.command.clone(),
            machine: self.machine.clone(),
        }
    }
}

impl Context {
    /// Takes in the points of `peers` on the same context, if they have any.
    pub(crate) fn take_in(&mut self, peers: &Report) {
        for theirs in &peers.contexts {
            if theirs.trace == self.trace {
                self.points.extend(theirs.points.iter().cloned());
            }
        }
    }

    /// The daemon's exact mode.
    pub(crate) fn exact(&self) -> Option<&Point> {
        self.points
            .iter()
            .find(|point| point.is_ours() && point.method == "exact")
    }

    /// Whether this run made it, so that it differs from its like in length alone.
    pub(crate) fn is_generated(&self) -> bool {
        self.name == Self::generated_name(self.trace.tokens)
    }

    /// Of a context that a run makes itself.
    pub(crate) fn generated_name(tokens: usize) -> String {
        format!("generated-{tokens}")
    }
}

impl Point {
    pub(crate) fn is_ours(&self) -> bool {
        self.system == "wavekv"
    }

    /// The method without its parameters.
    pub(crate) fn family(&self) -> &str {
        self.method.split([':', ' ']).next().unwrap_or(&self.method)
    }
}
