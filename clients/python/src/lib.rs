//! The native part of the Python package `wavekv`: the blocking client of `clients/rust`, tensors by the buffer protocol
//! in both directions without a copy, and the interpreter's lock released while a call waits.
//!
//! What users see stands in `python/wavekv`: this room knows bytes, dtypes and shapes, and must not know numpy or torch.
//! Start reading in `client.rs`; `entries.rs` is what a call is given, `answers.rs` what it returns, `tensor.rs` the bytes.

mod answers;
mod client;
mod entries;
mod errors;
mod memory;
mod tensor;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<client::Client>()?;
    module.add_class::<memory::Memory>()?;
    answers::add(module)?;
    errors::add(module)
}
