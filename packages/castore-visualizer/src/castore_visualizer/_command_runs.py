"""Runs of commands: against a copy in memory, or for real."""

from asyncio import CancelledError, current_task, timeout
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from castore_core import (
    ABSENT,
    Absent,
    AggregateCommand,
    ConnectedEventStore,
    EventAlreadyExistsError,
    EventRecord,
    EventStore,
    GroupCommand,
    InvalidCommandInputError,
    JSONValue,
    VersionAssertionError,
)
from castore_core.display import to_json
from castore_visualizer._annotation_values import decode
from castore_visualizer._command_inputs import (
    AGGREGATE_ID,
    find_input_type,
    name_ids,
    split_arguments,
)
from castore_visualizer._commands import AnyCommand, CommandContext
from castore_visualizer._draft_storage import DraftStorageAdapter
from castore_visualizer._recording_storage import RecordingStorageAdapter

FailureKind: TypeAlias = Literal["conflict", "invalid", "refused"]


class Written(NamedTuple):
    """An event that a run pushed, and the store that it was pushed to.

    The store is ``None`` where it is none of the visualizer's, such as that of idempotency keys.
    """

    event_store_id: str
    record: EventRecord
    store: EventStore | None


@dataclass(frozen=True)
class CommandRun:
    """The outcome of a run of a command.

    Attributes:
        written: the events, in the order of their pushes.
        stores: the stores as the run has left them; those of a rehearsal have its events.
        output: what the command returned, as a JSON value; absent where it failed.
        error: why it failed.
    """

    written: Sequence[Written]
    stores: dict[str, EventStore] = field(default_factory=dict[str, EventStore])
    output: JSONValue | Absent = ABSENT
    error: Exception | None = None

    @property
    def failure_kind(self) -> FailureKind | None:
        """The kind of the failure: somebody else was first, the input, or a rule."""
        match self.error:
            case None:
                return None
            case EventAlreadyExistsError() | VersionAssertionError():
                return "conflict"
            case InvalidCommandInputError():
                return "invalid"
            case _:
                return "refused"


async def rehearse(
    command: AnyCommand, stores: dict[str, EventStore], value: JSONValue, longest: float = 30.0
) -> CommandRun:
    """Run a command against a copy in memory. Its handler is called, and nothing is written.

    Stores that are connected publish nothing, and ``on_event_pushed`` is not called. It is
    cancelled after ``longest`` seconds.
    """
    copies, drafts = _copy_stores(stores)
    try:
        async with timeout(longest):
            run = await _run(command, copies, value)
    except TimeoutError:
        run = CommandRun(
            (), error=TimeoutError(f"the rehearsal took more than {longest:g} seconds")
        )
    written = [
        Written(store_id, record, copies.get(store_id))
        for each in drafts
        for (store_id, _, _), record in each.drafts.items()
    ]
    return CommandRun(written, copies, run.output, run.error)


def _copy_stores(
    stores: Mapping[str, EventStore],
) -> tuple[dict[str, EventStore], Collection[DraftStorageAdapter]]:
    """Return copies of the stores that have a storage, and the drafts of each storage."""
    drafts: dict[int, DraftStorageAdapter] = {}
    copies: dict[str, EventStore] = {}
    for name, store in stores.items():
        if store.storage_adapter is not None:
            adapter = store.storage_adapter
            draft = drafts.setdefault(id(adapter), DraftStorageAdapter(adapter))
            copies[name] = _find_plain(store).using(draft)
            copies[name].on_event_pushed = None
    return copies, drafts.values()


async def run_for_real(
    command: AnyCommand, stores: dict[str, EventStore], value: JSONValue
) -> CommandRun:
    """Run a command on the stores of the program, and tell what it pushed."""
    written: list[Written] = []

    def note(event_store_id: str, record: EventRecord) -> None:
        written.append(Written(event_store_id, record, stores.get(event_store_id)))

    recorded = {name: _record(each, note) for name, each in stores.items() if each.storage_adapter}
    run = await _run(command, recorded, value)
    return CommandRun(written, dict(stores), run.output, run.error)


def _record(store: EventStore, on_written: Callable[[str, EventRecord], None]) -> EventStore:
    """Return the same store, which tells what it writes; one that is connected publishes it."""
    if isinstance(store, ConnectedEventStore):
        return ConnectedEventStore(_record(store.event_store, on_written), store.message_channel)
    adapter = RecordingStorageAdapter(store.get_storage_adapter(), on_written)
    return store.using(adapter, snapshots=store.snapshots)


def _find_plain(store: EventStore) -> EventStore:
    """Return the store that a connected one connects, however many channels it has."""
    while isinstance(store, ConnectedEventStore):
        store = store.event_store
    return store


async def _run(command: AnyCommand, stores: dict[str, EventStore], value: JSONValue) -> CommandRun:
    try:
        return CommandRun((), output=to_json(await _call(command, stores, value)))
    except Exception as error:  # noqa: BLE001 the rules of the user are errors of any kind
        return CommandRun((), error=error)
    except CancelledError:
        task = current_task()
        if task is not None and task.cancelling():
            raise
        return CommandRun(
            (), error=RuntimeError("something that the command waited for was cancelled")
        )


async def _call(command: AnyCommand, stores: dict[str, EventStore], value: Any) -> Any:
    if isinstance(command, AggregateCommand):
        ids, arguments = split_arguments(command.handler_function, value, [AGGREGATE_ID])
        return await command.using(_choose(stores, command.event_store))(*ids, **arguments)
    if isinstance(command, GroupCommand):
        names = name_ids(command.sources)
        ids, arguments = split_arguments(command.handler_function, value, names)
        chosen_stores = [_choose(stores, each.event_store) for each in command.sources]
        return await command.using(*chosen_stores)(*ids, **arguments)
    context: Mapping[str, Any] = command.values if isinstance(command, CommandContext) else {}
    plain = command.command if isinstance(command, CommandContext) else command
    chosen = tuple(_choose(stores, each) for each in plain.required_event_stores)
    run_json: Any = getattr(plain, "run_json", None)
    if run_json is not None:
        return await run_json(value, chosen, **context)
    return await plain(decode(find_input_type(plain), value), chosen, **context)


def _choose(stores: dict[str, EventStore], store: EventStore) -> EventStore:
    found = stores.get(store.event_store_id)
    if found is None:
        raise LookupError(f"the visualizer has no event store {store.event_store_id!r}")
    return found
