"""A MySQL or MariaDB server of a test's own, which may have other settings."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pymysql
import pytest

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_PATIENCE = 60.0  # seconds
_INIT = """\
CREATE DATABASE IF NOT EXISTS castore CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS castore@'%';
GRANT ALL ON *.* TO castore@'%' WITH GRANT OPTION;
"""
_OPTIONS = ("--skip-name-resolve", "--socket=socket", "--innodb-buffer-pool-size=16M")
_HOME = Path(__file__).parents[2] / ".services" / "mysql.home"


class _Programs(NamedTuple):
    """The commands that make the data of a server, and that start it."""

    install: Sequence[str]
    run: Sequence[str]


def _find_mariadb() -> _Programs | None:
    if shutil.which("mariadbd", path=_PATH) is None:
        return None
    install = ("mariadb-install-db", "--no-defaults", "--skip-test-db")
    return _Programs(
        (*install, "--auth-root-authentication-method=normal"), ("mariadbd", "--no-defaults")
    )


def _find_mysql() -> _Programs | None:
    """Find the program of the MySQL server that scripts/services has started."""
    if not _HOME.exists():
        return None
    run = (f"{_HOME.read_text().strip()}/mysqld", "--no-defaults", "--secure-file-priv=")
    return _Programs((*run, "--initialize-insecure"), (*run, "--mysqlx=OFF"))


_FIND = {"mariadb": _find_mariadb, "mysql": _find_mysql}


class PrivateMySQL:
    """A server in a directory.

    Args:
        directory: an empty one, which the user ``mysql`` can reach.
        programs: those of MySQL or MariaDB.
        options: further ones of the server.
    """

    def __init__(self, directory: Path, programs: _Programs, options: Sequence[str] = ()) -> None:
        self.port = _find_free_port()
        self.url = f"mysql://castore@127.0.0.1:{self.port}/castore"
        self._directory = directory
        self._programs = programs
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # as which the server does not run
            shutil.chown(directory, "mysql", "mysql")
        (directory / "init.sql").write_text(_INIT)
        done = subprocess.run(
            _as_server(*programs.install, f"--datadir={directory}/data"),
            cwd=directory,
            env=_get_environment(directory),
            check=False,
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_server(
                    *(*self._programs.run, f"--datadir={self._directory}/data"),
                    *(f"--tmpdir={self._directory}", f"--port={self.port}"),
                    *("--bind-address=127.0.0.1", f"--init-file={self._directory}/init.sql"),
                    *(*_OPTIONS, *self._options),
                ),
                cwd=self._directory,
                env=_get_environment(self._directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops the tests first
            )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                pymysql.connect(
                    host="127.0.0.1", port=self.port, user="castore", database="castore"
                ).close()
            except pymysql.Error:
                log = self._directory / "log"
                assert time.monotonic() < end, log.read_text(errors="replace")
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Kill the server, as a crash of the machine does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            self._process = None


@contextmanager
def private_mysql_server(name: str, *options: str) -> Generator[PrivateMySQL]:
    """Start an empty server, ``mysql`` or ``mariadb``; without the programs, skip the test."""
    programs = _FIND[name]()
    if programs is None:
        pytest.skip(f"{name} has no program here: scripts/services start")
    directory = Path(tempfile.mkdtemp(prefix=f"castore-{name}-", dir="/tmp"))
    server: PrivateMySQL | None = None
    try:
        server = PrivateMySQL(directory, programs, options)
        server.start()
        yield server
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def private_mysql(name: str, *options: str) -> Generator[str]:
    """Start an empty server and give its URL; without the programs, skip the test."""
    with private_mysql_server(name, *options) as server:
        yield server.url


def _get_environment(directory: Path) -> dict[str, str]:
    return os.environ | {"PATH": _PATH, "TMPDIR": str(directory)}


def _as_server(*command: str) -> Sequence[str]:
    if os.geteuid() != 0:
        return command
    return ("setpriv", "--reuid=mysql", "--regid=mysql", "--init-groups", *command)


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
