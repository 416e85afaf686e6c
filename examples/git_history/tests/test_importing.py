"""Importing real repositories."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

import git_history
from castore_core import EventRecord, JSONValue
from git_history.commits import LINE_ID
from git_history.history import History, open_adapter, open_history
from git_history.importing import HistoryRewrittenError, Imported, import_commits, rebuild_tree
from git_history.tests.random_history import make_random_history
from git_history.tests.workshop import Workshop, make_odd_history
from git_history.verification import Check, verify


async def run(history: History, workshop: Workshop, until: str | None = None) -> Imported:
    """Import as a new process does it: what it knows, it has from the store."""
    repository = workshop.repository
    tree = await rebuild_tree(history)
    return await import_commits(history, repository, tree, until=until or repository.head())


async def differing(history: History, workshop: Workshop) -> list[Check]:
    """Return the checks that fail."""
    checks = await verify(history, workshop.repository, workshop.head())
    assert any(check.compared for check in checks)
    return [check for check in checks if check.differences]


async def stored(history: History) -> list[EventRecord]:
    """Return everything in the store, in its order."""
    found = await history.log.read_events(None, limit=1_000_000)
    return [entry.record for entry in found.entries]


def line(workshop: Workshop) -> list[str]:
    """Return the commits of the first-parent line, oldest first."""
    return workshop.git("rev-list", "--first-parent", "--reverse", "HEAD").split()


async def test_each_commit_is_a_group_of_events(workshop: Workshop, history: History) -> None:
    """The events say what happened, to which file, when, and in which commit."""
    workshop.write("file", "one\ntwo\n")
    workshop.write("other", "one\n")
    first = workshop.commit("first", GIT_AUTHOR_DATE="1000000000 +0000")
    blob = workshop.git("rev-parse", "HEAD:file")
    workshop.git("mv", "file", "moved")
    (workshop.path / "other").unlink()
    workshop.commit("second", author="Grace")
    imported = await run(history, workshop)
    assert (2, {"FILE_ADDED": 2, "FILE_RENAMED": 1, "FILE_DELETED": 1}) == (
        imported.commits,
        imported.events,
    )
    records = await stored(history)
    assert [
        ("file", 1, "FILE_ADDED"),
        ("other", 1, "FILE_ADDED"),
        (LINE_ID, 1, "COMMIT_IMPORTED"),
        ("file", 2, "FILE_RENAMED"),
        ("other", 2, "FILE_DELETED"),
        (LINE_ID, 2, "COMMIT_IMPORTED"),
    ] == [record[:3] for record in records]
    metadata: JSONValue = {
        "commit": first,
        "number": 1,
        "author": "Ada",
        "email": "ada@example.com",
        "committed_at": datetime.fromtimestamp(workshop.now - 3600, UTC).isoformat(),
    }
    assert (
        EventRecord(
            "file",
            1,
            "FILE_ADDED",
            datetime.fromtimestamp(1_000_000_000, UTC),
            {"path": "file", "mode": "100644", "blob": blob, "added": 2, "deleted": 0},
            metadata,
        )
        == records[0]
    )
    assert (
        EventRecord(
            LINE_ID,
            1,
            "COMMIT_IMPORTED",
            datetime.fromtimestamp(1_000_000_000, UTC),
            {"commit": first, "parent": None, "subject": "first", "changes": 2},
            metadata,
        )
        == records[2]
    )


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_an_odd_history_is_what_git_says(
    tmp_path: Path, history: History, object_format: str
) -> None:
    """Everything that can happen to a file is imported, and holds against git."""
    workshop = Workshop.init(tmp_path / "odd", f"--object-format={object_format}")
    make_odd_history(workshop)
    imported = await run(history, workshop)
    assert len(line(workshop)) == imported.commits
    assert {"FILE_ADDED", "FILE_CHANGED", "FILE_RENAMED", "FILE_DELETED"} == imported.events.keys()
    assert [] == await differing(history, workshop)


@pytest.mark.parametrize("seed", range(15))
async def test_any_history_is_what_git_says(
    workshop: Workshop, history: History, seed: int
) -> None:
    """Also a history that nobody thought of holds against git, and on the way to its end."""
    random = Random(seed)
    make_random_history(workshop, random, commits=random.randrange(1, 120))
    commits = line(workshop)
    for commit in [*commits[:: len(commits) // 3 + 1], commits[-1]]:
        await run(history, workshop, commit)
        checks = await verify(history, workshop.repository, commit)
        assert [] == [check for check in checks if check.differences]


async def test_a_bare_repository_is_imported(
    workshop: Workshop, history: History, tmp_path: Path
) -> None:
    """A working tree is not needed."""
    make_odd_history(workshop)
    bare = Workshop(tmp_path / "bare.git")
    workshop.git("clone", "-q", "--bare", str(workshop.path), str(bare.path))
    await run(history, bare)
    assert [] == await differing(history, bare)


async def test_a_second_run_imports_nothing(workshop: Workshop, history: History) -> None:
    """What is in the store is not pushed again."""
    make_odd_history(workshop)
    await run(history, workshop)
    before = await stored(history)
    assert Imported() == await run(history, workshop)
    assert before == await stored(history)


async def test_an_import_in_steps_is_the_same_import(
    workshop: Workshop, history: History, tmp_path: Path
) -> None:
    """It goes on where it ended, and holds against git at each step."""
    make_odd_history(workshop)
    commits = line(workshop)
    for commit in commits:
        assert 1 == (await run(history, workshop, commit)).commits
        checks = await verify(history, workshop.repository, commit)
        assert [] == [check for check in checks if check.differences]
    with open_adapter(tmp_path / "at once") as adapter:
        at_once = await open_history(adapter)
        assert len(commits) == (await run(at_once, workshop)).commits
        assert await stored(at_once) == await stored(history)


async def test_new_commits_are_added(workshop: Workshop, history: History) -> None:
    """A repository that grew is imported from where it was."""
    make_odd_history(workshop)
    await run(history, workshop)
    workshop.git("mv", "plain", "elsewhere")
    workshop.commit()
    workshop.write("plain")
    workshop.commit()
    assert 2 == (await run(history, workshop)).commits
    assert [] == await differing(history, workshop)


async def test_an_empty_repository_has_nothing_to_import(
    workshop: Workshop, history: History
) -> None:
    """It is no error that nothing was committed yet."""
    assert Imported() == await run(history, workshop)
    assert [] == await stored(history)


async def test_a_shallow_clone_may_be_deepened(
    workshop: Workshop, history: History, tmp_path: Path
) -> None:
    """The import begins with the first commit that there is, and that stays its beginning."""
    make_odd_history(workshop)
    shallow = Workshop(tmp_path / "shallow")
    workshop.git("clone", "-q", "--depth=8", workshop.path.as_uri(), str(shallow.path))
    await run(history, shallow)
    assert [] == await differing(history, shallow)
    workshop.write("plain", "one more\n")
    workshop.commit()
    shallow.git("pull", "-q", "--unshallow")
    assert 1 == (await run(history, shallow)).commits
    assert [] == await differing(history, shallow)


def amend(workshop: Workshop) -> None:
    """Write the last commit anew."""
    workshop.git("commit", "-q", "--amend", "-m", "another")


def go_back(workshop: Workshop) -> None:
    """Take the last commit away."""
    workshop.git("reset", "-q", "--hard", "HEAD~1")


def switch(workshop: Workshop) -> None:
    """Check out a branch that began before the last commit."""
    workshop.git("switch", "-q", "-c", "branch", "HEAD~1")
    workshop.commit("on a branch")


def merge_the_wrong_way_round(workshop: Workshop) -> None:
    """Make the imported line the second parent of the branch."""
    switch(workshop)
    workshop.git("merge", "-q", "-m", "main comes in from the side", "main")


def begin_anew(workshop: Workshop) -> None:
    """Leave the branch without a commit."""
    workshop.git("switch", "-q", "--orphan", "nothing")


@pytest.mark.parametrize("rewrite", [amend, go_back, switch, merge_the_wrong_way_round, begin_anew])
async def test_a_history_that_was_rewritten_is_not_imported(
    workshop: Workshop, history: History, rewrite: Callable[[Workshop], None]
) -> None:
    """The events in the store would not be those of the line any more."""
    for number in range(3):
        workshop.write("file", f"{number}\n")
        workshop.commit(str(number))
    last = workshop.head()
    await run(history, workshop)
    before = await stored(history)
    rewrite(workshop)
    with pytest.raises(HistoryRewrittenError, match=r"not on the\s+first-parent line") as caught:
        await run(history, workshop)
    assert last == caught.value.last_commit
    assert before == await stored(history)


async def test_another_repository_is_not_imported_on_top(
    workshop: Workshop, history: History, tmp_path: Path
) -> None:
    """A database is of one repository."""
    workshop.commit()
    await run(history, workshop)
    other = Workshop.init(tmp_path / "other")
    other.commit("something else")
    with pytest.raises(HistoryRewrittenError, match="another repository"):
        await run(history, other)


def grow(workshop: Workshop, commits: int) -> None:
    """Commit many times, fast."""
    script = list[str]()
    for number in range(commits):
        ident = f"A <a@x> {1_500_000_000 + number} +0000"
        script += [f"commit refs/heads/main\nauthor {ident}\ncommitter {ident}\ndata 1\nx"]
        for file in (number % 50, 50 + number % 7):
            content = f"{number}\n" * (number % 30)
            script += [f"M 100644 inline file{file}\ndata {len(content)}\n{content}"]
        if number % 20 == 0:
            script += [f"R file{number % 50} moved{number}"]
        script += [""]
    workshop.git("fast-import", "--quiet", stdin="\n".join(script).encode())


def count_events(database: Path) -> int:
    """Return how many events are in the database."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])
    return 0


def start(workshop: Workshop, database: Path) -> "subprocess.Popen[bytes]":
    """Start an import in a process of its own."""
    folder = Path(git_history.__file__).parent.parent
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "git_history", str(workshop.path)]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(
        [*command, "--database", str(database)], env=environment, stdout=subprocess.DEVNULL
    )


def kill_at(process: "subprocess.Popen[bytes]", database: Path, events: int) -> bool:
    """Kill the process when so many events are there, and return whether it came to that."""
    with process:
        while count_events(database) < events and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


async def test_an_import_that_was_killed_goes_on(
    workshop: Workshop, history: History, database: Path, tmp_path: Path
) -> None:
    """Killed again and again, it comes to the same events as one that was left alone."""
    grow(workshop, 400)
    kills = 0
    for target in (100, 400, 800):
        kills += kill_at(start(workshop, database), database, target)
        so_far = await stored(history)
        assert len(so_far) >= target
        assert "COMMIT_IMPORTED" == so_far[-1].type
    assert kills >= 2
    await run(history, workshop)
    assert [] == await differing(history, workshop)
    with open_adapter(tmp_path / "at once") as adapter:
        at_once = await open_history(adapter)
        await run(at_once, workshop)
        assert await stored(at_once) == await stored(history)
