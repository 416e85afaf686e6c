"""Questions that nobody had in mind when the events were written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from git_history.commits import CommitImported
from git_history.files import File, FileDeleted, FileEvent
from git_history.history import History


@dataclass(frozen=True)
class Expert:
    """Somebody who worked on a file. Deletions count as changes, but not their lines."""

    author: str
    changes: int
    lines: int
    last_at: datetime


def hottest_files(files: Iterable[File], *, limit: int) -> list[File]:
    """Return the live files that changed most often: a file's version counts its events."""
    live = [file for file in files if file.is_live]
    by_heat = sorted(live, key=lambda file: (-file.version, -file.added - file.deleted, file.path))
    return by_heat[:limit]


def experts(events: Sequence[FileEvent]) -> list[Expert]:
    """Return who knows a file, from all of its events: who changed it most often comes first."""
    by_author: dict[str, list[FileEvent]] = {}
    for event in events:
        by_author.setdefault(event.metadata["author"], []).append(event)
    found = [
        Expert(author, len(done), sum(map(_lines, done)), done[-1].timestamp)
        for author, done in by_author.items()
    ]
    return sorted(found, key=lambda expert: (-expert.changes, -expert.lines, expert.author))


def commit_at(commits: Sequence[CommitImported], moment: datetime) -> CommitImported | None:
    """Return the last commit of the line that was made at the moment or before it.

    Commit dates need not rise along the line, and the place on the line is what counts.
    """
    made_by_then = (commit for commit in reversed(commits) if committed_at(commit) <= moment)
    return next(made_by_then, None)


async def file_at(history: History, aggregate_id: str, number: int) -> File | None:
    """Return the file as commit ``number`` of the line left it, or None before its birth."""
    events = await history.files.get_events(aggregate_id)
    version = sum(event.metadata["number"] <= number for event in events)
    if version == 0:
        return None
    loaded = await history.files.get_aggregate(aggregate_id, max_version=version)
    return loaded.aggregate


def committed_at(event: FileEvent | CommitImported) -> datetime:
    """Return when the event's commit was made."""
    return datetime.fromisoformat(event.metadata["committed_at"])


def _lines(event: FileEvent) -> int:
    if isinstance(event, FileDeleted):
        return 0
    return (event.payload["added"] or 0) + (event.payload["deleted"] or 0)
