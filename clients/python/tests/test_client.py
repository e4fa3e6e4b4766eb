"""The client against a real daemon."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import trustme
from conftest import Daemon

import wavekv
import wavekv.aio

GEOMETRY = wavekv.Geometry("a model of the tests", layers=1, q_heads=4, kv_heads=2, head_dim=32, value_dim=16, dtype="f32")
_names = iter(range(10**6))


def name() -> str:
    return f"collection-{next(_names)}"


def tokens(count: int, seed: int = 0, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 2, 32)).astype(dtype), rng.standard_normal((count, 2, 16)).astype(dtype)


def queries(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 4, 32)).astype(np.float32)


def exact(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attention of every query to all tokens, in f64."""
    k, v = (np.repeat(x.astype(np.float64), 2, axis=1) for x in (k, v))
    scores = np.einsum("qhd,khd->qhk", q.astype(np.float64), k) * 32**-0.5
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - top)
    mass = weights.sum(-1, keepdims=True)
    return np.einsum("qhk,khd->qhd", weights / mass, v), (np.log(mass) + top)[..., 0]


def test_what_is_inserted_is_attended_to(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY)
    k, v = tokens(700)
    assert chat.insert(0, 0, k[:600], v[:600]).length == 600
    assert chat.insert(0, 500, k[500:], v[500:]).already_stored == 100
    answer = chat.attend(0, queries(1), mode="exact")
    out, lse = exact(queries(1), k, v)
    np.testing.assert_allclose(answer.out, out, atol=1e-4)
    np.testing.assert_allclose(answer.lse, lse, atol=1e-4)
    assert answer.length == 700 and answer.error_estimate.shape == (1, 4)
    assert answer.bytes_read <= answer.full_bytes == 700 * 2 * 48 * 4
    near = chat.attend(0, queries(1), mode="adaptive:0.05", audit=True)
    assert near.audit is not None and near.audit.error <= 0.2
    assert np.linalg.norm(near.out - out) <= 0.2 * np.linalg.norm(out)


def test_a_step_inserts_and_attends_in_one_call(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY)
    k, v = tokens(40)
    chat.insert(0, 0, k[:39], v[:39])
    answer = chat.attend(0, queries(1), mode="exact", start=39, k=k[39:], v=v[39:])
    np.testing.assert_allclose(answer.out, exact(queries(1), k, v)[0], atol=1e-5)
    assert chat.describe().length == 40


def test_an_entry_fails_alone_and_says_why(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY)
    k, v = tokens(10)
    good, gap = wavekv.Insert(chat.layer(0), 0, k, v), wavekv.Insert(chat.layer(0), 50, k, v)
    stored, refused = client.insert([good, gap])
    assert isinstance(stored, wavekv.Inserted) and isinstance(refused, wavekv.OutOfRange)
    assert "start_position is 50: expected 10" in str(refused)
    k[3, 1, 7] = np.nan
    with pytest.raises(wavekv.InvalidArgument, match=r"k is NaN at \[3, 1, 7\]"):
        chat.insert(0, 10, k, v)
    with pytest.raises(wavekv.InvalidArgument, match="dtype float64"):
        chat.insert(0, 10, k.astype(np.float64), v)
    with pytest.raises(wavekv.InvalidArgument, match="mode is"):
        chat.attend(0, queries(1), mode="fast")
    with pytest.raises(wavekv.NotFound):
        client.get("nobody")
    with pytest.raises(wavekv.AlreadyExists):
        client.create(chat.name, GEOMETRY)
    with pytest.raises(wavekv.FailedPrecondition):
        client.get(chat.name, fingerprint="another model")
    with pytest.raises(wavekv.ConnectError):
        wavekv.Client("unix:/nowhere/wavekvd.sock", connect_timeout=1)
    with pytest.raises(wavekv.InvalidArgument, match="address is"):
        wavekv.Client("nowhere")


def test_clusters_are_ranked_fetched_and_estimated(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY)
    k, v = tokens(3000)
    chat.insert(0, 0, k, v)
    clustered = chat.segment_cluster(0)
    assert clustered.segments >= 1 and clustered.clusters > 10
    ranking = chat.top_clusters(0, queries(1), 5, with_payload=True)
    assert [len(head) for head in ranking.heads] == [5, 5]
    best = ranking.heads[1][0]
    assert best.payload is not None and best.tokens == len(best.payload.positions)
    np.testing.assert_array_equal(best.payload.k.numpy().reshape(-1, 32), k[best.payload.positions, 1])
    again = chat.fetch_cluster(0, best.cluster)
    np.testing.assert_array_equal(again.v.numpy(), best.payload.v.numpy().reshape(-1, 1, 16))
    partial = chat.estimate(0, queries(1), [best.cluster])
    assert partial.out.shape == (1, 4, 16) and np.isfinite(partial.lse).all()
    stored = chat.fetch(0, 100, 200)
    np.testing.assert_array_equal(stored.k.numpy(), k[100:200])


def test_a_fork_shares_and_a_truncation_drops(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY, durability="none")
    k, v = tokens(100)
    chat.insert(0, 0, k, v)
    fork = chat.fork(name(), length=60)
    assert fork.describe().length == 60 and fork.description.durability == "none"
    assert chat.truncate(30) == [30]
    np.testing.assert_array_equal(fork.fetch(0, 0, 60).v.numpy(), v[:60])
    chat.delete()
    with pytest.raises(wavekv.NotFound):
        chat.describe()
    assert fork.name in [described.name for described in client.list()]


def test_bits_of_bf16_and_f16_come_back(client: wavekv.Client) -> None:
    for dtype, kind in (("bf16", np.uint16), ("f16", np.float16)):
        geometry = wavekv.Geometry("m", layers=1, q_heads=4, kv_heads=2, head_dim=32, value_dim=16, dtype=dtype)
        chat = client.create(name(), geometry)
        k, v = tokens(20)
        if kind is np.uint16:
            k, v = ((x.view(np.uint32) >> 16).astype(np.uint16) for x in (k, v))
        else:
            k, v = k.astype(kind), v.astype(kind)
        chat.insert(0, 0, k, v)
        np.testing.assert_array_equal(chat.fetch(0, 0, 20).k.numpy(), k)


def test_tensors_that_are_not_contiguous_or_not_numpy_are_read(client: wavekv.Client) -> None:
    class Exported:
        """An array that nobody but DLPack gives."""

        def __init__(self, array: np.ndarray) -> None:
            self._array = array

        def __dlpack__(self, **named: object) -> object:
            return self._array.__dlpack__(**named)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self._array.__dlpack_device__()

    chat = client.create(name(), GEOMETRY)
    k, v = tokens(20)
    chat.insert(0, 0, Exported(k[:10]), v[:10])
    chat.insert(0, 10, np.asfortranarray(k[10:]), memoryview(v[10:]))
    fetched = chat.fetch(0, 0, 20)
    np.testing.assert_array_equal(np.asarray(fetched.k), k)
    np.testing.assert_array_equal(np.asarray(fetched.v), v)


def test_answers_cannot_be_written_and_outlive_their_call(client: wavekv.Client) -> None:
    chat = client.create(name(), GEOMETRY)
    chat.insert(0, 0, *tokens(20))
    fetched = chat.fetch(0, 0, 20).k.numpy()
    chat.delete()
    with pytest.raises(ValueError, match="read-only"):
        fetched[0] = 0
    np.testing.assert_array_equal(fetched, tokens(20)[0])


def test_threads_wait_side_by_side(client: wavekv.Client) -> None:
    chats = [client.create(name(), GEOMETRY) for _ in range(8)]
    failures: list[BaseException] = []

    def work(chat: wavekv.Collection, seed: int) -> None:
        try:
            k, v = tokens(200, seed)
            for start in range(0, 200, 20):
                chat.insert(0, start, k[start : start + 20], v[start : start + 20])
            np.testing.assert_array_equal(chat.fetch(0, 0, 200).k.numpy(), k)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(chat, seed)) for seed, chat in enumerate(chats)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_coroutines_do_the_same(daemon) -> None:
    async def work() -> None:
        client = await wavekv.aio.connect(daemon.address)
        chats = await asyncio.gather(*(client.create(name(), GEOMETRY) for _ in range(5)))
        k, v = tokens(50)
        await asyncio.gather(*(chat.insert(0, 0, k, v) for chat in chats))
        batch = [wavekv.Attend(chat.layer(0), queries(1), mode="exact") for chat in chats]
        answers = await client.attend(batch)
        for answer in answers:
            np.testing.assert_allclose(answer.out, exact(queries(1), k, v)[0], atol=1e-5)
        with pytest.raises(wavekv.OutOfRange):
            await chats[0].insert(0, 99, k, v)

    asyncio.run(work())


def test_a_daemon_that_is_killed_is_an_error_and_one_that_comes_back_is_used(own_daemon) -> None:
    client = own_daemon.client(deadline=20)
    chat = client.create(name(), GEOMETRY)
    k, v = tokens(50)
    chat.insert(0, 0, k, v)
    before = chat.attend(0, queries(1), mode="exact").out
    epoch = client.stats().boot_epoch
    own_daemon.kill()
    with pytest.raises((wavekv.ConnectionLost, wavekv.ConnectError, wavekv.Unavailable)):
        chat.attend(0, queries(1))
    own_daemon.start()
    np.testing.assert_array_equal(chat.attend(0, queries(1), mode="exact").out, before)
    assert client.stats().boot_epoch > epoch


def test_https_wants_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("authority", "certificate", "key")}
    authority.cert_pem.write_to_path(files["authority"])
    made.cert_chain_pems[0].write_to_path(files["certificate"])
    made.private_key_pem.write_to_path(files["key"])
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    daemon = Daemon(folder, f"grpc.tls_certificate={files['certificate']}", f"grpc.tls_key={files['key']}")
    try:
        port = re.search(r"127\.0\.0\.1:(\d+)", (folder / "log").read_text())
        assert port is not None
        address = f"https://localhost:{port[1]}"
        with pytest.raises(wavekv.ConnectError, match="certificate"):
            wavekv.Client(address)
        # Who is trusted, a process reads once.
        program = f"import wavekv; print(wavekv.Client({address!r}).stats().version)"
        environment = {**os.environ, "SSL_CERT_FILE": files["authority"]}
        asked = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.strip() == daemon.client().stats().version
    finally:
        daemon.kill()
