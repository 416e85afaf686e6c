"""A MariaDB server of a test's own, which may have other settings."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def private_mariadb(*options: str) -> Generator[str]:
    """Start an empty server and give its URL; without the programs, skip the test."""
    if shutil.which("mariadbd", path=_PATH) is None:
        pytest.skip("mariadb has no mariadbd here: scripts/services start")
    directory = Path(tempfile.mkdtemp(prefix="castore-mariadb-", dir="/tmp"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if os.geteuid() == 0:  # as which the server does not run
            shutil.chown(directory, "mysql", "mysql")
        _install(directory)
        port = _find_free_port()
        process = _start(directory, port, options)
        _wait(directory, port)
        yield f"mysql://castore@127.0.0.1:{port}/castore"
    finally:
        if process is not None:
            process.kill()
            process.wait(_PATIENCE)
        shutil.rmtree(directory, ignore_errors=True)


def _install(directory: Path) -> None:
    (directory / "init.sql").write_text(_INIT)
    done = subprocess.run(
        _as_server(
            *("mariadb-install-db", "--no-defaults", f"--datadir={directory}/data"),
            *("--skip-test-db", "--auth-root-authentication-method=normal"),
        ),
        cwd=directory,
        env=_get_environment(directory),
        check=False,
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def _start(directory: Path, port: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            _as_server(
                *("mariadbd", "--no-defaults", f"--datadir={directory}/data"),
                *(f"--tmpdir={directory}", f"--port={port}", "--bind-address=127.0.0.1"),
                *(f"--init-file={directory}/init.sql", *_OPTIONS, *options),
            ),
            cwd=directory,
            env=_get_environment(directory),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C stops the tests first
        )


def _wait(directory: Path, port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="castore", database="castore").close()
        except pymysql.Error:
            assert time.monotonic() < end, (directory / "log").read_text(errors="replace")
            time.sleep(0.05)
        else:
            return


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
