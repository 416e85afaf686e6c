"""Concurrent writers of one aggregate all succeed, with the default options."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sql_servers import ServerDatabase, using_servers

PROGRAM = Path(__file__).parent / "conflict_writers.py"


def start(kind: str, url: str, tasks: int) -> "subprocess.Popen[str]":
    """Start a process, and return when it waits for the others."""
    command = [sys.executable, "-W", "error", PROGRAM, kind, url, str(tasks)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline(), process.communicate()
    return process


def run(kind: str, url: str, processes: int, tasks: int) -> list[int]:
    """Let all tasks of all processes write at once, and return the attempts of each task."""
    started = [start(kind, url, tasks) for _ in range(processes)]
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    attempts: list[int] = []
    for each in started:
        output, errors = each.communicate(timeout=100)
        assert (0, "") == (each.returncode, errors)
        attempts += json.loads(output)
    return attempts


@pytest.mark.parametrize(("processes", "tasks"), [(1, 32), (4, 8)])
@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
@pytest.mark.parametrize("kind", ["aggregate-command", "command"])
def test_thirty_two_writers_of_one_aggregate(
    tmp_path: Path, kind: str, driver: str, processes: int, tasks: int
) -> None:
    """Each writes its event, after as many conflicts as it meets."""
    path = tmp_path / "events.db"

    attempts = run(kind, f"{driver}:///{path}", processes, tasks)

    print("attempts of the slowest:", max(attempts))  # noqa: T201 for whoever wonders: pytest -rP
    assert 32 == len(attempts)
    with closing(sqlite3.connect(path)) as connection:
        versions = connection.execute("SELECT version FROM event ORDER BY version").fetchall()
    assert [(version,) for version in range(1, 33)] == versions


@pytest.fixture
def database(
    find_server: Callable[[str], str], request: pytest.FixtureRequest
) -> Iterator[ServerDatabase]:
    """Give an empty database on a server."""
    with using_servers(alone=False):
        database = ServerDatabase(request.param, find_server(request.param))
        database.create()
        yield database
        database.drop()


@pytest.mark.parametrize(
    ("database", "kind", "driver"),
    [
        ("mariadb", "aggregate-command", "mysql+asyncmy"),
        ("mariadb", "command", "mysql+pymysql"),
        ("mysql", "aggregate-command", "mysql+asyncmy"),
    ],
    indirect=["database"],
)
def test_thirty_two_writers_of_one_aggregate_on_a_server(
    database: ServerDatabase, kind: str, driver: str
) -> None:
    """Each writes its event, after as many conflicts as it meets; none sees a deadlock."""
    attempts = run(kind, database.get_url(driver).render_as_string(), 4, 8)

    print("attempts of the slowest:", max(attempts))  # noqa: T201 for whoever wonders: pytest -rP
    assert 32 == len(attempts)
    versions = database.run("SELECT version FROM event WHERE version > 0 ORDER BY version")
    assert [(version,) for version in range(1, 33)] == versions
