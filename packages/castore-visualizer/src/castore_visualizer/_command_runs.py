"""Runs of commands: against a copy in memory, or for real."""

from asyncio import CancelledError, current_task, timeout
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from castore_core import (
    ABSENT,
    Absent,
    AggregateCommand,
    AggregateSource,
    Command,
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
from castore_visualizer._annotation_schemas import (
    Schema,
    describe_parameters,
    describe_type,
    find_hints,
)
from castore_visualizer._annotation_values import decode
from castore_visualizer._draft_storage import DraftStorageAdapter
from castore_visualizer._inventory import AnyCommand, CommandContext
from castore_visualizer._recording_storage import RecordingStorageAdapter

AGGREGATE_ID = "aggregate id"
"""The name of the field that an aggregate command has beside its arguments."""

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
    """What a run of a command has done.

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
        """What kind of failure it was: somebody else was first, the input, or a rule."""
        match self.error:
            case None:
                return None
            case EventAlreadyExistsError() | VersionAssertionError():
                return "conflict"
            case InvalidCommandInputError():
                return "invalid"
            case _:
                return "refused"


def describe_input(command: AnyCommand) -> Schema:
    """Return the JSON schema of what a command is given."""
    match command:
        case CommandContext():
            return describe_input(command.command)
        case AggregateCommand():
            schema = describe_parameters(command.handler_function, 1)
            return _add_first(schema, {AGGREGATE_ID: {"type": "string"}})
        case GroupCommand():
            schema = describe_parameters(command.handler_function, len(command.sources))
            return _add_first(schema, _describe_sources(command.sources))
        case _:
            own: Any = getattr(command, "input_schema", None)
            if isinstance(own, dict):
                return cast("Schema", own)
            return describe_type(find_input_type(command))


def find_input_type(command: Command[Any, Any, Any, Any]) -> Any:
    """Return the annotation of a command's input, or ``Any`` where there is none."""
    hints = find_hints(command.handler_function)
    names = [each for each in hints if each != "return"]
    return hints[names[0]] if names else Any


def _describe_sources(sources: Sequence[AggregateSource[Any, Any, Any, Any]]) -> dict[str, Schema]:
    """Return the schemas of the ids that a group command is called with, by their names."""
    return {_name_ids(number, each): _describe_ids(each) for number, each in enumerate(sources)}


def _describe_ids(source: AggregateSource[Any, Any, Any, Any]) -> Schema:
    text: Schema = {"type": "string"}
    return {"type": "array", "items": text} if source.takes_several else text


def _name_ids(number: int, source: AggregateSource[Any, Any, Any, Any]) -> str:
    noun = "ids" if source.takes_several else "id"
    return f"{number + 1}. {noun} of {source.event_store.event_store_id}"


def _add_first(schema: Schema, properties: Mapping[str, Schema]) -> Schema:
    return {
        **schema,
        "properties": {**properties, **schema["properties"]},
        "required": [*properties, *schema["required"]],
    }


async def rehearse(
    command: AnyCommand, stores: dict[str, EventStore], value: JSONValue, longest: float = 30.0
) -> CommandRun:
    """Run a command against a copy in memory. Its handler is called, and nothing is written.

    Stores that are connected publish nothing, and ``on_event_pushed`` is not called. It is
    cancelled after ``longest`` seconds.
    """
    drafts: dict[int, DraftStorageAdapter] = {}

    def copy_store(store: EventStore) -> EventStore:
        adapter = store.get_storage_adapter()
        draft = drafts.setdefault(id(adapter), DraftStorageAdapter(adapter))
        copied = _find_plain(store).using(draft)
        copied.on_event_pushed = None
        return copied

    copies = {name: copy_store(each) for name, each in stores.items() if each.storage_adapter}
    try:
        async with timeout(longest):
            run = await _run(command, copies, value)
    except TimeoutError:
        run = CommandRun(
            (), error=TimeoutError(f"the rehearsal took more than {longest:g} seconds")
        )
    written = [
        Written(store_id, record, copies.get(store_id))
        for each in drafts.values()
        for (store_id, _, _), record in each.drafts.items()
    ]
    return CommandRun(written, copies, run.output, run.error)


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
        ids, arguments = _split(command.handler_function, value, [AGGREGATE_ID])
        return await command.using(_choose(stores, command.event_store))(*ids, **arguments)
    if isinstance(command, GroupCommand):
        names = [_name_ids(number, each) for number, each in enumerate(command.sources)]
        ids, arguments = _split(command.handler_function, value, names)
        chosen_stores = [_choose(stores, each.event_store) for each in command.sources]
        return await command.using(*chosen_stores)(*ids, **arguments)
    context: Mapping[str, Any] = command.values if isinstance(command, CommandContext) else {}
    plain = command.command if isinstance(command, CommandContext) else command
    chosen = tuple(_choose(stores, each) for each in plain.required_event_stores)
    run_json: Any = getattr(plain, "run_json", None)
    if run_json is not None:
        return await run_json(value, chosen, **context)
    return await plain(decode(find_input_type(plain), value), chosen, **context)


def _split(
    function: Callable[..., Any], value: dict[str, Any], names: Sequence[str]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the ids of aggregates, and the decoded arguments of a handler."""
    hints = find_hints(function)
    arguments = {
        name: decode(hints.get(name, Any), each)
        for name, each in value.items()
        if name not in names
    }
    return [value[each] for each in names], arguments


def _choose(stores: dict[str, EventStore], store: EventStore) -> EventStore:
    found = stores.get(store.event_store_id)
    if found is None:
        raise LookupError(f"the visualizer has no event store {store.event_store_id!r}")
    return found
