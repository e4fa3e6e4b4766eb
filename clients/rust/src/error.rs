//! What can go wrong with a call.

use std::error::Error;

use crate::{Address, wire};

/// A gRPC status code.
pub use tonic::Code;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There is no daemon at the address, or it did not answer in time.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// That was tried.
        address: Address,
        /// What the system says.
        reason: String,
    },
    /// The connection broke during the call: the daemon may have done it or not.
    #[error("the connection to the daemon broke: {reason}")]
    Lost {
        /// What the system says.
        reason: String,
    },
    /// The whole call failed, with the daemon's sentence; or the deadline passed.
    #[error("{message} ({code:?})")]
    Refused {
        /// What the caller may do about it.
        code: Code,
        /// The daemon's sentence.
        message: String,
    },
    /// One entry of a batch failed; the others were answered.
    #[error("entry {index}: {message} ({code:?})")]
    Entry {
        /// Of the entry in its batch or stream.
        index: usize,
        /// What the caller may do about it.
        code: Code,
        /// The daemon's sentence.
        message: String,
    },
    /// The answer does not fit the contract.
    #[error("malformed answer: {what}")]
    Protocol {
        /// What is wrong with it.
        what: String,
    },
}

impl ClientError {
    /// The daemon's code, when it sent one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } | Self::Entry { code, .. } => Some(*code),
            Self::Connect { .. } | Self::Lost { .. } | Self::Protocol { .. } => None,
        }
    }

    /// Whether the same call may succeed when the daemon is there again.
    pub(crate) fn passes_with_a_restart(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } => true,
            Self::Refused { code, .. } => *code == Code::Unavailable,
            Self::Entry { .. } | Self::Protocol { .. } => false,
        }
    }

    pub(crate) fn entry(index: usize, error: wire::EntryError) -> Self {
        Self::Entry {
            index,
            code: Code::from_i32(error.code),
            message: error.message,
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        match broken_connection(&status) {
            Some(cause) => Self::Lost {
                reason: innermost(cause),
            },
            None => Self::Refused {
                code: status.code(),
                message: status.message().to_owned(),
            },
        }
    }
}

/// Why the transport gave up, if that is what a status says. One that came over the wire has no cause on this side; a
/// passed deadline has, and an answer that cannot be read has, with a code of its own.
fn broken_connection(status: &tonic::Status) -> Option<&(dyn Error + 'static)> {
    let code = status.code();
    let broke = matches!(code, Code::Unknown | Code::Unavailable | Code::Cancelled);
    let cause = status.source().filter(|_| broke)?;
    let late = causes(cause).any(<dyn Error>::is::<tonic::TimeoutExpired>);
    (!late).then_some(cause)
}

/// The first cause of an error: the one that says something.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let first = causes(error).last().unwrap_or(error);
    first.to_string()
}

/// An error, then what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
