"""What calls return: arrays of numpy over the bytes of the answer, without a copy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._native import Audit
from ._tensor import Tensor
from .entries import Cluster


class Stats(NamedTuple):
    """The daemon: which start of it this is, its version, the memory of all collections, layers that wait for
    clustering, bytes of segments that a collection has from another."""

    boot_epoch: int
    version: str
    memory_used_bytes: int
    memory_budget_bytes: int
    layers_waiting: int
    shared_bytes: int


class Partial(NamedTuple):
    """An attention output over some of the tokens: out `[1, q_heads, value_dim]` and lse `[1, q_heads]`, f32."""

    out: np.ndarray
    lse: np.ndarray
    generation: int


class Tokens(NamedTuple):
    """Stored K and V, in the order of `positions`."""

    k: Tensor
    v: Tensor
    positions: list[int]


class RankedCluster(NamedTuple):
    """A cluster, its score (scale * q . centroid, the group's largest), its tokens, its estimated share of the mass of all
    clusters, where it is ("ram" or "disk"), and K and V where they were asked for."""

    cluster: Cluster
    score: float
    tokens: int
    mass: float
    tier: str
    payload: Tokens | None


class Ranking(NamedTuple):
    """The best clusters of every KV head, best first, and the token ranges that no cluster holds."""

    heads: list[list[RankedCluster]]
    steady: list[tuple[int, int]]
    generation: int


class Attended:
    """An answer: out `[tokens, q_heads, value_dim]` and lse `[tokens, q_heads]` in f32, the layer's length, and the report.

    `error_estimate` and `exact_mass` are `[tokens, q_heads]`; numbers of tokens and bytes are sums over query tokens and KV
    heads, as in the contract's AttendReport.
    """

    __slots__ = ("_raw", "error_estimate", "exact_mass", "lse", "out")

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.out = Tensor(raw.out).numpy()
        self.lse = Tensor(raw.lse).numpy()
        self.error_estimate = np.asarray(raw.error_estimate, np.float32).reshape(self.lse.shape)
        self.exact_mass = np.asarray(raw.exact_mass, np.float32).reshape(self.lse.shape)

    generation = property(lambda self: self._raw.generation)
    length = property(lambda self: self._raw.length)
    visible_tokens = property(lambda self: self._raw.visible_tokens)
    steady_tokens = property(lambda self: self._raw.steady_tokens)
    retrieved_tokens = property(lambda self: self._raw.retrieved_tokens)
    coded_tokens = property(lambda self: self._raw.coded_tokens)
    estimated_tokens = property(lambda self: self._raw.estimated_tokens)
    ignored_tokens = property(lambda self: self._raw.ignored_tokens)
    bytes_read = property(lambda self: self._raw.bytes_read)
    full_bytes = property(lambda self: self._raw.full_bytes)

    @property
    def audit(self) -> Audit | None:
        """The measured error, where it was asked for."""
        return self._raw.audit


def partial(raw: Any) -> Partial:
    return Partial(Tensor(raw.out).numpy(), Tensor(raw.lse).numpy(), raw.generation)


def tokens(raw: Any) -> Tokens:
    return Tokens(Tensor(raw.k), Tensor(raw.v), list(raw.positions))


def ranking(raw: Any) -> Ranking:
    def ranked(cluster: Any) -> RankedCluster:
        payload = cluster.payload and tokens(cluster.payload)
        return RankedCluster(Cluster(*cluster.cluster), cluster.score, cluster.tokens, cluster.mass, cluster.tier, payload)

    heads = [[ranked(cluster) for cluster in head] for head in raw.heads]
    return Ranking(heads, list(raw.steady), raw.generation)
