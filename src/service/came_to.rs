//! What calls and entries have come to, as metrics say it.

use tonic::Code;

use crate::engine::batch::Answers;
use crate::model::Error;
use crate::service::status;
use crate::telemetry::metrics::Outcome;

/// By the status that a call is answered with.
pub(super) fn code(code: Code) -> Outcome {
    match code {
        Code::Ok => Outcome::Ok,
        Code::Cancelled | Code::DeadlineExceeded => Outcome::Cancelled,
        Code::InvalidArgument => Outcome::InvalidArgument,
        Code::NotFound => Outcome::NotFound,
        Code::AlreadyExists => Outcome::AlreadyExists,
        Code::OutOfRange => Outcome::OutOfRange,
        Code::ResourceExhausted => Outcome::ResourceExhausted,
        Code::FailedPrecondition => Outcome::FailedPrecondition,
        Code::Unavailable => Outcome::Unavailable,
        Code::DataLoss => Outcome::DataLoss,
        Code::Unimplemented => Outcome::Unimplemented,
        // Of these, none is ours.
        Code::Internal
        | Code::Unknown
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Aborted => Outcome::Internal,
    }
}

/// By the error that refuses it.
pub(super) fn error(error: &Error) -> Outcome {
    code(status::code(error.kind()))
}

/// Of each entry of a batch.
pub(super) fn entries<A>(answers: &Answers<A>) -> impl Iterator<Item = Outcome> {
    answers.iter().map(|answer| match answer {
        Ok(_) => Outcome::Ok,
        Err(refusal) => error(refusal),
    })
}
