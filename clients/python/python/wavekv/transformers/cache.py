"""The cache of one `generate`: a collection for each sequence of the batch, and for each layer what awaits its attention.

Tokens of left padding are not stored: a row's positions in its collection begin with its first real token.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from .. import Client, Collection, ConnectError, ConnectionLost, Geometry, Unavailable, WaveKVError
from ..entries import Attend, Insert, Step

#: Of the attention that takes what the cache is given.
NAME = "wavekv"

_T = TypeVar("_T")
_DTYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}

#: K and V of one insert, at most: well under what a message may have.
_INSERT_BYTES = 16 << 20
#: Query tokens of one attend over a prompt that came in pieces.
_QUERY_TOKENS = 256


@dataclass(frozen=True)
class Fallback:
    """What happens when the daemon cannot be reached in the middle: calls are repeated for `patience` seconds, every `pause`;
    a daemon that was started again meanwhile has everything that it acknowledged, so the generation goes on with the same
    tokens. Then the error is raised, and nothing ever hangs. `patience=0` raises at once."""

    patience: float = 60.0
    pause: float = 0.1


class Pending(threading.local):
    """The layer of this thread whose K and V were handed over and not attended to yet."""

    layer: WaveKVLayer | None = None


PENDING = Pending()


class WaveKVLayer(CacheLayerMixin):
    """A layer of the cache. It has the K and V of the tokens of one forward, from `update` until the attention takes them."""

    is_compileable = False
    is_croppable = True
    supports_early_init = False

    def __init__(self, cache: WaveKVCache, layer: int, window: int) -> None:
        super().__init__()
        self.cache = cache
        self.layer = layer
        self.window = window
        self.is_sliding = window > 0
        #: Tokens handed over, padding included.
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor | None = None) -> None:
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        before = PENDING.layer
        if before is not None:
            PENDING.layer = None
            raise RuntimeError(
                f"layer {before.layer} has K and V that no attention took: expected the attention {NAME!r}, "
                "which wavekv.transformers.attach chooses"
            )
        self.is_initialized = True
        self.length += key_states.shape[-2]
        PENDING.layer = self
        return key_states, value_states

    def get_mask_sizes(self, query_length: int | torch.Tensor) -> tuple[int, int]:
        # transformers 4 gives the positions instead of their number.
        if isinstance(query_length, torch.Tensor):
            query_length = query_length.shape[0]
        return self.length + query_length, 0

    def get_seq_length(self, *_: Any) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

    def get_max_cache_shape(self) -> int:
        return -1


class WaveKVCache(Cache):
    """A cache whose K and V are in the daemon. `close` removes its collections, and so does the end of its life, unless
    `keep` says that they are to stay."""

    def __init__(
        self,
        client: Client,
        config: Any,
        *,
        fingerprint: str,
        mode: str | None = None,
        durability: str | None = None,
        namespace: str = "",
        fallback: Fallback | None = None,
        keep: bool = False,
    ) -> None:
        windows = _windows(config)
        super().__init__(layers=[WaveKVLayer(self, layer, window) for layer, window in enumerate(windows)])
        self.client = client
        self.mode = mode
        self.fallback = fallback or Fallback()
        self.name = f"transformers/{uuid.uuid4().hex}"
        self._windows = windows
        self._heads = config.num_attention_heads
        self._fingerprint = fingerprint
        self._durability = durability
        self._namespace = namespace
        self._forks = 0
        #: One collection a row of the batch; none before the first attention.
        self.sequences: list[Collection] = []
        #: Tokens of left padding of each row.
        self.padding: list[int] = []
        self._remove = weakref.finalize(self, _remove, self.sequences) if not keep else None

    # What generate does with a cache.

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Row i continues what row beam_idx[i] was: the first that does keeps the collection, others get forks."""
        self._take([int(row) for row in beam_idx])

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every row `repeats` times."""
        self._take([row for row in range(len(self.sequences)) for _ in range(repeats)])

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """The rows of these numbers."""
        rows = torch.arange(len(self.sequences))[indices.cpu()]
        self._take([int(row) for row in rows])

    def crop(self, max_length: int) -> None:
        """Keeps the first `max_length` tokens, or drops the last `-max_length`."""
        length = self.get_seq_length()
        kept = max(length + max_length, 0) if max_length <= 0 else min(max_length, length)
        for row, sequence in enumerate(self.sequences):
            tokens = max(kept - self.padding[row], 0)
            self.repeat(lambda sequence=sequence, tokens=tokens: sequence.truncate(tokens))
        for layer in self.layers:
            layer.length = kept

    def reset(self) -> None:
        """Empties the cache."""
        self.close()
        for layer in self.layers:
            layer.length = 0

    def close(self) -> None:
        """Removes the collections."""
        _remove(self.sequences)
        self.padding = []

    def _take(self, rows: list[int]) -> None:
        if not self.sequences:
            return
        kept: set[int] = set()
        taken = []
        for row in rows:
            if row in kept:
                self._forks += 1
                name = f"{self.name}/fork-{self._forks}"
                taken.append(self.repeat(lambda row=row, name=name: self.sequences[row].fork(name)))
            else:
                kept.add(row)
                taken.append(self.sequences[row])
        _remove([sequence for row, sequence in enumerate(self.sequences) if row not in kept])
        self.sequences[:] = taken
        self.padding = [self.padding[row] for row in rows]

    # What the attention does with it.

    def begin(
        self, key: torch.Tensor, value: torch.Tensor, scaling: float, softcap: float | None, padding: list[int]
    ) -> None:
        """Makes the collections, for the first K and V `[rows, kv_heads, tokens, dim]` that come."""
        if self.sequences:
            return
        dtype = _DTYPES.get(key.dtype)
        if dtype is None:
            raise ValueError(f"K is of dtype {key.dtype}: expected float32, float16 or bfloat16")
        geometry = Geometry(
            self._fingerprint,
            self._windows,
            q_heads=self._heads,
            kv_heads=key.shape[1],
            head_dim=key.shape[3],
            value_dim=value.shape[3],
            dtype=dtype,
            scale=scaling,
            softcap=softcap,
        )
        for row in range(key.shape[0]):
            self.sequences.append(
                self.client.create(
                    f"{self.name}/row-{row}", geometry, namespace=self._namespace, durability=self._durability
                )
            )
        self.padding = padding

    def insert(self, layer: WaveKVLayer, key: torch.Tensor, value: torch.Tensor) -> None:
        """Stores the tokens of one forward; those of the padding are left out."""
        first = layer.length - key.shape[2]
        entries = []
        for row, sequence in enumerate(self.sequences):
            skipped = min(max(self.padding[row] - first, 0), key.shape[2])
            k, v = _tokens_first(key[row, :, skipped:]), _tokens_first(value[row, :, skipped:])
            start = first + skipped - self.padding[row]
            piece = max(_INSERT_BYTES // (_bytes(k[:1]) + _bytes(v[:1])), 1) if len(k) else 1
            for at in range(0, len(k), piece):
                entries.append(Insert(sequence.layer(layer.layer), start + at, k[at : at + piece], v[at : at + piece]))
        for batch in _batches(entries):
            self.repeat(lambda batch=batch: _all(self.client.insert(batch)))

    def attend(
        self, layer: WaveKVLayer, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mode: str | None
    ) -> torch.Tensor:
        """Inserts the tokens of one forward and attends from `query` `[rows, q_heads, tokens, head_dim]`; the output
        `[rows, tokens, q_heads, value_dim]`."""
        tokens = query.shape[2]
        first = layer.length - tokens
        if tokens == 1:
            entries = [
                Attend(
                    sequence.layer(layer.layer),
                    _tokens_first(query[row]),
                    [first - self.padding[row]],
                    mode,
                    Step(first - self.padding[row], _tokens_first(key[row]), _tokens_first(value[row])),
                )
                for row, sequence in enumerate(self.sequences)
            ]
            answers = self.repeat(lambda: _all(self.client.attend(entries)))
            return torch.stack([_torch(answer.out) for answer in answers]).to(query.dtype)
        self.insert(layer, key, value)
        pieces = []
        for at in range(0, tokens, _QUERY_TOKENS):
            piece = range(first + at, first + min(at + _QUERY_TOKENS, tokens))
            entries = [
                Attend(
                    sequence.layer(layer.layer),
                    _tokens_first(query[row, :, at : at + len(piece)]),
                    # A query of the padding is not looked at by anybody.
                    [max(position - self.padding[row], 0) for position in piece],
                    mode,
                )
                for row, sequence in enumerate(self.sequences)
            ]
            answers = self.repeat(lambda entries=entries: _all(self.client.attend(entries)))
            pieces.append(torch.stack([_torch(answer.out) for answer in answers]))
        return torch.cat(pieces, dim=1).to(query.dtype)

    def repeat(self, call: Callable[[], _T]) -> _T:
        """Does what may be done twice, again and again while the daemon is away, as long as the fallback allows."""
        deadline = time.monotonic() + self.fallback.patience
        while True:
            try:
                return call()
            except (ConnectError, ConnectionLost, Unavailable):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(self.fallback.pause)


def _windows(config: Any) -> list[int]:
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    windows = []
    for kind in kinds:
        if kind == "full_attention":
            windows.append(0)
        elif kind == "sliding_attention":
            windows.append(config.sliding_window)
        else:
            raise ValueError(f"layer type is {kind!r}: expected full_attention or sliding_attention")
    return windows


def _tokens_first(heads: torch.Tensor) -> torch.Tensor:
    """`[heads, tokens, dim]` as `[tokens, heads, dim]`."""
    return heads.transpose(0, 1).contiguous()


def _torch(array: Any) -> torch.Tensor:
    return torch.tensor(array)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _batches(entries: list[Insert]) -> Iterable[list[Insert]]:
    """As many entries a call as a message has room for; entries of one layer in their order."""
    batch: list[Insert] = []
    size = 0
    for entry in entries:
        own = len(entry.k.buffer) + len(entry.v.buffer)
        if batch and size + own > 2 * _INSERT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += own
    if batch:
        yield batch


def _all(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, WaveKVError):
            raise result
    return results


def _remove(sequences: list[Collection]) -> None:
    """Deletes collections; one that is gone, or a daemon that is, is nothing to complain of at the end of a generation."""
    for sequence in sequences:
        try:
            sequence.delete()
        except WaveKVError:
            pass
    sequences.clear()
