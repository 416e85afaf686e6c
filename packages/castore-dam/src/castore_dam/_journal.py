"""The state of an operation, kept in its checkpoint where it has one."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

from castore_core import EventStore, JSONValue
from castore_dam._checkpoints import Checkpoint
from castore_dam._results import PouredEvent
from castore_dam.errors import InvalidCheckpointError

State: TypeAlias = Mapping[str, Any]
"""JSON values by name."""


class Journal:
    """Saves the state of one operation. Made by `open_journal`.

    Attributes:
        state: as it was saved last, by this run or an earlier one; empty at the beginning.
    """

    def __init__(
        self, checkpoint: Checkpoint | None, operation: State, state: State, *, dry_run: bool
    ) -> None:
        self._checkpoint = checkpoint
        self._operation = operation
        self._dry_run = dry_run
        self.state = state

    async def save(self, state: State) -> None:
        """Write down how far the operation has come."""
        self.state = state
        if self._checkpoint is not None and not self._dry_run:
            written = {"operation": self._operation, "state": state}
            await self._checkpoint.save(cast("JSONValue", written))

    async def check_storage(
        self, event_stores: Iterable[EventStore], last: PouredEvent | None
    ) -> None:
        """Refuse the state of an operation on another storage.

        Args:
            event_stores: those of the operation.
            last: the event up to which they were read, or written, when the state was saved.

        Raises:
            InvalidCheckpointError: its event store does not have it.
        """
        if self._checkpoint is None or last is None:
            return
        for each in event_stores:
            if each.event_store_id == last.event_store_id and not await _has_event(each, last):
                reason = (
                    f"event store {each.event_store_id!r} does not have event {last.version} of "
                    f"aggregate {last.aggregate_id!r}, up to which the operation has come: it is "
                    "on another storage, or was emptied"
                )
                raise InvalidCheckpointError(self._checkpoint.name, reason)


@asynccontextmanager
async def open_journal(
    checkpoint: Checkpoint | None, operation: State, *, dry_run: bool = False
) -> AsyncGenerator[Journal]:
    """Hold the checkpoint of an operation for a block.

    Args:
        checkpoint: ``None`` where nothing is kept.
        operation: tells it from others: its kind, its stores and its options.
        dry_run: leaves the checkpoint as it is.

    Raises:
        CheckpointInUseError: another operation holds it.
        InvalidCheckpointError: it is damaged, or another operation wrote it.
    """
    if checkpoint is None:
        yield Journal(None, operation, {}, dry_run=dry_run)
        return
    async with checkpoint.hold():
        state = _get_state(checkpoint, operation, await checkpoint.load())
        yield Journal(checkpoint, operation, state, dry_run=dry_run)


def _get_state(checkpoint: Checkpoint, operation: State, written: JSONValue) -> State:
    match written:
        case None:
            return {}
        case {"operation": dict(before), "state": dict(state)} if before == operation:
            return state
        case {"operation": dict(before), "state": dict()}:
            names = [each for each in operation if operation[each] != before.get(each)]
            reason = f"another operation wrote it, with other values of {', '.join(names)}"
            raise InvalidCheckpointError(checkpoint.name, reason)
        case _:
            raise InvalidCheckpointError(checkpoint.name, "it was not written by an operation")


async def _has_event(event_store: EventStore, event: PouredEvent) -> bool:
    store_id, aggregate_id, version, timestamp = event
    found = await event_store.get_storage_adapter().get_events(
        store_id, aggregate_id, min_version=version, max_version=version
    )
    return timestamp in [each.timestamp for each in found]
