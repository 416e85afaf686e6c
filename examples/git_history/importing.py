"""Import the commits that are not in the store yet, each as one event group.

The events themselves say how far the import came. A run that was killed leaves whole commits
behind, and the next one goes on after the last of them.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from castore_core import EventStore, GroupedEvent
from git_history.commits import LINE_ID, CommitImported
from git_history.files import (
    ChangedPayload,
    CommitMetadata,
    FileAdded,
    FileChanged,
    FileDeleted,
    FileEvent,
    FileRenamed,
)
from git_history.git import Repository
from git_history.git_log import Change, Commit, count_commits, read_commits
from git_history.history import History
from git_history.working_tree import WorkingTree


class HistoryRewrittenError(Exception):
    """The commits in the store are not the first ones of the first-parent line of HEAD."""

    def __init__(self, last_commit: str | None) -> None:
        super().__init__(last_commit)
        self.last_commit = last_commit

    def __str__(self) -> str:
        return (
            f"commit {(self.last_commit or '')[:12]}, the last one in the database, is not on the "
            "first-parent line of HEAD: another branch is checked out, the history was rewritten, "
            "or the database is of another repository"
        )


@dataclass
class Imported:
    """What a run put into the store."""

    commits: int = 0
    events: Counter[str] = field(default_factory=Counter[str])

    def add(self, events: list[FileEvent]) -> None:
        """Count a commit, by its file events."""
        self.commits += 1
        self.events.update(event.type for event in events)


async def rebuild_tree(history: History) -> WorkingTree:
    """Return the files as they are after the last event in the store."""
    tree = WorkingTree()
    async for event in history.file_events():
        tree.apply(event)
    return tree


async def import_commits(
    history: History,
    repository: Repository,
    tree: WorkingTree,
    *,
    until: str | None,
    on_start: Callable[[int], object] = lambda _: None,
    on_commit: Callable[[Commit], object] = lambda _: None,
) -> Imported:
    """Import the first-parent line up to the commit ``until``, and bring ``tree`` there.

    Without a commit there is nothing to import. ``on_start`` is told how many commits are to
    come, ``on_commit`` each one that is stored.

    Raises:
        HistoryRewrittenError: the line does not go on where the store ends.
    """
    imported = Imported()
    newest = await history.last_commit()
    last, done = (newest.payload["commit"], newest.version) if newest else (None, 0)
    if until == last:
        return imported
    if until is None or (last is not None and not repository.contains(last)):
        raise HistoryRewrittenError(last)
    on_start(count_commits(repository, after=last, until=until))
    # Git reads ahead, in a process of its own, while the groups are pushed.
    with closing(read_commits(repository, after=last, until=until)) as commits:
        for number, commit in enumerate(commits, start=done + 1):
            if commit.parent != last:
                raise HistoryRewrittenError(last)
            imported.add(await push_commit(history, tree, commit, number))
            on_commit(commit)
            last = commit.hash
    if until != last:
        raise HistoryRewrittenError(last)
    return imported


async def push_commit(
    history: History, tree: WorkingTree, commit: Commit, number: int
) -> list[FileEvent]:
    """Push the events of a commit and the news that they are there: all of it, or nothing."""
    events = commit_events(tree, commit, number)
    imported = CommitImported(
        aggregate_id=LINE_ID,
        version=number,
        timestamp=commit.authored_at,
        payload={
            "commit": commit.hash,
            "parent": commit.parent,
            "subject": commit.subject,
            "changes": len(events),
        },
        metadata=_metadata(commit, number),
    )
    group: list[GroupedEvent] = [history.files.group_event(event) for event in events]
    await EventStore.push_event_group(*group, history.commits.group_event(imported))
    return events


def commit_events(tree: WorkingTree, commit: Commit, number: int) -> list[FileEvent]:
    """Return the events of a commit, and apply them to the tree."""
    events: list[FileEvent] = []
    for change in commit.changes:
        event = _event(_envelope(tree, change, commit, number), change)
        tree.apply(event)
        events.append(event)
    return events


class _Envelope(TypedDict):
    """What all the events of a commit are made of, whatever happened."""

    aggregate_id: str
    version: int
    timestamp: datetime
    metadata: CommitMetadata


def _envelope(tree: WorkingTree, change: Change, commit: Commit, number: int) -> _Envelope:
    if change.status == "added":
        aggregate_id, version = tree.next_birth(change.path)
    else:
        file = tree.live(change.old_path)
        aggregate_id, version = file.aggregate_id, file.version + 1
    return {
        "aggregate_id": aggregate_id,
        "version": version,
        "timestamp": commit.authored_at,
        "metadata": _metadata(commit, number),
    }


def _event(envelope: _Envelope, change: Change) -> FileEvent:
    changed: ChangedPayload = {
        "mode": change.mode,
        "blob": change.blob,
        "added": change.added,
        "deleted": change.deleted,
    }
    match change.status:
        case "added":
            return FileAdded(**envelope, payload={"path": change.path, **changed})
        case "changed":
            return FileChanged(**envelope, payload=changed)
        case "renamed":
            return FileRenamed(**envelope, payload={"path": change.path, **changed})
        case "deleted":
            return FileDeleted(**envelope, payload={"deleted": change.deleted})


def _metadata(commit: Commit, number: int) -> CommitMetadata:
    return {
        "commit": commit.hash,
        "number": number,
        "author": commit.author,
        "email": commit.email,
        "committed_at": commit.committed_at.isoformat(),
    }
