"""A Redis server of a test's own, which it may fill, flush, stop and kill."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_PATIENCE = 30.0  # seconds
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


class PrivateRedis:
    """A server with a directory of its own, whose answered writes are on the disk.

    Args:
        directory: an empty one.
        options: further ones of the server, such as ``("--maxmemory", "20mb")``.
    """

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self.port = _find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (
                    *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self._directory), *_DURABLE, *self._options),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops the tests first
            )
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            assert time.monotonic() < end, (self._directory / "log").read_text(errors="replace")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server, as a crash of the machine does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(_PATIENCE)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def private_redis(*options: str) -> Generator[PrivateRedis]:
    """Start an empty server; without the program, skip the test."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis has no redis-server here: scripts/services start")
    directory = Path(tempfile.mkdtemp(prefix="castore-redis-", dir=os.environ.get("TMPDIR")))
    server = PrivateRedis(directory, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
