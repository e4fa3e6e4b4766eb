//! Bytes of an answer that Python reads in place, by the buffer protocol.

use std::ffi::c_int;

use bytes::Bytes;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Bytes that nobody changes; they live as long as a view of them.
#[pyclass(frozen, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) Bytes);

#[pymethods]
impl Memory {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Lends the bytes, for reading.
    ///
    /// # Safety
    /// `view` is null or a `Py_buffer` that the interpreter wants filled.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the protocol hands over what the view is to hold"
    )]
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = &slf.get().0;
        // SAFETY: `view` was checked; the bytes never move or change and live as long as `slf`, which the view holds a
        // reference to; `PyBuffer_FillInfo` refuses a flag that asks to write, since the last argument but one says so.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast(),
                bytes.len() as ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if filled == 0 {
            return Ok(());
        }
        Err(PyErr::fetch(slf.py()))
    }
}
