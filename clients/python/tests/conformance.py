"""The Python client for the conformance suite: reads the lines that tests/conformance/program.rs says, and answers them.

With `--aio`, by coroutines.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

import wavekv
import wavekv.aio

Q_HEADS, KV_HEADS, DIM = 4, 2, 32
GEOMETRY = wavekv.Geometry("conformance", 1, Q_HEADS, KV_HEADS, DIM, dtype="f32")

#: gRPC status codes of the errors that the daemon, or the deadline, makes.
CODES = {
    wavekv.InvalidArgument: 3,
    wavekv.DeadlineExceeded: 4,
    wavekv.NotFound: 5,
    wavekv.AlreadyExists: 6,
    wavekv.ResourceExhausted: 8,
    wavekv.FailedPrecondition: 9,
    wavekv.OutOfRange: 11,
    wavekv.Unavailable: 14,
    wavekv.DataLoss: 15,
}

#: Makes an awaitable of what a call gives: a value of the client, a coroutine of the other.
Await = Callable[[Any], Awaitable[Any]]


def tensor(digits: str, heads: int) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(digits), "<f4").reshape(-1, heads, DIM)


class Session:
    def __init__(self, client: Any, value: Await) -> None:
        self.client = client
        self.value = value

    async def run(self, what: str, *words: str) -> str:
        answer = await getattr(self, what)(*words)
        return f"ok {answer}" if answer else "ok"

    async def create(self, name: str, durability: str) -> None:
        await self.value(self.client.create(name, GEOMETRY, durability=durability))

    async def insert(self, name: str, start: str, k: str, v: str) -> None:
        entry = wavekv.Insert(layer(name), int(start), tensor(k, KV_HEADS), tensor(v, KV_HEADS))
        only(await self.value(self.client.insert([entry])))

    async def cluster(self, name: str) -> None:
        only(await self.value(self.client.segment_cluster([layer(name)])))

    async def attend(self, name: str, mode: str, start: str, q: str, k: str, v: str) -> str:
        step = wavekv.Step(int(start), tensor(k, KV_HEADS), tensor(v, KV_HEADS))
        named = None if mode == "default" else mode
        entry = wavekv.Attend(layer(name), tensor(q, Q_HEADS), mode=named, insert=step)
        answer = only(await self.value(self.client.attend([entry])))
        return np.asarray(answer.out).astype("<f4").tobytes().hex()

    async def fork(self, name: str, to: str, length: str) -> None:
        await self.value((await self.collection(name)).fork(to, length=int(length)))

    async def truncate(self, name: str, length: str) -> None:
        await self.value((await self.collection(name)).truncate(int(length)))

    async def delete(self, name: str) -> None:
        await self.value((await self.collection(name)).delete())

    async def collection(self, name: str) -> Any:
        return await self.value(self.client.get(name))


def layer(name: str) -> wavekv.Layer:
    return wavekv.Layer("", name, None, 0)


def only(results: list[Any]) -> Any:
    [result] = results
    if isinstance(result, wavekv.WaveKVError):
        raise result
    return result


async def at_once(value: Any) -> Any:
    return value


async def awaited(call: Awaitable[Any]) -> Any:
    return await call


async def connected(address: str, deadline_ms: str) -> Session:
    deadline = int(deadline_ms) / 1000
    if "--aio" in sys.argv:
        return Session(await wavekv.aio.connect(address, deadline=deadline), awaited)
    return Session(wavekv.Client(address, deadline=deadline), at_once)


async def main() -> None:
    session = None
    for line in sys.stdin:
        what, *words = line.split()
        try:
            if what == "connect":
                session = await connected(*words)
                said = "ok"
            else:
                assert session is not None, "the first line is connect"
                said = await session.run(what, *words)
        except (wavekv.ConnectError, wavekv.ConnectionLost):
            said = "away"
        except wavekv.WaveKVError as error:
            said = f"refused {CODES[type(error)]}"
        print(said, flush=True)


asyncio.run(main())
