"""Hold the store against git.

Nothing is taken on trust from the import: what the events come to is compared with what git says,
and git is asked by `git_facts`. A check that finds a difference says what differs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias, cast

from castore_core import CastoreError
from git_history import git_facts
from git_history.answers import commit_at, committed_at, file_at
from git_history.commits import LINE_ID, CommitImported
from git_history.files import File, FileDeleted, FileEvent, FileRenamed, ImpossibleEventError
from git_history.git import Repository
from git_history.git_facts import Blob, Ledger, LineCommit
from git_history.git_log import EPOCH, LATEST
from git_history.history import History
from git_history.working_tree import WorkingTree

_SAMPLE: Final = 100

FilesByPath: TypeAlias = dict[str, File]


@dataclass(frozen=True)
class Check:
    """One comparison: how many values were compared, and those that differ."""

    title: str
    compared: int
    differences: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Replay:
    """What the events in the store come to, read from the first one to the last.

    ``uncounted`` has the paths between which a file was renamed whose lines nobody counted,
    because it once was binary, and ``unsure`` those of which one, or both, were binary then.
    """

    commits: list[CommitImported]
    trees: dict[int, FilesByPath] = field(default_factory=dict[int, FilesByPath])
    changes: Counter[int] = field(default_factory=Counter[int])
    ledger: Ledger = field(default_factory=Ledger)
    uncounted: set[str] = field(default_factory=set[str])
    unsure: set[str] = field(default_factory=set[str])

    def enter(self, event: FileEvent, before: File | None, after: File) -> None:
        """Enter an event, and the file before and after it, into the ledger and the groups."""
        number = event.metadata["number"]
        self.changes[number] += number <= len(self.commits) and _is_of(
            event, self.commits[number - 1]
        )
        author, deleted = event.metadata["author"], event.payload["deleted"]
        if isinstance(event, FileRenamed) and before is not None:
            self._enter_rename(author, before, after, is_binary=deleted is None)
        elif isinstance(event, FileDeleted):
            self.ledger.enter(after.path, author, 0, deleted)
        else:
            self.ledger.enter(after.path, author, event.payload["added"], deleted)

    def _enter_rename(self, author: str, before: File, after: File, *, is_binary: bool) -> None:
        paths = {before.path, after.path}
        self.ledger.enter(before.path, author, 0, before.lines or 0)
        self.ledger.enter(after.path, author, after.lines or 0, 0)
        self.uncounted.update(paths if before.lines is None else ())
        self.unsure.update(paths if is_binary else ())


async def verify(history: History, repository: Repository, head: str) -> list[Check]:
    """Compare what the store says of the line up to the commit ``head`` with what git says."""
    try:
        replay = await replay_events(history)
        return await _compare_all(history, replay, repository, head)
    except (CastoreError, ImpossibleEventError) as error:
        return [Check("events that can be read", 0, (str(error),))]


async def replay_events(history: History) -> Replay:
    """Read the whole log once, and keep the trees of a few commits from the first to the last."""
    replay = Replay(await history.commits.get_events(LINE_ID))
    tree, waiting = WorkingTree(), _spread(len(replay.commits))
    async for event in history.file_events():
        number = event.metadata["number"]
        while waiting and waiting[0] < number:
            replay.trees[waiting.pop(0)] = tree.live_files()
        before = tree.files.get(event.aggregate_id)
        replay.enter(event, before, tree.apply(event))
    replay.trees.update((number, tree.live_files()) for number in waiting)
    return replay


def _spread(count: int) -> list[int]:
    """Return the first number, the last one, and three between them."""
    return sorted({1, *(count * quarter // 4 for quarter in (1, 2, 3, 4))} - {0}) if count else []


def _is_of(event: FileEvent, commit: CommitImported) -> bool:
    return event.metadata == commit.metadata and event.timestamp == commit.timestamp


async def _compare_all(
    history: History, replay: Replay, repository: Repository, head: str
) -> list[Check]:
    # A shallow clone may have been deepened since the import: what came before is not asked for.
    line = git_facts.line_of_commits(repository, head)[-len(replay.commits) :]
    ledger = git_facts.ledger_of(repository, [commit.hash for commit in line])
    stops = [
        _Stop(number, line[number - 1], files, is_last=number == len(line))
        for number, files in replay.trees.items()
        if number <= len(line)
    ]
    checks = [
        _compare_commits(replay, line),
        _compare_groups(replay),
        _compare("changes by path and author", ledger.touches, replay.ledger.touches),
        _compare_lines(replay, ledger),
        _compare_binary(replay, ledger),
        _compare_dates(replay, repository, head, stops),
        *(_compare_tree(repository, stop) for stop in reversed(stops)),
        *(_compare_line_counts(repository, stop) for stop in stops[::-2]),
    ]
    if stops:
        checks.append(await _compare_versions(history, repository, stops[len(stops) // 2]))
    return checks


class _Stop(NamedTuple):
    """A commit of the line, as git has it, and the files that the events come to there."""

    number: int
    commit: LineCommit
    files: FilesByPath
    is_last: bool

    def __str__(self) -> str:
        date = self.commit.committed_at
        return "HEAD" if self.is_last else f"commit {self.number:,} ({date:%Y-%m-%d})"


def _compare_commits(replay: Replay, line: list[LineCommit]) -> Check:
    stored = [
        LineCommit(
            event.payload["commit"],
            event.metadata["author"],
            event.metadata["email"],
            event.timestamp,
            committed_at(event),
        )
        for event in replay.commits
    ]
    title = "commits of the line, their authors and dates"
    return _compare(title, dict(enumerate(line, 1)), dict(enumerate(stored, 1)))


def _compare_groups(replay: Replay) -> Check:
    announced = {event.version: event.payload["changes"] for event in replay.commits}
    found = {number: replay.changes[number] for number in announced.keys() | replay.changes}
    title = "events of each commit, with its metadata"
    return _compare(title, announced, found, witness="the commit")


def _compare_lines(replay: Replay, ledger: Ledger) -> Check:
    without = replay.uncounted
    return _compare(
        "lines added and deleted by path",
        ledger.lines(without=without),
        replay.ledger.lines(without=without),
        note=f"{len(without)} left out: a file that once was binary was renamed" if without else "",
    )


def _compare_binary(replay: Replay, ledger: Ledger) -> Check:
    said, stored = (
        {path: changes for path, changes in each.binary.items() if path not in replay.unsure}
        for each in (ledger, replay.ledger)
    )
    return _compare("binary changes by path", said, stored)


def _compare_dates(replay: Replay, repository: Repository, head: str, stops: list[_Stop]) -> Check:
    """Ask which commit was the last one at the dates of the stops."""
    title = "the last commit at a date"
    if any(committed_at(event) in {EPOCH, LATEST} for event in replay.commits):
        return Check(title, 0, note="left out: git cannot read the date of some commit")
    dates = [stop.commit.committed_at for stop in stops]
    said = {date: git_facts.commit_at(repository, head, date) for date in dates}
    found = {date: commit_at(replay.commits, date) for date in said}
    stored = {date: commit and commit.payload["commit"] for date, commit in found.items()}
    return _compare(title, said, stored)


def _compare_tree(repository: Repository, stop: _Stop) -> Check:
    stored = {path: Blob(file.mode, file.blob) for path, file in stop.files.items()}
    return _compare(
        f"live files at {stop}", git_facts.tree_at(repository, stop.commit.hash), stored
    )


def _compare_line_counts(repository: Repository, stop: _Stop) -> Check:
    """Compare how long the files are, less those that are, or once were, binary."""
    counts = git_facts.line_counts_at(repository, stop.commit.hash)
    uncounted = {path for path, file in stop.files.items() if file.lines is None}
    said = {path: lines for path, lines in counts.items() if path not in uncounted}
    stored = {path: file.lines for path, file in stop.files.items() if path not in uncounted}
    return _compare(f"lines of each file at {stop}", said, stored)


async def _compare_versions(history: History, repository: Repository, stop: _Stop) -> Check:
    """Ask the event store itself for files as they were, each at the version that it had then."""
    tree = git_facts.tree_at(repository, stop.commit.hash)
    sample = sorted(tree)[:: len(tree) // _SAMPLE + 1]
    stored: dict[str, Blob] = {}
    for path in sample:
        now = stop.files.get(path)
        file = await file_at(history, now.aggregate_id, stop.number) if now else None
        if file is not None and file.path == path:
            stored[path] = Blob(file.mode, file.blob)
    said = {path: tree[path] for path in sample}
    return _compare(f"files by version at {stop}", said, stored)


def _compare(
    title: str,
    said: Mapping[Any, object],
    stored: Mapping[Any, object],
    *,
    witness: str = "git",
    note: str = "",
) -> Check:
    keys = dict.fromkeys((*said, *stored))
    differences = tuple(
        f"{_text(key)}: {witness} says {_text(said.get(key))}, "
        f"the store says {_text(stored.get(key))}"
        for key in keys
        if said.get(key) != stored.get(key)
    )
    return Check(title, len(keys), differences, note)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, cast("tuple[object, ...]", value)))
    return "nothing" if value is None else str(value)
