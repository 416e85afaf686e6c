"""The errors of castore-dam.

::

    CastoreError
    └── DamError
        ├── CheckpointInUseError     another operation holds the checkpoint
        └── InvalidCheckpointError   the checkpoint is damaged, or another operation's
"""

from castore_core import CastoreError

__all__ = ["CheckpointInUseError", "DamError", "InvalidCheckpointError"]


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
