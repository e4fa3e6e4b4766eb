"""The same calls as coroutines: a thread of a pool waits for each.

    client = await wavekv.aio.connect("unix:/tmp/wavekv/wavekvd.sock")
    answer, = await client.attend([wavekv.Attend(...)])
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import client as _sync

#: Calls of one connection that may wait at once.
CALLS_AT_ONCE = 64


class _Waiting:
    """Has every method of an object called by a thread of a pool."""

    def __init__(self, inner: Any, pool: ThreadPoolExecutor) -> None:
        self._inner = inner
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value) or name == "layer":
            return value

        async def call(*arguments: Any, **named: Any) -> Any:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._pool, lambda: value(*arguments, **named))
            if isinstance(answer, _sync.Collection):
                return Collection(answer, self._pool)
            return answer

        return call


class Client(_Waiting):
    """`wavekv.Client`, whose calls are awaited."""


class Collection(_Waiting):
    """`wavekv.Collection`, whose calls are awaited."""


async def connect(address: str, *, connect_timeout: float = 5.0, deadline: float | None = None) -> Client:
    """Connects as `wavekv.Client` does."""
    pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="wavekv")
    loop = asyncio.get_running_loop()
    connected = loop.run_in_executor(
        pool, lambda: _sync.Client(address, connect_timeout=connect_timeout, deadline=deadline)
    )
    return Client(await connected, pool)
