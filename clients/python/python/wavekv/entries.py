"""What a batch is made of. A batch answers entry by entry: one that fails does not keep the others from being answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._tensor import Lent, lend


class Layer(NamedTuple):
    """A layer of a collection; `generation` refuses another collection that has the name by now."""

    namespace: str
    name: str
    generation: int | None
    layer: int


class Cluster(NamedTuple):
    """Names a cluster of a KV head."""

    segment: int
    kv_head: int
    cluster: int


@dataclass(slots=True)
class Insert:
    """K `[tokens, kv_heads, head_dim]` and V `[tokens, kv_heads, value_dim]` of the tokens from position `start` on."""

    layer: Layer
    start: int
    k: Any
    v: Any

    def __post_init__(self) -> None:
        self.k, self.v = lend("k", self.k), lend("v", self.v)


@dataclass(slots=True)
class Step:
    """The same, to be inserted before an attend."""

    start: int
    k: Any
    v: Any

    def __post_init__(self) -> None:
        self.k, self.v = lend("insert.k", self.k), lend("insert.v", self.v)


@dataclass(slots=True)
class Attend:
    """Queries `[tokens, q_heads, head_dim]`, at `positions` (the layer's last ones if empty), each of which sees what is
    before it and itself. `mode` is `exact`, `retroinfer`, `budget:SHARE[:ESTIMATED]` or `adaptive:TARGET`; None is the
    daemon's default. `audit` has the error measured."""

    layer: Layer
    q: Any
    positions: list[int] = field(default_factory=list)
    mode: str | None = None
    insert: Step | None = None
    audit: bool = False

    def __post_init__(self) -> None:
        self.q = lend("q", self.q)
        self.positions = [int(position) for position in self.positions]


@dataclass(slots=True)
class TopClusters:
    """One query token `[1, q_heads, head_dim]`; the best `limit` clusters of every KV head, with K and V on request."""

    layer: Layer
    q: Any
    limit: int
    position: int | None = None
    with_payload: bool = False

    def __post_init__(self) -> None:
        self.q = lend("q", self.q)


@dataclass(slots=True)
class Estimate:
    """One query token; the partial of all clusters but `retrieved`, which the caller computes itself."""

    layer: Layer
    q: Any
    retrieved: list[Cluster] = field(default_factory=list)
    position: int | None = None

    def __post_init__(self) -> None:
        self.q = lend("q", self.q)


@dataclass(slots=True)
class Fetch:
    """Stored K and V of the tokens of `range`, or of a cluster."""

    layer: Layer
    range: tuple[int, int] | None = None
    cluster: Cluster | None = None


__all__ = ["Attend", "Cluster", "Estimate", "Fetch", "Insert", "Layer", "Lent", "Step", "TopClusters"]
