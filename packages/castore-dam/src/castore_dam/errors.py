"""The errors of castore-dam.

::

    CastoreError
    └── DamError
        ├── CheckpointInUseError     another operation holds the checkpoint
        ├── InvalidCheckpointError   the checkpoint is damaged, or another operation's
        ├── MigrationConflictError   the target has another event of the same version
        ├── SourceGapError           a version is missing in the source of a migration
        └── TransformError           a transform failed at an event
"""

from castore_core import CastoreError

__all__ = [
    "CheckpointInUseError",
    "DamError",
    "InvalidCheckpointError",
    "MigrationConflictError",
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


class MigrationConflictError(DamError):
    """The target of a migration has another event of the same version. It was not overwritten.

    Attributes:
        event_store_id: the id of the target.
        aggregate_id: the aggregate.
        version: the version of the event in the target.
    """

    def __init__(self, event_store_id: str, aggregate_id: str, version: int) -> None:
        super().__init__(event_store_id, aggregate_id, version)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version

    def __str__(self) -> str:
        return (
            f"event store {self.event_store_id!r} has another event of version {self.version} of "
            f"aggregate {self.aggregate_id!r}: it was left as it is"
        )


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
