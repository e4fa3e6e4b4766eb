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
        // A status that came over the wire has no cause on this side; a passed deadline has, and its own code.
        let broke = matches!(
            status.code(),
            Code::Unknown | Code::Unavailable | Code::Cancelled
        );
        let transport = status
            .source()
            .filter(|source| broke && source.is::<tonic::transport::Error>());
        match transport {
            Some(broken) => Self::Lost {
                reason: innermost(broken),
            },
            None => Self::Refused {
                code: status.code(),
                message: status.message().to_owned(),
            },
        }
    }
}

/// The first cause of an error: the one that says something.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
