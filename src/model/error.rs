//! The one error of the engine and everything above it: what the caller must do, and a sentence.

use std::error;
use std::fmt;
use std::sync::Arc;

use crate::model::Invalid;

/// What the caller of a failed operation must do; the door maps each to one documented status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Correct the request.
    InvalidArgument,
    /// Use a name, layer or cluster that exists.
    NotFound,
    /// Choose another name, or other positions: what is stored stays.
    AlreadyExists,
    /// Continue at the position that the message names.
    OutOfRange,
    /// Make room or wait; nothing acknowledged was lost.
    ResourceExhausted,
    /// Bring the collection or the caller into the state that the message names.
    FailedPrecondition,
    /// Try again later: the daemon is starting or stopping, or its disk does not work.
    Unavailable,
    /// Restore what the message names, or delete the collection: what was stored is not there as it was.
    DataLoss,
    /// Report a bug.
    Internal,
}

/// A failed operation.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// An error whose `message` names the field, the value and what was expected.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// A broken promise of our own code.
    pub fn internal(source: impl error::Error + Send + Sync + 'static) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: format!("a bug in the daemon: {source}"),
            source: Some(Arc::new(source)),
        }
    }

    /// The same error; when it refuses a field, with `prefix.` before it: see [`Invalid::within`].
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        match self.refused() {
            Some(invalid) => invalid.clone().within(prefix).into(),
            None => self,
        }
    }

    /// The value that it refuses.
    fn refused(&self) -> Option<&Invalid> {
        self.source.as_deref()?.downcast_ref()
    }

    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn error::Error + 'static))
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self {
            kind: ErrorKind::InvalidArgument,
            message: invalid.to_string(),
            source: Some(Arc::new(invalid)),
        }
    }
}

impl From<wavekv_kernels::ShapeError> for Error {
    fn from(error: wavekv_kernels::ShapeError) -> Self {
        Self::internal(error)
    }
}
