//! Errors as Python exceptions: one class for each thing that a caller may do about it, the daemon's sentence as text.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use wavekv_client::{ClientError, Code};

create_exception!(wavekv, WaveKVError, PyException, "A call has no answer.");
create_exception!(
    wavekv,
    InvalidArgument,
    WaveKVError,
    "A field is wrong; the sentence names it, its value and what was expected."
);
create_exception!(
    wavekv,
    NotFound,
    WaveKVError,
    "There is no such collection, layer, segment or cluster."
);
create_exception!(
    wavekv,
    AlreadyExists,
    WaveKVError,
    "The name is taken, or other bytes are stored at these positions."
);
create_exception!(
    wavekv,
    OutOfRange,
    WaveKVError,
    "A gap: the sentence says the expected position."
);
create_exception!(
    wavekv,
    FailedPrecondition,
    WaveKVError,
    "The collection is another generation or another model's."
);
create_exception!(
    wavekv,
    ResourceExhausted,
    WaveKVError,
    "Memory, disk or a limit: what was acknowledged stays."
);
create_exception!(
    wavekv,
    Unavailable,
    WaveKVError,
    "The daemon starts or stops, or its disk does not work: try again."
);
create_exception!(
    wavekv,
    DataLoss,
    WaveKVError,
    "What is on disk of the collection is damaged."
);
create_exception!(
    wavekv,
    DeadlineExceeded,
    WaveKVError,
    "The answer took longer than the deadline."
);
create_exception!(
    wavekv,
    InternalError,
    WaveKVError,
    "A bug in the daemon, or an answer that does not fit the contract."
);
create_exception!(
    wavekv,
    ConnectError,
    WaveKVError,
    "There is no daemon at the address, or it did not answer in time."
);
create_exception!(
    wavekv,
    ConnectionLost,
    WaveKVError,
    "The connection broke during the call: the daemon may have done it or not."
);

/// Makes the classes known to Python.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    macro_rules! add {
        ($($class:ident),*) => {$( module.add(stringify!($class), module.py().get_type::<$class>())?; )*};
    }
    add!(
        WaveKVError,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        OutOfRange,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DataLoss,
        DeadlineExceeded,
        InternalError,
        ConnectError,
        ConnectionLost
    );
    Ok(())
}

/// The exception of an error.
pub(crate) fn exception(error: &ClientError) -> PyErr {
    let sentence = match error {
        ClientError::Refused { message, .. } | ClientError::Entry { message, .. } => {
            message.clone()
        }
        ClientError::Connect { .. } | ClientError::Lost { .. } | ClientError::Protocol { .. } => {
            error.to_string()
        }
    };
    match (error, error.code()) {
        (ClientError::Connect { .. }, _) => ConnectError::new_err(sentence),
        (ClientError::Lost { .. }, _) => ConnectionLost::new_err(sentence),
        (_, Some(Code::InvalidArgument)) => InvalidArgument::new_err(sentence),
        (_, Some(Code::NotFound)) => NotFound::new_err(sentence),
        (_, Some(Code::AlreadyExists)) => AlreadyExists::new_err(sentence),
        (_, Some(Code::OutOfRange)) => OutOfRange::new_err(sentence),
        (_, Some(Code::FailedPrecondition)) => FailedPrecondition::new_err(sentence),
        (_, Some(Code::ResourceExhausted)) => ResourceExhausted::new_err(sentence),
        (_, Some(Code::Unavailable)) => Unavailable::new_err(sentence),
        (_, Some(Code::DataLoss)) => DataLoss::new_err(sentence),
        (_, Some(Code::DeadlineExceeded)) => DeadlineExceeded::new_err(sentence),
        _ => InternalError::new_err(sentence),
    }
}
