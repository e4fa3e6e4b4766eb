//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use wavekv_client::ClientError;
use wavekv_trace::generate::ParameterError;
use wavekv_trace::{TraceError, exact};

/// Why a command failed, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection, or the daemon refused.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// There is nothing of that name, and there is of names that come near.
    #[error("{error}; did you mean {}?", either(near))]
    Missed {
        error: ClientError,
        near: Vec<String>,
    },
    /// Some of several requests were refused; their sentences were printed.
    #[error("{failed} of {asked} failed")]
    Some { failed: usize, asked: usize },
    /// The daemon says that it answers no calls; why was printed.
    #[error("the daemon answers no calls")]
    Unavailable,
    /// Something is not as it was; it was printed.
    #[error("{findings} findings")]
    Damaged { findings: usize },
    /// A trace file cannot be read or written.
    #[error("{0}")]
    Trace(#[from] TraceError),
    /// A trace's queries do not fit its tensors.
    #[error("the trace cannot be evaluated: {0}")]
    Exact(#[from] exact::ShapeError),
    /// A parameter of `generate` is out of range.
    #[error("{0}")]
    Parameter(#[from] ParameterError),
    /// A report of another run cannot be read.
    #[error("{path} is no report of wavekv bench: {fault}")]
    Peers { path: PathBuf, fault: String },
    /// A file cannot be written; the sentence names it.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The plots cannot be drawn.
    #[error("cannot draw the plots: {0}")]
    Plot(String),
    /// A combination of arguments that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The daemon did not get to a state in time.
    #[error("{what} after {seconds} s")]
    Timeout { what: &'static str, seconds: u64 },
    /// A daemon of this command's own does not run.
    #[error("{0}")]
    Daemon(String),
    /// What was planned is not what was measured.
    #[error("the plan does not hold: {0}")]
    Unfit(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// As documented in `wavekv --help`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Connect { .. } | ClientError::Lost { .. }) => 3,
            Self::Parameter(_)
            | Self::Peers { .. }
            | Self::Usage(_)
            | Self::Exact(_)
            | Self::Trace(TraceError::Read(_) | TraceError::Malformed { .. }) => 2,
            Self::Unavailable => 4,
            Self::Client(_)
            | Self::Missed { .. }
            | Self::Some { .. }
            | Self::Damaged { .. }
            | Self::File(_)
            | Self::Plot(_)
            | Self::Daemon(_)
            | Self::Unfit(_)
            | Self::Trace(TraceError::Write { .. })
            | Self::Timeout { .. }
            | Self::Interrupted => 1,
        }
    }
}

/// "a, b or c".
fn either(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}
