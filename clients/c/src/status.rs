//! How a call went: a status, and a sentence kept for the thread that made it.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use wavekv_client::{ClientError, Code};

use crate::sigpipe;

/// How a call went: from 1 to 9, the daemon's codes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavekvStatus {
    /// It was done.
    Ok = 0,
    /// A field is wrong; the sentence names it, its value and what was expected.
    InvalidArgument = 1,
    /// There is no such collection, layer, segment or cluster.
    NotFound = 2,
    /// The name is taken, or other bytes are stored at these positions.
    AlreadyExists = 3,
    /// A gap: the sentence says the expected position.
    OutOfRange = 4,
    /// The collection is another generation or another model's.
    FailedPrecondition = 5,
    /// Memory, disk or a limit: what was acknowledged stays.
    ResourceExhausted = 6,
    /// The daemon starts or stops, or its disk does not work: try again.
    Unavailable = 7,
    /// What is on disk of the collection is damaged.
    DataLoss = 8,
    /// The answer took longer than the deadline.
    DeadlineExceeded = 9,
    /// A bug in the daemon or the client, or an answer that does not fit the contract.
    Internal = 10,
    /// There is no daemon at the address, or it did not answer in time.
    CannotConnect = 11,
    /// The connection broke during the call: the daemon may have done it or not.
    ConnectionLost = 12,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: WavekvStatus,
    pub(crate) sentence: String,
}

impl Failure {
    /// A refusal of what was passed in.
    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self {
            status: WavekvStatus::InvalidArgument,
            sentence: sentence.into(),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let status = match (&error, error.code()) {
            (ClientError::Connect { .. }, _) => WavekvStatus::CannotConnect,
            (ClientError::Lost { .. }, _) => WavekvStatus::ConnectionLost,
            (_, Some(Code::InvalidArgument)) => WavekvStatus::InvalidArgument,
            (_, Some(Code::NotFound)) => WavekvStatus::NotFound,
            (_, Some(Code::AlreadyExists)) => WavekvStatus::AlreadyExists,
            (_, Some(Code::OutOfRange)) => WavekvStatus::OutOfRange,
            (_, Some(Code::FailedPrecondition)) => WavekvStatus::FailedPrecondition,
            (_, Some(Code::ResourceExhausted)) => WavekvStatus::ResourceExhausted,
            (_, Some(Code::Unavailable)) => WavekvStatus::Unavailable,
            (_, Some(Code::DataLoss)) => WavekvStatus::DataLoss,
            (_, Some(Code::DeadlineExceeded)) => WavekvStatus::DeadlineExceeded,
            _ => WavekvStatus::Internal,
        };
        Self {
            status,
            sentence: error.to_string(),
        }
    }
}

thread_local! {
    static SENTENCE: RefCell<CString> = RefCell::default();
}

/// Why the last call of this thread failed; empty when it did not. Valid until the thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn wavekv_error() -> *const c_char {
    SENTENCE.with_borrow(|sentence| sentence.as_ptr())
}

/// Makes a call: its status, with the sentence kept; a panic is a bug that the caller outlives.
pub(crate) fn told(call: impl FnOnce() -> Result<(), Failure>) -> WavekvStatus {
    let done = sigpipe::without(|| catch_unwind(AssertUnwindSafe(call)));
    let done = done.unwrap_or_else(|_| {
        Err(Failure {
            status: WavekvStatus::Internal,
            sentence: "the client panicked: a bug".into(),
        })
    });
    let (status, sentence) = match done {
        Ok(()) => (WavekvStatus::Ok, String::new()),
        Err(failure) => (failure.status, failure.sentence),
    };
    keep(&sentence);
    status
}

/// Keeps a sentence for [`wavekv_error`].
fn keep(sentence: &str) {
    // A sentence with a zero in it would end there.
    let sentence = CString::new(sentence.replace('\0', "\\0")).unwrap_or_default();
    SENTENCE.set(sentence);
}
