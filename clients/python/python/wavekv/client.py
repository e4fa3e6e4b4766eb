"""A connection to a daemon, and the collections in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import answers, entries
from ._native import Client as _Native
from ._native import Clustered, Description, Inserted, WaveKVError
from .answers import Attended, Partial, Ranking, Stats, Tokens
from .entries import Attend, Cluster, Estimate, Fetch, Insert, Layer, TopClusters

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=False)
class Geometry:
    """What the vectors of a collection are.

    `fingerprint` names the model, its revision and RoPE settings; a collection of another one is refused on `get`.
    `layers` is their number, or a sliding window for each (0: every earlier token). `value_dim` is `head_dim` and `scale`
    1/sqrt(head_dim) where they are not given. With a `softcap` c, scores s count as c tanh(s / c), and the index is flat.
    """

    fingerprint: str
    layers: int | Sequence[int]
    q_heads: int
    kv_heads: int
    head_dim: int
    value_dim: int | None = None
    dtype: str = "bf16"
    scale: float | None = None
    softcap: float | None = None


@dataclass(frozen=True)
class _Create:
    fingerprint: str
    sliding_windows: list[int]
    q_heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    dtype: str
    scale: float
    softcap: float
    index: str | None
    durability: str | None
    ttl_seconds: int
    expendable: bool


class Client:
    """A connection to the daemon at `unix:/path/to.sock`, `http://host:port`, `https://host:port`, or `shm:/path/to.sock` for shared memory.

    Calls of several threads run side by side; each has `deadline` seconds, or as long as it takes. Methods that take a list
    return a list, with an exception in the place of an entry that failed.
    """

    def __init__(self, address: str, *, connect_timeout: float = 5.0, deadline: float | None = None) -> None:
        self._native = _Native(address, connect_timeout, deadline)
        self.address = address

    def create(
        self,
        name: str,
        geometry: Geometry,
        *,
        namespace: str = "",
        index: str | None = None,
        durability: str | None = None,
        ttl_seconds: int = 0,
        expendable: bool = False,
    ) -> Collection:
        """Makes an empty collection; `index` is wave, flat, ivf or hnsw, `durability` none, process or power."""
        layers = geometry.layers
        what = _Create(
            geometry.fingerprint,
            [0] * layers if isinstance(layers, int) else list(layers),
            geometry.q_heads,
            geometry.kv_heads,
            geometry.head_dim,
            geometry.value_dim or geometry.head_dim,
            geometry.dtype,
            geometry.head_dim**-0.5 if geometry.scale is None else geometry.scale,
            geometry.softcap or 0.0,
            index,
            durability,
            ttl_seconds,
            expendable,
        )
        return Collection(self, self._native.create((namespace, name, None), what))

    def get(self, name: str, *, namespace: str = "", fingerprint: str | None = None) -> Collection:
        """The collection of a name; with a fingerprint, it must be of that model."""
        return Collection(self, self._native.get((namespace, name, None), fingerprint))

    def list(self, prefix: str = "", *, namespace: str = "") -> list[Description]:
        """The collections of a namespace ("*": of all) whose names begin with `prefix`."""
        return self._native.list(namespace, prefix)

    def stats(self) -> Stats:
        """The daemon as a whole."""
        return Stats(*self._native.stats())

    def insert(self, batch: Iterable[Insert]) -> list[Inserted | WaveKVError]:
        """Stores K and V."""
        return self._native.insert(list(batch))

    def segment_cluster(self, layers: Iterable[Layer]) -> list[Clustered | WaveKVError]:
        """Clusters the pending tails now, and returns when it is done."""
        return self._native.segment_cluster(list(layers))

    def attend(self, batch: Iterable[Attend]) -> list[Attended | WaveKVError]:
        """Attention, after inserting what comes with an entry."""
        return _each(self._native.attend(list(batch)), Attended)

    def top_clusters(self, batch: Iterable[TopClusters]) -> list[Ranking | WaveKVError]:
        """Ranks the clusters of every KV head."""
        return _each(self._native.top_clusters(list(batch)), answers.ranking)

    def estimate(self, batch: Iterable[Estimate]) -> list[Partial | WaveKVError]:
        """The partial of every cluster but those named as retrieved."""
        return _each(self._native.estimate(list(batch)), answers.partial)

    def fetch(self, batch: Iterable[Fetch]) -> list[Tokens | WaveKVError]:
        """Stored K and V."""
        return _each(self._native.fetch(list(batch)), answers.tokens)


class Collection:
    """The KV cache of one sequence. Its methods take one entry, and raise where that fails."""

    def __init__(self, client: Client, description: Description) -> None:
        self._client = client
        self.namespace = description.namespace
        self.name = description.name
        self.generation = description.generation
        #: As it was when this object was made; see `describe`.
        self.description = description

    @property
    def _named(self) -> tuple[str, str, int]:
        return (self.namespace, self.name, self.generation)

    def layer(self, layer: int) -> Layer:
        """Names a layer, for a batch."""
        return Layer(*self._named, layer)

    def describe(self) -> Description:
        """The collection as it is now."""
        return self._client._native.get(self._named, None)

    def insert(self, layer: int, start: int, k: Any, v: Any) -> Inserted:
        """Stores K `[tokens, kv_heads, head_dim]` and V from position `start` on; a retry of the same bytes is accepted."""
        return _one(self._client.insert([Insert(self.layer(layer), start, k, v)]))

    def segment_cluster(self, layer: int) -> Clustered:
        """Clusters the layer's pending tail now."""
        return _one(self._client.segment_cluster([self.layer(layer)]))

    def attend(
        self,
        layer: int,
        q: Any,
        *,
        positions: Iterable[int] = (),
        mode: str | None = None,
        k: Any = None,
        v: Any = None,
        start: int | None = None,
        audit: bool = False,
    ) -> Attended:
        """Attention of `q` `[tokens, q_heads, head_dim]`; see `Attend`. With `k`, `v` and `start`, those are inserted first."""
        step = None if k is None else entries.Step(start, k, v)
        return _one(self._client.attend([Attend(self.layer(layer), q, list(positions), mode, step, audit)]))

    def top_clusters(
        self, layer: int, q: Any, limit: int, *, position: int | None = None, with_payload: bool = False
    ) -> Ranking:
        """The best clusters of every KV head for one query token."""
        return _one(self._client.top_clusters([TopClusters(self.layer(layer), q, limit, position, with_payload)]))

    def estimate(
        self, layer: int, q: Any, retrieved: Iterable[Cluster] = (), *, position: int | None = None
    ) -> Partial:
        """The partial of every cluster but `retrieved`."""
        return _one(self._client.estimate([Estimate(self.layer(layer), q, list(retrieved), position)]))

    def fetch(self, layer: int, start: int, end: int) -> Tokens:
        """Stored K and V of the tokens [start, end)."""
        return _one(self._client.fetch([Fetch(self.layer(layer), (start, end))]))

    def fetch_cluster(self, layer: int, cluster: Cluster) -> Tokens:
        """Stored K and V of a cluster."""
        return _one(self._client.fetch([Fetch(self.layer(layer), None, cluster)]))

    def truncate(self, length: int) -> list[int]:
        """Drops the tokens from `length` on in every layer; the layers' lengths."""
        return self._client._native.truncate(self._named, length)

    def fork(self, name: str, *, length: int | None = None, durability: str | None = None) -> Collection:
        """A collection that begins with this one's first tokens, and shares them."""
        described = self._client._native.fork(self._named, name, length, durability)
        return Collection(self._client, described)

    def delete(self) -> None:
        """Removes the collection and all that it holds."""
        self._client._native.delete(self._named)

    def __repr__(self) -> str:
        return f"Collection({self.namespace!r}, {self.name!r}, generation={self.generation})"


def _each(results: list[Any], made: Callable[[Any], _T]) -> list[_T | WaveKVError]:
    return [result if isinstance(result, WaveKVError) else made(result) for result in results]


def _one(results: list[_T | WaveKVError]) -> _T:
    [result] = results
    if isinstance(result, WaveKVError):
        raise result
    return result
