"""A daemon for the tests: WAVEKV_DAEMON names its executable."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import wavekv


class Daemon:
    """A daemon of its own, at a socket in a folder."""

    listens = ("--set", "grpc.listen=127.0.0.1:0", "--set", "http.listen=")

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.settings = [word for setting in settings for word in ("--set", setting)]
        self.address = f"unix:{folder}/wavekvd.sock"
        self.addresses = {"grpc": self.address, "shm": f"shm:{folder}/wavekvd.shm.sock"}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [os.environ["WAVEKV_DAEMON"], "--data-dir", self.folder, *self.listens, *self.settings],
                stderr=log,
            )
        for _ in range(600):
            try:
                wavekv.Client(self.address).stats()
                return
            except (wavekv.ConnectError, wavekv.Unavailable):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self, **options: float) -> wavekv.Client:
        return wavekv.Client(self.address, **options)


@pytest.fixture
def own_daemon(tmp_path: Path):
    """A daemon that a test may kill."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.kill()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory):
    """A daemon that all tests share."""
    daemon = Daemon(tmp_path_factory.mktemp("wavekv"))
    yield daemon
    daemon.kill()


@pytest.fixture(scope="session", params=["grpc", "shm"])
def client(daemon: Daemon, request: pytest.FixtureRequest) -> wavekv.Client:
    """A connection by each of the transports."""
    return wavekv.Client(daemon.addresses[request.param])
