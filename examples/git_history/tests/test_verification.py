"""A verification that could not fail would be worth nothing."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from git_history.commits import LINE_ID
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
    assert 13 == len(checks)
    assert [] == [check for check in checks if check.differences or not check.compared]


def edit(database: Path, aggregate_id: str, version: int, column: str, **values: object) -> None:
    """Change values in the data, or the metadata, of one event."""
    place = (aggregate_id, version)
    select, update = {
        "data": (
            "SELECT data FROM event WHERE aggregate_id = ? AND version = ?",
            "UPDATE event SET data = ? WHERE aggregate_id = ? AND version = ?",
        ),
        "metadata": (
            "SELECT metadata FROM event WHERE aggregate_id = ? AND version = ?",
            "UPDATE event SET metadata = ? WHERE aggregate_id = ? AND version = ?",
        ),
    }[column]
    with closing(sqlite3.connect(database)) as connection, connection:
        ((old,),) = connection.execute(select, place).fetchall()
        connection.execute(update, (json.dumps(json.loads(old) | values), *place))


def retype(database: Path, aggregate_id: str, version: int, event_type: str) -> None:
    """Change the type of one event."""
    statement = "UPDATE event SET type = ? WHERE aggregate_id = ? AND version = ?"
    with closing(sqlite3.connect(database)) as connection, connection:
        assert 1 == connection.execute(statement, (event_type, aggregate_id, version)).rowcount


def backdate(database: Path, aggregate_id: str, version: int) -> None:
    """Give one event the timestamp of another time."""
    statement = "UPDATE event SET timestamp = ? WHERE aggregate_id = ? AND version = ?"
    values = ("2001-01-01T00:00:00.000Z", aggregate_id, version)
    with closing(sqlite3.connect(database)) as connection, connection:
        assert 1 == connection.execute(statement, values).rowcount


def delete(database: Path, aggregate_id: str, *versions: int) -> None:
    """Delete events."""
    statement = "DELETE FROM event WHERE aggregate_id = ? AND version = ?"
    with closing(sqlite3.connect(database)) as connection, connection:
        for version in versions:
            assert 1 == connection.execute(statement, (aggregate_id, version)).rowcount


def delete_all(database: Path) -> None:
    """Delete every event."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM event")


Damage = Callable[[Path], None]

DAMAGES: dict[str, tuple[Damage, str]] = {
    "a line too many": (
        lambda file: edit(file, "a", 2, "data", added=2),
        "lines added and deleted by path",
    ),
    "a line too many on both sides": (
        lambda file: edit(file, "a", 2, "data", added=2, deleted=1),
        "lines added and deleted by path",
    ),
    "other lines in a deletion": (
        lambda file: edit(file, "c", 2, "data", deleted=6),
        "lines added and deleted by path",
    ),
    "lines that are not counted": (
        lambda file: edit(file, "a", 4, "data", added=None),
        "lines added and deleted by path",
    ),
    "another content": (
        lambda file: edit(file, "a", 4, "data", blob="0" * 40),
        "live files at HEAD",
    ),
    "another content in the past": (
        lambda file: edit(file, "a", 2, "data", blob="0" * 40),
        "live files at commit 2",
    ),
    "another mode": (
        lambda file: edit(file, "d", 2, "data", mode="100755"),
        "live files at HEAD",
    ),
    "another path": (
        lambda file: edit(file, "b", 3, "data", path="elsewhere"),
        "live files at commit 3",
    ),
    "a file that passes for binary": (
        lambda file: edit(file, "b", 1, "data", added=None, deleted=None),
        "binary changes by path",
    ),
    "a rename that passes for binary": (
        lambda file: edit(file, "b", 3, "data", added=None, deleted=None),
        "lines added and deleted by path",
    ),
    "another author of a commit": (
        lambda file: edit(file, LINE_ID, 3, "metadata", author="Nobody"),
        "commits of the line",
    ),
    "another address": (
        lambda file: edit(file, "a", 3, "metadata", email="nobody@example.com"),
        "events of each commit",
    ),
    "another timestamp": (
        lambda file: backdate(file, "a", 3),
        "events of each commit",
    ),
    "another timestamp of a commit": (
        lambda file: backdate(file, LINE_ID, 3),
        "commits of the line",
    ),
    "another author": (
        lambda file: edit(file, "a", 3, "metadata", author="Nobody"),
        "changes by path and author",
    ),
    "another commit": (
        lambda file: edit(file, LINE_ID, 3, "data", commit="0" * 40),
        "commits of the line",
    ),
    "another date": (
        lambda file: edit(file, LINE_ID, 3, "metadata", committed_at="2001-01-01T00:00:00+00:00"),
        "the last commit at a date",
    ),
    "an event of an earlier commit": (
        lambda file: edit(file, "a", 3, "metadata", number=2),
        "events of each commit",
    ),
    "no last event": (
        lambda file: delete(file, "a", 4),
        "events of each commit",
    ),
    "no event in the middle": (
        lambda file: delete(file, "a", 3),
        "events that can be read",
    ),
    "no first event": (
        lambda file: delete(file, "a", 1),
        "events that can be read",
    ),
    "a file that is missing": (
        lambda file: delete(file, "d", 1, 2),
        "live files at HEAD",
    ),
    "a commit that is missing at the end": (
        lambda file: delete(file, LINE_ID, 5),
        "commits of the line",
    ),
    "an event of an unknown type": (
        lambda file: retype(file, "a", 3, "X"),
        "events that can be read",
    ),
    "a deletion that is none": (
        lambda file: retype(file, "d", 2, "FILE_DELETED"),
        "live files at HEAD",
    ),
    "nothing at all": (
        delete_all,
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
    edit(database, "a", 2, "data", added=2)
    checks = await verify(history, imported.repository, imported.head())
    (check,) = (each for each in checks if each.title == "lines added and deleted by path")
    assert ("a: git says 8 0, the store says 9 0",) == check.differences


async def test_a_store_that_is_behind_fails(imported: Workshop, history: History) -> None:
    """The verification is about the commit that it is asked about."""
    imported.write("new")
    imported.commit()
    checks = await verify(history, imported.repository, imported.head())
    assert any(check.differences for check in checks)
