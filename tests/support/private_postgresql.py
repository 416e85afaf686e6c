"""A PostgreSQL server of a test's own, which it may fill, stop and kill."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL

_USER = "castore"
_PATIENCE = 60.0  # seconds
_OPTIONS = (
    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
    *("-c", "shared_buffers=16MB", "-c", "max_prepared_transactions=10"),
)


class PrivatePostgreSQL:
    """A cluster in a directory.

    Args:
        programs: where ``initdb``, ``postgres`` and ``pg_dump`` are.
        directory: an empty one, which the user ``postgres`` can reach.
        options: further ones of the server, such as ``("-c", "fsync=off")``.
    """

    def __init__(self, programs: Path, directory: Path, options: Sequence[str] = ()) -> None:
        self.programs = programs
        self.port = _find_free_port()
        self._directory = directory
        self._data = directory / "data"
        self._options = (*_OPTIONS, *options)
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # as which the server does not run
            shutil.chown(directory, "postgres", "postgres")
        self._run(
            *("initdb", "-D", self._data, "-U", _USER, "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--no-sync"),
        )

    def get_url(self, driver: str = "postgresql", database: str = "postgres") -> URL:
        """Return the URL of a database."""
        return URL.create(driver, _USER, host="127.0.0.1", port=self.port, database=database)

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection in autocommit mode."""
        url = self.get_url(database=database)
        return psycopg.connect(url.render_as_string(), autocommit=True, connect_timeout=5)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        end = time.monotonic() + _PATIENCE
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()  # again, while processes of a killed one end
            try:
                self.connect().close()
            except psycopg.OperationalError:
                log = self._directory / "log"
                assert time.monotonic() < end, log.read_text(errors="replace")
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop the server, which closes all connections and loses nothing."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill all processes of the server, as a crash of the machine does."""
        if self._process is not None and self._process.poll() is None:
            children = _find_children(self._process.pid)
            self._end(signal.SIGKILL)
            for pid in children:
                _kill(pid)

    def run_client(self, program: str, *arguments: str | Path) -> str:
        """Run ``psql``, ``pg_dump`` or the like, and return what it writes."""
        where = ("--host=127.0.0.1", f"--port={self.port}", f"--username={_USER}", "--no-password")
        done = subprocess.run(
            [self.programs / program, *where, *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                _as_server(
                    self.programs / "postgres",
                    *("-D", self._data, "-p", str(self.port), *self._options),
                ),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops the tests first
            )

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_PATIENCE)
            self._process = None

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            _as_server(self.programs / program, *arguments),
            cwd=self._directory,
            check=False,
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stderr


@contextmanager
def private_postgresql(*options: str) -> Generator[PrivatePostgreSQL]:
    """Start a server with an empty cluster; without the programs, skip the test."""
    programs = _find_programs()
    directory = Path(tempfile.mkdtemp(prefix="castore-postgres-", dir="/tmp"))
    server: PrivatePostgreSQL | None = None
    try:
        server = PrivatePostgreSQL(programs, directory, options)
        server.start()
        yield server
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _find_programs() -> Path:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    places = sorted(versions, key=lambda each: int(each.parts[-3]))
    if not places:
        pytest.skip("postgres has no initdb here: scripts/services start")
    return places[-1].parent


def _as_server(*command: str | Path) -> Sequence[str | Path]:
    if os.geteuid() != 0:
        return command
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command)


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _find_children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # not Linux: they end by themselves
        return []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
