//! From an error of the engine to a gRPC status: the one place that knows the documented codes.

use tonic::{Code, Status};
use wavekv_proto::v1::EntryError;

use crate::model::{Error, ErrorKind};

/// The documented code of a kind of error.
pub fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::DataLoss => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The status of a call that failed as a whole.
pub fn status(error: &Error) -> Status {
    logged(error);
    Status::new(code(error.kind()), error.message())
}

/// The failure of one entry of a batch.
pub fn entry_error(error: &Error) -> EntryError {
    logged(error);
    EntryError {
        code: code(error.kind()).into(),
        message: error.message().to_owned(),
    }
}

/// A bug is ours to know; everything else is the caller's.
fn logged(error: &Error) {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(%error, "a call failed by a bug in the daemon");
    } else {
        tracing::debug!(%error, "refused");
    }
}
