"""Hold the store against git.

Nothing is taken on trust from the import: what the events come to is compared with what git says,
and git is asked by `git_facts`. A check that finds a difference says what differs.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from castore_core import CastoreError

from git_history import git_facts
from git_history.answers import commit_at, committed_at, file_at
from git_history.commits import LINE_ID, CommitImported
from git_history.files import File, FileDeleted, FileEvent, FileRenamed, ImpossibleEventError
from git_history.git import Repository
from git_history.git_facts import Blob, Ledger
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


@dataclass(frozen=True)
class Replay:
    """What the events in the store come to, read from the first one to the last."""

    commits: list[CommitImported]
    trees: dict[int, FilesByPath] = field(default_factory=dict[int, FilesByPath])
    changes: Counter[int] = field(default_factory=Counter[int])
    ledger: Ledger = field(default_factory=Ledger)


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
        after = tree.apply(event)
        _enter(replay.ledger, before or after, after, event)
        replay.changes[number] += 1
    replay.trees.update((number, tree.live_files()) for number in waiting)
    return replay


def _spread(count: int) -> list[int]:
    """Return the first number, the last one, and three between them."""
    return sorted({1, *(count * quarter // 4 for quarter in (1, 2, 3, 4))} - {0}) if count else []


def _enter(ledger: Ledger, before: File, after: File, event: FileEvent) -> None:
    author, deleted = event.metadata["author"], event.payload["deleted"]
    if isinstance(event, FileRenamed):
        ledger.enter(before.path, author, 0, before.lines)
        ledger.enter(after.path, author, after.lines, 0)
        if before.lines is None:
            ledger.uncounted.update((before.path, after.path))
    elif isinstance(event, FileDeleted):
        ledger.enter(after.path, author, 0, deleted)
    else:
        ledger.enter(after.path, author, event.payload["added"], deleted)


async def _compare_all(
    history: History, replay: Replay, repository: Repository, head: str
) -> list[Check]:
    # A shallow clone may have been deepened since the import: what came before is not asked for.
    line = git_facts.line_of_commits(repository, head)[-len(replay.commits) :]
    numbers = [number for number in replay.trees if number <= len(line)]
    ledger = git_facts.ledger_of(repository, [commit for commit, _ in line])
    checks = [
        _compare_commits(replay, line),
        _compare_groups(replay),
        _compare_lines(replay.ledger, ledger),
        _compare("commits by path and author", ledger.touches, replay.ledger.touches),
        _compare_dates(replay, repository, head, [line[number - 1][1] for number in numbers]),
    ]
    for number in numbers:
        commit, date = line[number - 1]
        when = f"commit {number:,}, {date:%Y-%m-%d}"
        tree = git_facts.tree_at(repository, commit)
        checks.append(_compare_trees(when, replay.trees[number], tree))
    ...
    return checks
