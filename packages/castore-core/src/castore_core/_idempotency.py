"""Commands that come twice: the output of the first run is stored with its events."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID, uuid5

from castore_core._conflicts import ConflictRetries, is_conflict
from castore_core._event import Event
from castore_core._group import GroupedEvent
from castore_core._json import ABSENT, Absent, JSONValue, check_json, is_unicode
from castore_core._results import PushedEvent
from castore_core._storage import EventStorageAdapter, joins_transaction
from castore_core._store import EventStore
from castore_core.errors import (
    EventDecodeError,
    IdempotencyKeyReusedError,
    InvalidCommandOutputError,
    NotJSONError,
    UnknownOutcomeError,
)

T = TypeVar("T")

COMMANDS_STORE_ID: Final = "castore.commands"
"""The event store that records the runs of commands with an idempotency key."""

MAX_KEY_LENGTH: Final = 1000

_NAMESPACE: Final = UUID("c1d8f7a4-6a2e-5f0b-9d3c-2b7e84a1f650")


class CommandKey(NamedTuple):
    """The identity of a run: calls with one key are the same run.

    ``command`` is the id of a command; for an aggregate or group command, its stores and its name.
    """

    command: tuple[str, ...]
    key: str

    def make_aggregate_id(self) -> str:
        """Return the id of the aggregate whose only event records the run."""
        return str(uuid5(_NAMESPACE, json.dumps([*self.command, self.key])))


def check_key(key: object) -> str:
    """Return an idempotency key as a plain text.

    Raises:
        ValueError: ``key`` is no text of 1 to 1,000 characters. The error does not show it.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise ValueError(f"an idempotency key is a text of 1 to {MAX_KEY_LENGTH:,} characters")
    if "\0" in key or not is_unicode(key):
        raise ValueError("an idempotency key is well-formed Unicode without a null character")
    return str.__str__(key)


class CommandRan(Event, type="COMMAND_RAN"):
    """A command has run: its name and its key, the digest of its input, and its output."""

    payload: dict[str, Any]


@dataclass(frozen=True)
class CommandRun:
    """The run of a command with an idempotency key."""

    aggregate_id: str
    version: int


def _reduce(_: CommandRun | None, event: CommandRan) -> CommandRun:
    return CommandRun(event.aggregate_id, event.version)


_RUNS: Final = EventStore(COMMANDS_STORE_ID, event_types=[CommandRan], reduce=_reduce)


class KeyedRun:
    """One call of a command with a key: it runs the command, or restores its output.

    Args:
        key: the key.
        storage_adapter: where the run is recorded, together with its events.
        input: compared with that of an earlier run, unless it is absent.
        retries: how often it runs again after a conflict, or after a lost answer.
    """

    def __init__(
        self,
        key: CommandKey,
        storage_adapter: EventStorageAdapter,
        input: JSONValue | Absent,
        retries: ConflictRetries,
    ) -> None:
        self._key = key
        self._aggregate_id = key.make_aggregate_id()
        self._input = None if input is ABSENT else _digest(input)
        self._retries = retries
        self._attempts = 0
        self._is_pushing = False
        self._is_written = False
        self._joins_transaction = joins_transaction(storage_adapter)
        self._store = _RUNS.using(storage_adapter)
        self._store.on_event_pushed = self._note_write

    @property
    def looks_first(self) -> bool:
        """Whether the attempt should look for conflicts before it pushes."""
        return self._attempts > 1 or self._retries.retries == 0

    async def run(
        self, attempt: Callable[[], Awaitable[T]], restore: Callable[[JSONValue], Awaitable[T]]
    ) -> T:
        """Return the result of ``attempt()``, or that of ``restore(output)`` after an earlier run.

        Raises:
            IdempotencyKeyReusedError: the earlier run had another input.
            EventDecodeError: its output cannot be restored.
        """

        async def attempt_once() -> T:
            self._attempts += 1
            self._is_pushing = False
            found = await self._find()
            if found is None:
                try:
                    return await attempt()
                except Exception as error:
                    found = await self._find_after(error)
                    if found is None:
                        raise
            return await self._restore(found, restore)

        return await self._retries.run(attempt_once, may_repeat=self._may_repeat)

    async def push(self, output: JSONValue, push: Callable[[GroupedEvent], Awaitable[T]]) -> T:
        """Push the events of a run, together with the one that records the run."""
        payload: dict[str, JSONValue] = {"command": [*self._key.command], "key": self._key.key}
        if self._input is not None:
            payload["input"] = self._input
        event = CommandRan(self._aggregate_id, 1, payload={**payload, "output": output})
        self._is_pushing = True
        return await push(self._store.group_event(event))

    def refuse_output(self) -> EventDecodeError:
        """Return the error of a recorded output that cannot be restored."""
        return self._refuse("its output does not fit the command")

    async def _note_write(self, _: PushedEvent[CommandRan, CommandRun]) -> None:
        self._is_written = True

    async def _find(self) -> CommandRan | None:
        events = await self._store.get_events(self._aggregate_id, limit=1)
        return events[0] if events else None

    async def _find_after(self, error: Exception) -> CommandRan | None:
        """Return the record of the run, if there is one although this attempt failed.

        A run in another task or process may have changed the state before the handler read it, or
        made the push a conflict. Or the answer to this push was lost, and the run is this one.
        """
        if isinstance(error, InvalidCommandOutputError):
            error.is_written = self._is_written
        if self._is_written:
            return None
        try:
            return await self._find()
        except Exception:
            # An error may have ended a transaction of the user's, which cannot be read any more.
            if isinstance(error, UnknownOutcomeError) or self._joins_transaction:
                return None
            raise

    async def _restore(self, found: CommandRan, restore: Callable[[JSONValue], Awaitable[T]]) -> T:
        payload = found.payload
        names = (payload.get("command"), payload.get("key"))
        if names != ([*self._key.command], self._key.key) or "output" not in payload:
            raise self._refuse("it records another command")
        if self._input is not None and payload.get("input", self._input) != self._input:
            raise IdempotencyKeyReusedError(self._key.command[-1], self._key.key)
        return await restore(payload["output"])

    def _refuse(self, reason: str) -> EventDecodeError:
        return EventDecodeError(COMMANDS_STORE_ID, self._aggregate_id, 1, CommandRan.type, reason)

    def _may_repeat(self, error: Exception) -> bool:
        """Tell whether the command may run again: its record would be found, if it was written."""
        if is_conflict(error):
            return True
        is_lost = isinstance(error, UnknownOutcomeError) and self._is_pushing
        return is_lost and not self._is_written and not self._joins_transaction


def find_adapter(name: str, event_stores: Sequence[EventStore]) -> EventStorageAdapter:
    """Return the storage of the first event store, where the run of a command is recorded.

    Raises:
        TypeError: there is no event store.
    """
    if not event_stores:
        raise TypeError(f"{name} has no event store, in which an idempotency key could be kept")
    return event_stores[0].get_storage_adapter()


def encode_arguments(ids: JSONValue, args: Sequence[Any], kwargs: dict[str, Any]) -> JSONValue:
    """Return the input that a repeated call is compared by.

    It has the ids of the aggregates and, if all of them are JSON values, the arguments.
    """
    arguments: list[Any] = [[*args], kwargs]
    try:
        check_json(arguments, "arguments")
    except NotJSONError:
        arguments = []
    return [ids, *arguments]


def _digest(value: JSONValue) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
