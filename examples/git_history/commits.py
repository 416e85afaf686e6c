"""The event store ``COMMITS``: how far the history was imported.

It has one aggregate, the line of commits. The event of a commit is pushed in one group with those
of the files, so the line never says more, or less, than the files do.
"""

from dataclasses import dataclass
from typing import Final, TypedDict

from castore_core import Event, EventStorageAdapter, EventStore
from git_history.files import CommitMetadata

LINE_ID: Final = "HEAD"


class CommitPayload(TypedDict):
    """``changes`` is the number of file events in the commit's group."""

    commit: str
    parent: str | None
    subject: str
    changes: int


class CommitImported(Event, type="COMMIT_IMPORTED"):
    """A commit and what it did to the files are in the stores. The version is its number."""

    payload: CommitPayload
    metadata: CommitMetadata


@dataclass(frozen=True)
class Line:
    """The first-parent line of HEAD, up to the commit that was imported last."""

    aggregate_id: str
    version: int
    last_commit: str
    changes: int


def reduce_line(line: Line | None, event: CommitImported) -> Line:
    """Return the line after the event."""
    return Line(
        aggregate_id=event.aggregate_id,
        version=event.version,
        last_commit=event.payload["commit"],
        changes=(line.changes if line else 0) + event.payload["changes"],
    )


def commit_store(storage_adapter: EventStorageAdapter) -> EventStore[CommitImported, Line]:
    """Return the event store of the line."""
    return EventStore(
        "COMMITS",
        event_types=[CommitImported],
        reduce=reduce_line,
        storage_adapter=storage_adapter,
    )
