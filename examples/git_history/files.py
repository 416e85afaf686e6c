"""The event store ``FILES``: one aggregate for each file that the repository ever tracked."""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypedDict

from castore_core import Event, EventStorageAdapter, EventStore

SYMBOLIC_LINK: Final = "120000"
SUBMODULE: Final = "160000"


class CommitMetadata(TypedDict):
    """The commit that an event comes from. ``number`` counts the first-parent line from 1."""

    commit: str
    number: int
    author: str
    email: str
    committed_at: str


class ChangedPayload(TypedDict):
    """What the file is now, and the lines that it took; a binary file has none to count.

    ``mode`` and ``blob``, the id of the content, are git's.
    """

    mode: str
    blob: str
    added: int | None
    deleted: int | None


class PlacedPayload(ChangedPayload):
    """The same, and the path where the file is now."""

    path: str


class DeletedPayload(TypedDict):
    """The lines that are gone."""

    deleted: int | None


class FileAdded(Event, type="FILE_ADDED"):
    """The file appeared, or came back."""

    payload: PlacedPayload
    metadata: CommitMetadata


class FileChanged(Event, type="FILE_CHANGED"):
    """The file's content, its mode or its kind changed."""

    payload: ChangedPayload
    metadata: CommitMetadata


class FileRenamed(Event, type="FILE_RENAMED"):
    """The file moved to another path, and may have changed on the way."""

    payload: PlacedPayload
    metadata: CommitMetadata


class FileDeleted(Event, type="FILE_DELETED"):
    """The file is no longer there. It may come back."""

    payload: DeletedPayload
    metadata: CommitMetadata


FileEvent: TypeAlias = FileAdded | FileChanged | FileRenamed | FileDeleted


@dataclass(frozen=True)
class File:
    """A file: where it is, what it is, and how many lines passed through it in its life.

    ``lines`` is None where git never counted them: the content is, or once was, binary.
    """

    aggregate_id: str
    version: int
    path: str
    mode: str
    blob: str
    lines: int | None
    added: int
    deleted: int
    is_live: bool = True


class ImpossibleEventError(Exception):
    """An event cannot follow on those before it: the store is damaged."""

    def __init__(self, event: FileEvent, reason: str) -> None:
        super().__init__(event, reason)
        self.event = event
        self.reason = reason

    def __str__(self) -> str:
        return f"event {self.event.version} of {self.event.aggregate_id!r}: {self.reason}"


def reduce_file(file: File | None, event: FileEvent) -> File:
    """Return the file after the event."""
    match event:
        case FileAdded():
            return _add(file, event)
        case FileChanged(payload=payload):
            return _change(_live(file, event), payload)
        case FileRenamed(payload=payload):
            return replace(_change(_live(file, event), payload), path=payload["path"])
        case FileDeleted(payload=payload):
            return _delete(_live(file, event), payload)


def _add(file: File | None, event: FileAdded) -> File:
    if file is not None and file.is_live:
        raise ImpossibleEventError(event, "the file is there already")
    lines = event.payload["added"]
    return File(
        aggregate_id=event.aggregate_id,
        version=event.version,
        path=event.payload["path"],
        mode=event.payload["mode"],
        blob=event.payload["blob"],
        lines=lines,
        added=(file.added if file else 0) + (lines or 0),
        deleted=file.deleted if file else 0,
    )


def _change(file: File, payload: ChangedPayload) -> File:
    return replace(
        file,
        version=file.version + 1,
        mode=payload["mode"],
        blob=payload["blob"],
        lines=_count_lines(file.lines, payload["added"], payload["deleted"]),
        added=file.added + (payload["added"] or 0),
        deleted=file.deleted + (payload["deleted"] or 0),
    )


def _count_lines(lines: int | None, added: int | None, deleted: int | None) -> int | None:
    if lines is None or added is None or deleted is None:
        return None
    return lines + added - deleted


def _delete(file: File, payload: DeletedPayload) -> File:
    return replace(
        file,
        version=file.version + 1,
        lines=0,
        deleted=file.deleted + (payload["deleted"] or 0),
        is_live=False,
    )


def _live(file: File | None, event: FileEvent) -> File:
    if file is None or not file.is_live:
        raise ImpossibleEventError(event, "the file is not there")
    return file


def file_store(storage_adapter: EventStorageAdapter) -> EventStore[FileEvent, File]:
    """Return the event store of the files."""
    return EventStore(
        "FILES",
        event_types=[FileAdded, FileChanged, FileRenamed, FileDeleted],
        reduce=reduce_file,
        storage_adapter=storage_adapter,
    )
