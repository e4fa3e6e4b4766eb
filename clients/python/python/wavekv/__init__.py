"""Client of WaveKV, a KV-cache storage daemon with a vector-database API.

    >>> import numpy as np, wavekv
    >>> client = wavekv.Client("unix:/tmp/wavekv/wavekvd.sock")
    >>> geometry = wavekv.Geometry("my-model", layers=1, q_heads=8, kv_heads=2, head_dim=64, dtype="f32")
    >>> chat = client.create("chat-1", geometry)
    >>> k, v = np.random.randn(2, 1000, 2, 64).astype(np.float32)     # [tokens, kv_heads, head_dim]
    >>> chat.insert(0, 0, k, v).length
    1000
    >>> answer = chat.attend(0, np.random.randn(1, 8, 64).astype(np.float32))
    >>> answer.out.shape, answer.lse.shape
    ((1, 8, 64), (1, 8))

Tensors are arrays of numpy, tensors of torch on the CPU, or anything with the buffer protocol or DLPack; they are read
where they are, so they must not be changed while a call has them. `wavekv.aio` has the same calls as coroutines,
`wavekv.transformers` keeps the cache of a Hugging Face model in the daemon.
"""

from ._native import (
    AlreadyExists,
    Audit,
    Clustered,
    ConnectError,
    ConnectionLost,
    DataLoss,
    DeadlineExceeded,
    Description,
    FailedPrecondition,
    Inserted,
    InternalError,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
    Unavailable,
    WaveKVError,
    __version__,
)
from ._tensor import Tensor
from .answers import Attended, Partial, RankedCluster, Ranking, Stats, Tokens
from .client import Client, Collection, Geometry
from .entries import Attend, Cluster, Estimate, Fetch, Insert, Layer, Step, TopClusters

__all__ = [
    "AlreadyExists",
    "Attend",
    "Attended",
    "Audit",
    "Client",
    "Cluster",
    "Clustered",
    "Collection",
    "ConnectError",
    "ConnectionLost",
    "DataLoss",
    "DeadlineExceeded",
    "Description",
    "Estimate",
    "FailedPrecondition",
    "Fetch",
    "Geometry",
    "Insert",
    "Inserted",
    "InternalError",
    "InvalidArgument",
    "Layer",
    "NotFound",
    "OutOfRange",
    "Partial",
    "RankedCluster",
    "Ranking",
    "ResourceExhausted",
    "Stats",
    "Step",
    "Tensor",
    "Tokens",
    "TopClusters",
    "Unavailable",
    "WaveKVError",
    "__version__",
]
