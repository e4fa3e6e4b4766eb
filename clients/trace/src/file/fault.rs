//! Why a trace is refused, in a sentence.

use std::path::PathBuf;

use safetensors::SafeTensorError;

/// Why a trace could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The operating system refused; its sentence names the path.
    #[error("{0}")]
    Read(#[source] std::io::Error),
    /// The file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Of the file.
        path: PathBuf,
        /// The refusal.
        source: SafeTensorError,
    },
    /// The file, or the trace to be written, is not a trace.
    #[error("{path} is no trace: {fault}")]
    Malformed {
        /// Of the file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        fault: Fault,
    },
}

/// What is wrong in a trace.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Not safetensors at all, or cut short.
    #[error("not a safetensors file: {0}")]
    Container(#[from] SafeTensorError),
    /// A required metadata entry is not there.
    #[error("metadata {0} is missing")]
    MissingMetadata(&'static str),
    /// A metadata entry, or the number read from it, makes no sense.
    #[error("{field} is {found:?}, expected {expected}")]
    Value {
        /// Its name.
        field: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A tensor that the metadata announces is not there.
    #[error("tensor {0} is missing")]
    MissingTensor(String),
    /// A tensor has another shape or dtype than the metadata announce.
    #[error("tensor {name} has {field} {found}, expected {expected}")]
    Tensor {
        /// Its name.
        name: String,
        /// `shape` or `dtype`.
        field: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
}

pub(super) fn value(
    field: &'static str,
    found: &(impl ToString + ?Sized),
    expected: impl Into<String>,
) -> Fault {
    Fault::Value {
        field,
        found: found.to_string(),
        expected: expected.into(),
    }
}

pub(super) fn tensor(
    name: &str,
    field: &'static str,
    found: &impl std::fmt::Debug,
    expected: &str,
) -> Fault {
    let (name, found) = (name.to_owned(), format!("{found:?}"));
    Fault::Tensor {
        name,
        field,
        found,
        expected: expected.to_owned(),
    }
}
