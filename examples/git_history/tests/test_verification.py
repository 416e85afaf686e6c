"""A verification that could not fail would be worth nothing."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from git_history.history import History
from git_history.importing import import_commits
from git_history.tests.workshop import Workshop
from git_history.verification import verify
from git_history.working_tree import WorkingTree


@pytest.fixture
async def imported(workshop: Workshop, history: History) -> Workshop:
    """Import a history of five commits and four files."""
    for name in ("a", "b", "c"):
        workshop.write(name, f"{name}\n" * 5)
    workshop.commit("first")
    workshop.write("a", "a\n" * 6)
    workshop.write("b", "b\n" * 4)
    workshop.commit("second", author="Grace")
    workshop.git("mv", "b", "moved")
    workshop.write("a", "a\n" * 7)
    workshop.commit("third")
    (workshop.path / "c").unlink()
    workshop.write("d", "d\n")
    workshop.commit("fourth")
    workshop.write("a", "a\n" * 8)
    workshop.write("d", "d\n" * 2)
    workshop.commit("fifth")
    await import_commits(history, workshop.repository, WorkingTree(), until=workshop.head())
    return workshop


async def test_a_faithful_store_passes(imported: Workshop, history: History) -> None:
    """Every check compares something, and finds no difference."""
    checks = await verify(history, imported.repository, imported.head())
    assert 12 == len(checks)
    assert [] == [check for check in checks if check.differences or not check.compared]


def edit(database: Path, where: str, column: str, **values: Any) -> None:
    """Change values in a JSON column of one event."""
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute(f"SELECT id, {column} FROM event WHERE {where}").fetchall()  # noqa: S608 the test's own words
        ((row_id, old),) = rows
        new = json.dumps(json.loads(old) | values)
        connection.execute(f"UPDATE event SET {column} = ? WHERE id = ?", (new, row_id))  # noqa: S608


def execute(database: Path, statement: str) -> None:
    """Run a statement that hits something."""
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def file_event(aggregate_id: str, version: int) -> str:
    """Return the condition for one event of a file."""
    return f"aggregate_name = 'FILES' AND aggregate_id = '{aggregate_id}' AND version = {version}"


def commit_event(version: int) -> str:
    """Return the condition for one commit."""
    return f"aggregate_name = 'COMMITS' AND version = {version}"


Damage = Callable[[Path], None]

DAMAGES: dict[str, tuple[Damage, str]] = {
    "a line too many": (
        lambda file: edit(file, file_event("a", 2), "data", added=2),
        "lines added and deleted by path",
    ),
    "a line too many on both sides": (
        lambda file: edit(file, file_event("a", 2), "data", added=2, deleted=1),
        "lines added and deleted by path",
    ),
    "other lines in a deletion": (
        lambda file: edit(file, file_event("c", 2), "data", deleted=6),
        "lines added and deleted by path",
    ),
    "lines that are not counted": (
        lambda file: edit(file, file_event("a", 4), "data", added=None),
        "lines added and deleted by path",
    ),
    "another content": (
        lambda file: edit(file, file_event("a", 4), "data", blob="0" * 40),
        "live files at commit 5",
    ),
    "another content in the past": (
        lambda file: edit(file, file_event("a", 2), "data", blob="0" * 40),
        "live files at commit 2",
    ),
    "another mode": (
        lambda file: edit(file, file_event("d", 2), "data", mode="100755"),
        "live files at commit 5",
    ),
    "another path": (
        lambda file: edit(file, file_event("b", 3), "data", path="elsewhere"),
        "live files at commit 3",
    ),
    "another author": (
        lambda file: edit(file, file_event("a", 3), "metadata", author="Nobody"),
        "changes by path and author",
    ),
    "another commit": (
        lambda file: edit(file, commit_event(3), "data", commit="0" * 40),
        "commits of the line",
    ),
    "another date": (
        lambda file: edit(
            file, commit_event(3), "metadata", committed_at="2001-01-01T00:00:00+00:00"
        ),
        "the last commit at a date",
    ),
    "an event of an earlier commit": (
        lambda file: edit(file, file_event("a", 3), "metadata", number=2),
        "events of each commit",
    ),
    "no last event": (
        lambda file: execute(file, f"DELETE FROM event WHERE {file_event('a', 4)}"),
        "events of each commit",
    ),
    "no event in the middle": (
        lambda file: execute(file, f"DELETE FROM event WHERE {file_event('a', 3)}"),
        "events that can be read",
    ),
    "no first event": (
        lambda file: execute(file, f"DELETE FROM event WHERE {file_event('a', 1)}"),
        "events that can be read",
    ),
    "a file that is missing": (
        lambda file: execute(file, "DELETE FROM event WHERE aggregate_id = 'd'"),
        "live files at commit 5",
    ),
    "a commit that is missing at the end": (
        lambda file: execute(file, f"DELETE FROM event WHERE {commit_event(5)}"),
        "commits of the line",
    ),
    "an event of an unknown type": (
        lambda file: execute(file, f"UPDATE event SET type = 'X' WHERE {file_event('a', 3)}"),
        "events that can be read",
    ),
    "a deletion that is none": (
        lambda file: execute(
            file, f"UPDATE event SET type = 'FILE_DELETED' WHERE {file_event('d', 2)}"
        ),
        "live files at commit 5",
    ),
    "nothing at all": (
        lambda file: execute(file, "DELETE FROM event"),
        "commits of the line",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_damage_is_found(
    imported: Workshop, history: History, database: Path, name: str
) -> None:
    """Whatever is changed in the store, the check that should see it does."""
    damage, title = DAMAGES[name]
    damage(database)
    checks = await verify(history, imported.repository, imported.head())
    failed = [check.title for check in checks if check.differences]
    assert any(each.startswith(title) for each in failed), failed


async def test_a_difference_says_what_differs(
    imported: Workshop, history: History, database: Path
) -> None:
    """It names the value, and what both sides say of it."""
    edit(database, file_event("a", 2), "data", added=2)
    checks = await verify(history, imported.repository, imported.head())
    (check,) = (each for each in checks if each.title == "lines added and deleted by path")
    assert ("a: git says 8 0, the store says 9 0",) == check.differences


async def test_a_store_that_is_behind_fails(imported: Workshop, history: History) -> None:
    """The verification is about the commit that it is asked about."""
    imported.write("new")
    imported.commit()
    checks = await verify(history, imported.repository, imported.head())
    assert any(check.differences for check in checks)
