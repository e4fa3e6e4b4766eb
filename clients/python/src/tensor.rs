//! Tensors between Python and the contract: bytes with a dtype and a shape.

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use wavekv_client::wire;

use crate::memory::Memory;

/// A tensor of Python's that a call reads in place: C-contiguous bytes, the name of their dtype, a shape.
#[derive(Debug, FromPyObject)]
pub(crate) struct Lent {
    buffer: PyBuffer<u8>,
    dtype: String,
    shape: Vec<u32>,
}

/// Bytes that Python keeps for us.
struct Borrowed(PyBuffer<u8>);

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        if self.0.len_bytes() == 0 {
            return &[];
        }
        // SAFETY: the buffer is C-contiguous bytes (`Lent::wire` checked it), so `buf_ptr` points to `len_bytes` of them,
        // which the exporter keeps in place while the view lives. Nobody writes: the package lends views for the time of
        // one call and says that a tensor must not be changed meanwhile.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast(), self.0.len_bytes()) }
    }
}

impl Lent {
    /// As the contract has it, without a copy.
    pub(crate) fn wire(self) -> PyResult<wire::Tensor> {
        if !self.buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err("a tensor must be C-contiguous"));
        }
        Ok(wire::Tensor {
            dtype: dtype(&self.dtype)?.into(),
            shape: self.shape,
            data: Bytes::from_owner(Borrowed(self.buffer)),
        })
    }
}

/// A dtype by its name.
pub(crate) fn dtype(name: &str) -> PyResult<wire::Dtype> {
    match name {
        "bf16" => Ok(wire::Dtype::Bf16),
        "f16" => Ok(wire::Dtype::F16),
        "f32" => Ok(wire::Dtype::F32),
        other => Err(PyValueError::new_err(format!(
            "dtype is {other:?}: expected bf16, f16 or f32"
        ))),
    }
}

/// The name of a dtype.
pub(crate) fn dtype_name(dtype: wire::Dtype) -> &'static str {
    match dtype {
        wire::Dtype::Bf16 => "bf16",
        wire::Dtype::F16 => "f16",
        wire::Dtype::F32 => "f32",
        wire::Dtype::Unspecified => "unspecified",
    }
}

/// A tensor of an answer.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawTensor {
    memory: Py<Memory>,
    dtype: &'static str,
    shape: Vec<u32>,
}

impl RawTensor {
    /// Of one that may be missing, which is an empty one.
    pub(crate) fn new(py: Python<'_>, tensor: Option<wire::Tensor>) -> PyResult<Self> {
        let tensor = tensor.unwrap_or_default();
        Ok(Self {
            dtype: dtype_name(tensor.dtype()),
            memory: Py::new(py, Memory(tensor.data))?,
            shape: tensor.shape,
        })
    }
}
