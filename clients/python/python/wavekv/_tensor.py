"""Tensors of Python as bytes with a dtype and a shape, and back, without a copy.

bf16 has no type in numpy: an array of it is one of ml_dtypes.bfloat16 where that is installed, of its bits (uint16) elsewhere.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from ._native import InvalidArgument

_DTYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "uint16": "bf16"}
_NUMPY = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}


class Lent(NamedTuple):
    """A tensor that a call reads in place."""

    buffer: memoryview
    dtype: str
    shape: tuple[int, ...]


def lend(field: str, tensor: Any) -> Lent:
    """The bytes of a tensor: those it has, unless it is not contiguous or not in this machine's memory."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        return _lend_torch(field, tensor, torch)
    if isinstance(tensor, Tensor):
        return Lent(memoryview(tensor.memory), tensor.dtype, tensor.shape)
    array = np.from_dlpack(tensor) if _is_dlpack_only(tensor) else np.asarray(tensor)
    dtype = _DTYPES.get(array.dtype.name)
    if dtype is None:
        raise InvalidArgument(f"{field} is of dtype {array.dtype.name}: expected float32, float16, bfloat16 or its bits in uint16")
    array = np.ascontiguousarray(array)
    return Lent(_bytes_of(array), dtype, array.shape)


def _lend_torch(field: str, tensor: Any, torch: Any) -> Lent:
    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    dtype = names.get(tensor.dtype)
    if dtype is None:
        raise InvalidArgument(f"{field} is of dtype {tensor.dtype}: expected torch.float32, float16 or bfloat16")
    tensor = tensor.detach().cpu().contiguous()
    return Lent(_bytes_of(tensor.view(torch.uint8).numpy()), dtype, tuple(tensor.shape))


def _bytes_of(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))


def _is_dlpack_only(tensor: Any) -> bool:
    if isinstance(tensor, np.ndarray) or not hasattr(tensor, "__dlpack__"):
        return False
    return not hasattr(tensor, "__array__")


class Tensor:
    """A tensor of an answer: bytes that are not to be written, dtype ("bf16", "f16" or "f32") and shape."""

    __slots__ = ("dtype", "memory", "shape")

    def __init__(self, raw: Any) -> None:
        self.memory = raw.memory
        self.dtype: str = raw.dtype
        self.shape: tuple[int, ...] = tuple(raw.shape)

    def numpy(self) -> np.ndarray:
        """An array over the same memory; of bf16 see the head of this module."""
        array = np.frombuffer(self.memory, dtype=_NUMPY[self.dtype]).reshape(self.shape)
        if self.dtype == "bf16" and "ml_dtypes" in sys.modules:
            return array.view(sys.modules["ml_dtypes"].bfloat16)
        return array

    def torch(self) -> Any:
        """A tensor of torch with a copy of the bytes, since what torch has can be written."""
        import torch

        dtypes = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
        if len(self.memory) == 0:
            return torch.empty(self.shape, dtype=dtypes[self.dtype])
        own = bytearray(self.memory)
        return torch.frombuffer(own, dtype=dtypes[self.dtype]).reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Tensor(dtype={self.dtype!r}, shape={self.shape})"
