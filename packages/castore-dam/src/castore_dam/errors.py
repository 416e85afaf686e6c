"""The errors of castore-dam.

::

    CastoreError
    └── DamError
        ├── CheckpointInUseError     another operation holds the checkpoint
        ├── EventConflictError       another event of the same version is stored
        ├── InvalidArchiveError      an archive is damaged, or not one that was asked for
        ├── InvalidCheckpointError   the checkpoint is damaged, or another operation's
        ├── InvalidEventSchemasError  a file does not hold the schemas of events
        ├── SourceGapError           a version is missing in the source of a migration
        └── TransformError           a transform failed at an event
"""

from castore_core import CastoreError

__all__ = [
    "CheckpointInUseError",
    "DamError",
    "EventConflictError",
    "InvalidArchiveError",
    "InvalidCheckpointError",
    "InvalidEventSchemasError",
    "SourceGapError",
    "TransformError",
]


class DamError(CastoreError):
    """An operation on whole event stores failed."""


class CheckpointInUseError(DamError):
    """Another operation holds the checkpoint now.

    Attributes:
        checkpoint: its name.
    """

    def __init__(self, checkpoint: str) -> None:
        super().__init__(checkpoint)
        self.checkpoint = checkpoint

    def __str__(self) -> str:
        return f"another operation uses the checkpoint {self.checkpoint!r} at the moment"


class InvalidCheckpointError(DamError):
    """A checkpoint is damaged, or was written by another operation.

    Attributes:
        checkpoint: its name.
        reason: says which.
    """

    def __init__(self, checkpoint: str, reason: str) -> None:
        super().__init__(checkpoint, reason)
        self.checkpoint = checkpoint
        self.reason = reason

    def __str__(self) -> str:
        return f"the checkpoint {self.checkpoint!r} does not fit: {self.reason}"


class InvalidArchiveError(DamError):
    """An archive is damaged or not complete, is of another format, or of other event stores.

    Attributes:
        path: the file.
        line: the number of the first line that is wrong; the header is line 1.
        reason: says what is wrong.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"line {self.line} of the archive {self.path!r} is refused: {self.reason}"


class EventConflictError(DamError):
    """An event was to be written, and the event store has another one of the same version."""

    def __init__(self, event_store_id: str, aggregate_id: str, version: int) -> None:
        super().__init__(event_store_id, aggregate_id, version)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version

    def __str__(self) -> str:
        return (
            f"event store {self.event_store_id!r} has another event of version {self.version} of "
            f"aggregate {self.aggregate_id!r}, which is kept"
        )


class InvalidEventSchemasError(DamError, ValueError):
    """A file or a value does not hold the schemas of events.

    Attributes:
        reason: says why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"not the schemas of events: {self.reason}"


class SourceGapError(DamError):
    """The source of a migration has an event, and none of a version before it.

    Attributes:
        event_store_id: the id of the source.
        aggregate_id: the aggregate.
        version: the first version that is missing.
    """

    def __init__(self, event_store_id: str, aggregate_id: str, version: int) -> None:
        super().__init__(event_store_id, aggregate_id, version)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version

    def __str__(self) -> str:
        return (
            f"event store {self.event_store_id!r} has later events of aggregate "
            f"{self.aggregate_id!r}, but none of version {self.version}: allow_gaps=True carries "
            "them all the same"
        )


class TransformError(DamError):
    """A transform failed at an event, or returned what cannot be stored.

    Attributes:
        event_store_id: the id of the source.
        aggregate_id: the aggregate.
        version: the version of the event in the source.
        reason: the type of the error that the transform raised, or what is wrong with the result.
    """

    def __init__(self, event_store_id: str, aggregate_id: str, version: int, reason: str) -> None:
        super().__init__(event_store_id, aggregate_id, version, reason)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the transform failed at version {self.version} of aggregate {self.aggregate_id!r} of "
            f"event store {self.event_store_id!r}: {self.reason}"
        )
