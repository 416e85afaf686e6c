"""A command with an idempotency key has one effect, and returns the same each time."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from castore_core import (
    COMMANDS_STORE_ID,
    Command,
    ConflictAttempt,
    ConnectedEventStore,
    DataclassCodec,
    EventAlreadyExistsError,
    EventDecodeError,
    EventPublishError,
    EventStore,
    IdempotencyKeyReusedError,
    InvalidCommandOutputError,
    InvalidEventGroupError,
    NotJSONError,
    PushedEvent,
    Snapshots,
    StateCarryingMessageQueue,
    StorageError,
    UnknownOutcomeError,
    Violation,
)
from castore_in_memory import InMemorySnapshotStorageAdapter
from counters import (
    Counted,
    Counter,
    Storage,
    Store,
    count_one,
    get_runs,
    get_versions,
    make_command,
    make_store,
)
from recording_channel import RecordingChannelAdapter


@pytest.fixture
def storage() -> Storage:
    """Give an empty storage."""
    return Storage()


@pytest.fixture
def store(storage: Storage) -> Store:
    """Give a store."""
    return make_store(storage)


# Repeated calls


async def test_a_repeated_call_returns_the_same_and_pushes_nothing(store: Store) -> None:
    """The key counts, and not the object that it is bound to; another key is another run."""
    command = make_command(store, count_one)

    assert 1 == await command.with_idempotency_key("a")("c", (store,))
    assert 1 == await command.with_idempotency_key("a")("c", (store,))
    assert 1 == await make_command(store, count_one).with_idempotency_key("a").handler(
        "c", (store,)
    )
    assert 2 == await command.with_idempotency_key("b")("c", (store,))
    assert 3 == await command("c", (store,))

    assert [1, 2, 3] == await get_versions(store)


async def test_commands_of_other_ids_have_keys_of_their_own(store: Store) -> None:
    """One key may be given to several commands, as a process that was asked once does."""
    for command_id in ("COUNT", "COUNT_AGAIN"):
        command = Command(command_id, required_event_stores=(store,), handler=count_one)
        await command.with_idempotency_key("a")("c", (store,))

    assert [1, 2] == await get_versions(store)


async def test_the_run_is_recorded_in_the_group_of_its_events(
    store: Store, storage: Storage
) -> None:
    """One write has the events, and an event of a store of castore's with key and output."""
    await make_command(store, count_one).with_idempotency_key("a")("c", (store,))

    assert [["COUNTERS", COMMANDS_STORE_ID]] == storage.groups
    (record,) = await get_runs(storage)
    assert (1, "COMMAND_RAN") == (record.version, record.type)
    assert isinstance(record.payload, dict)
    digest = record.payload.pop("input")
    assert {"command": ["COUNT"], "key": "a", "output": 1} == record.payload
    assert isinstance(digest, str)
    assert 64 == len(digest)
    assert 36 == len(record.aggregate_id)


async def test_a_repeated_call_costs_one_read(store: Store, storage: Storage) -> None:
    """A repeated call reads one event; a first call reads one more than without a key."""
    command = make_command(store, count_one).with_idempotency_key("a")

    await command("c", (store,))
    assert (2, 1) == (storage.reads, len(storage.groups))
    await command("c", (store,))
    assert (3, 1) == (storage.reads, len(storage.groups))


async def test_without_a_key_nothing_is_recorded(store: Store, storage: Storage) -> None:
    """A plain call reads and writes what its handler does."""
    await make_command(store, count_one)("c", (store,))

    assert (1, [["COUNTERS"]]) == (storage.reads, storage.groups)


async def test_a_handler_that_pushes_nothing(store: Store, storage: Storage) -> None:
    """The output of a handler without events is recorded alone, and returned again."""
    outputs = [None, "other"]

    async def look(input: str, event_stores: tuple[Store]) -> Any:  # noqa: ARG001
        return outputs.pop(0)

    command = make_command(store, look).with_idempotency_key("a")

    assert await command("c", (store,)) is None
    assert await command("c", (store,)) is None
    assert [[COMMANDS_STORE_ID]] == storage.groups


async def test_a_handler_that_raises_may_run_again(store: Store, storage: Storage) -> None:
    """Nothing is written of what it had pushed before, and nothing is recorded."""
    faults = [ValueError("no")]

    async def push_and_fail(input: str, event_stores: tuple[Store]) -> int:
        version = await count_one(input, event_stores)
        if faults:
            raise faults.pop()
        return version

    command = make_command(store, push_and_fail).with_idempotency_key("a")
    with pytest.raises(ValueError, match="no"):
        await command("c", (store,))
    assert [] == storage.groups

    assert 1 == await command("c", (store,))
    assert [1] == await get_versions(store)


async def test_a_command_pushes_at_once_what_its_handler_pushed_in_parts(
    store: Store, storage: Storage
) -> None:
    """Two pushes in a row are one write."""

    async def count_two(input: str, event_stores: tuple[Store]) -> int:
        await count_one(input, event_stores)
        return await count_one(input, event_stores)

    assert 2 == await make_command(store, count_two).with_idempotency_key("a")("c", (store,))
    assert [["COUNTERS", "COUNTERS", COMMANDS_STORE_ID]] == storage.groups


async def test_several_stores(storage: Storage) -> None:
    """Events of all the stores of a command are in one group, and their tuple keeps its class."""

    class Stores(NamedTuple):
        left: Store
        right: Store

    stores = Stores(make_store(storage, "LEFT"), make_store(storage, "RIGHT"))

    async def push_both(input: str, event_stores: Stores) -> str:
        await event_stores.left.push_event(Counted(input, 1))
        await EventStore.push_event_group(
            event_stores.right.group_event(Counted(input, 1)),
            event_stores.left.group_event(Counted(input, 2)),
        )
        return input

    command = Command("BOTH", required_event_stores=stores, handler=push_both)
    await command.with_idempotency_key("a")("c", stores)

    assert [["LEFT", "RIGHT", "LEFT", COMMANDS_STORE_ID]] == storage.groups


async def test_storages_that_cannot_write_together(store: Store) -> None:
    """The record and the events are one write, or none: a group's error says why not."""

    class Other(Storage):
        """Another kind."""

    other = make_store(Other(), "OTHER")

    async def push_other(input: str, event_stores: tuple[Store, Store]) -> None:
        await event_stores[1].push_event(Counted(input, 1))

    command = Command("OTHER", required_event_stores=(store, other), handler=push_other)
    with pytest.raises(InvalidEventGroupError, match="Other and Storage cannot write together"):
        await command.with_idempotency_key("a")("c", (store, other))

    assert [] == await get_versions(other)


async def test_a_command_without_stores(store: Store) -> None:
    """A command without stores has no place for a key, and is refused."""
    command: Any = make_command(store, count_one)

    with pytest.raises(TypeError, match=r"Command\('COUNT'\) has no event store"):
        await command.with_idempotency_key("a")("c", ())


# Keys and inputs


@pytest.mark.parametrize("key", ["", "k" * 1001, "\ud800", "a\0b", None, 1, b"a"], ids=repr)
def test_a_key_is_a_text(store: Store, key: Any) -> None:
    """A key that is no text of 1 to 1,000 characters is refused."""
    with pytest.raises(ValueError, match="an idempotency key is"):
        make_command(store, count_one).with_idempotency_key(key)


@pytest.mark.parametrize("key", ["k" * 1000, "é", "#'%/ 🙂", "1"])
async def test_any_text_is_a_key(store: Store, key: str) -> None:
    """A text of any characters is a key."""
    command = make_command(store, count_one).with_idempotency_key(key)

    assert [1, 1] == [await command("c", (store,)) for _ in range(2)]


async def test_a_key_that_comes_with_another_input_is_refused(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is written, and neither the text of the error nor the log has the key."""
    caplog.set_level(logging.DEBUG)
    command = make_command(store, count_one).with_idempotency_key("secret")
    await command("c", (store,))

    with pytest.raises(IdempotencyKeyReusedError) as caught:
        await command("d", (store,))

    assert ("COUNT", "secret") == (caught.value.command_id, caught.value.key)
    assert "secret" not in f"{caught.value} {caught.value!r} {caplog.text} {command!r}"
    assert [] == await get_versions(store, "d")


async def test_equal_inputs_are_the_same(store: Store) -> None:
    """Inputs whose keys have another order are equal."""

    async def count_input(input: dict[str, Any], event_stores: tuple[Store]) -> int:
        return await count_one(input["id"], event_stores)

    command = make_command(store, count_input).with_idempotency_key("a")
    await command({"id": "c", "by": [1, 2]}, (store,))
    await command({"by": [1, 2], "id": "c"}, (store,))
    with pytest.raises(IdempotencyKeyReusedError):
        await command({"by": [2, 1], "id": "c"}, (store,))


async def test_inputs_that_are_no_json_are_not_compared(store: Store) -> None:
    """The key alone counts; so it does where one of the inputs is none."""

    async def count_input(input: object, event_stores: tuple[Store]) -> int:  # noqa: ARG001
        return await count_one("c", event_stores)

    command = make_command(store, count_input).with_idempotency_key("a")

    assert [1, 1, 1] == [await command(each, (store,)) for each in ({1}, {2}, "text")]


# Outputs


OUTPUTS: list[Any] = [None, True, 0, -1.5, "", "é", [], {"a": [None, {}]}, 2**70]


@pytest.mark.parametrize("output", OUTPUTS, ids=repr)
async def test_a_repeated_call_returns_an_equal_output(store: Store, output: Any) -> None:
    """The output of a repeated call has equal values of the same types, all through."""

    async def answer(input: str, event_stores: tuple[Store]) -> Any:  # noqa: ARG001
        return output

    command = make_command(store, answer).with_idempotency_key("a")
    first, again = [await command("c", (store,)) for _ in range(2)]

    assert first is output
    assert (type(output), json.dumps(output)) == (type(again), json.dumps(again))


@pytest.mark.parametrize("output", [(1,), {1}, datetime(2024, 1, 1, tzinfo=UTC), {1: 2}], ids=repr)
async def test_an_output_that_would_not_come_back_is_refused(
    store: Store, storage: Storage, output: Any
) -> None:
    """An output that is not JSON is refused before anything is written."""

    async def answer(input: str, event_stores: tuple[Store]) -> Any:
        await count_one(input, event_stores)
        return output

    with pytest.raises(NotJSONError, match=r"^output "):
        await make_command(store, answer).with_idempotency_key("a")("c", (store,))

    assert [] == storage.groups


class Dated(Command[str, tuple[Store], [], datetime]):
    """A command that knows how to encode a moment, and refuses one of long ago."""

    def check_output(self, output: datetime) -> datetime:
        """Refuse a moment of long ago."""
        if output.year < 2000:
            violation = Violation("output", "is long ago")
            raise InvalidCommandOutputError(self.command_id, [violation])
        return output

    def encode_output(self, output: datetime) -> str:
        """Encode a moment."""
        return output.isoformat()

    def decode_output(self, encoded: Any) -> datetime:
        """Decode a moment."""
        return datetime.fromisoformat(encoded)


async def test_a_subclass_encodes_outputs(store: Store, storage: Storage) -> None:
    """A subclass encodes values of its own, and checks them before anything is written."""
    year = 1999

    async def date(input: str, event_stores: tuple[Store]) -> datetime:
        await count_one(input, event_stores)
        return datetime(year, 1, 1, tzinfo=UTC)

    dated = Dated("DATE", required_event_stores=(store,), handler=date)
    command = dated.with_idempotency_key("a")
    with pytest.raises(InvalidCommandOutputError, match="not valid, and nothing was written"):
        await command("c", (store,))
    assert [] == storage.groups
    with pytest.raises(InvalidCommandOutputError, match="what the command pushed is written"):
        await dated("c", (store,))

    year = 2024
    assert [datetime(2024, 1, 1, tzinfo=UTC)] * 2 == [await command("c", (store,)) for _ in "ab"]


async def never(_: str, __: tuple[Store]) -> datetime:
    """Be a handler that does not run."""
    raise AssertionError


async def test_an_output_that_does_not_fit_any_more(store: Store) -> None:
    """The program has changed since the first run: the error says so, and nothing is pushed."""
    await make_command(store, count_one).with_idempotency_key("a")("c", (store,))
    changed = Dated("COUNT", required_event_stores=(store,), handler=never)

    with pytest.raises(EventDecodeError, match="its output does not fit the command"):
        await changed.with_idempotency_key("a")("c", (store,))


async def test_a_record_of_something_else(store: Store, storage: Storage) -> None:
    """A record that somebody has changed is not believed."""
    command = Dated("COUNT", required_event_stores=(store,), handler=never)
    await make_command(store, count_one).with_idempotency_key("a")("c", (store,))
    (record,) = await get_runs(storage)
    forged = record._replace(payload={"command": ["OTHER"], "key": "a", "output": "2024-01-01"})
    await storage.push_event(COMMANDS_STORE_ID, forged, force=True)

    with pytest.raises(EventDecodeError, match="it records another command"):
        await command.with_idempotency_key("a")("c", (store,))


# Conflicts, and lost answers


async def test_a_conflict_runs_the_whole_handler_again(store: Store, storage: Storage) -> None:
    """Another writer was faster: the handler reads the new state, as without a key."""
    conflicts: list[tuple[str, ConflictAttempt]] = []

    def remember(error: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
        conflicts.append((error.event_store_id, attempt))

    command = make_command(store, count_one, on_event_already_exists=remember)

    async def push_before() -> None:
        await store.push_event(Counted("c", 1))

    storage.before_write = push_before

    assert 2 == await command.with_idempotency_key("a")("c", (store,))
    assert [1, 2] == await get_versions(store)
    assert [("COUNTERS", ConflictAttempt(1, 20))] == conflicts


async def test_sixteen_calls_at_once(store: Store) -> None:
    """One of sixteen calls has an effect, and all return its output."""
    command = make_command(store, count_one)

    outputs = await asyncio.gather(
        *(command.with_idempotency_key("a")("c", (store,)) for _ in range(16))
    )

    assert [1] * 16 == outputs
    assert [1] == await get_versions(store)


async def test_the_same_command_was_faster(store: Store, storage: Storage) -> None:
    """Its output is returned at once: that is no conflict to run again after, or to log."""
    conflicts: list[object] = []

    def remember(*conflict: object) -> None:
        conflicts.append(conflict)

    command = make_command(
        store,
        count_one,
        event_already_exists_retries=0,
        on_event_already_exists=remember,
    ).with_idempotency_key("a")

    async def run_before() -> None:
        await command("c", (store,))

    storage.before_write = run_before

    assert 1 == await command("c", (store,))
    assert [1] == await get_versions(store)
    assert [] == conflicts


async def test_a_state_that_the_same_command_has_changed(store: Store, storage: Storage) -> None:
    """A handler that refuses the state is not believed if the same command has just changed it."""

    async def begin(input: str, event_stores: tuple[Store]) -> str:
        if started.is_set():
            await finish.wait()
        if (await event_stores[0].get_aggregate(input)).aggregate:
            raise ValueError("it has begun already")
        await event_stores[0].push_event(Counted(input, 1))
        return "begun"

    started, finish = asyncio.Event(), asyncio.Event()
    command = make_command(store, begin).with_idempotency_key("a")
    started.set()
    late = asyncio.ensure_future(command("c", (store,)))
    await asyncio.sleep(0.01)
    started.clear()
    assert "begun" == await command("c", (store,))
    finish.set()

    assert "begun" == await late
    assert 1 == len(await get_runs(storage))


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_lost_answer_is_resolved(store: Store, storage: Storage, is_written: bool) -> None:
    """The record tells whether the events are there; if not, the command runs again."""
    unknown = UnknownOutcomeError("COUNTERS", "c", 1)

    async def fail() -> None:
        raise unknown

    if is_written:
        storage.after_write = [unknown]
    else:
        storage.before_write = fail

    assert 1 == await make_command(store, count_one).with_idempotency_key("a")("c", (store,))
    assert [1] == await get_versions(store)


async def test_a_lost_answer_that_cannot_be_resolved(store: Store, storage: Storage) -> None:
    """The storage does not answer any more: the error still says that the outcome is unknown."""
    unknown = UnknownOutcomeError("COUNTERS", "c", 1)
    storage.after_write = [unknown]
    storage.on_read = [None, None, StorageError("gone"), StorageError("gone")]
    command = make_command(store, count_one, event_already_exists_retries=0)

    with pytest.raises(UnknownOutcomeError) as caught:
        await command.with_idempotency_key("a")("c", (store,))

    assert unknown is caught.value
    storage.on_read = []
    assert 1 == await command.with_idempotency_key("a")("c", (store,))


async def test_an_unknown_outcome_of_something_else_is_not_tried_again(store: Store) -> None:
    """The handler has pushed elsewhere, and may have had an effect there."""
    runs: list[str] = []

    async def push_elsewhere(input: str, event_stores: tuple[Store]) -> None:  # noqa: ARG001
        runs.append(input)
        raise UnknownOutcomeError("ELSEWHERE", "c", 1)

    with pytest.raises(UnknownOutcomeError):
        await make_command(store, push_elsewhere).with_idempotency_key("a")("c", (store,))

    assert ["c"] == runs


async def test_a_repeated_read_that_fails(store: Store, storage: Storage) -> None:
    """Nothing runs while it is not known whether the command has run."""
    storage.on_read = [StorageError("gone")]

    with pytest.raises(StorageError, match="gone"):
        await make_command(store, count_one).with_idempotency_key("a")("c", (store,))

    assert [] == storage.groups


async def test_an_error_that_ends_the_transaction(store: Store, storage: Storage) -> None:
    """The error of the handler is raised, where nothing can be read after it any more."""
    vars(storage)["joins_transaction"] = True
    storage.on_read = [None, StorageError("the transaction is aborted")]

    async def fail(input: str, event_stores: tuple[Store]) -> None:  # noqa: ARG001
        raise LookupError("of the handler")

    with pytest.raises(LookupError, match="of the handler"):
        await make_command(store, fail).with_idempotency_key("a")("c", (store,))


# After the write


@pytest.mark.parametrize(
    "error",
    [ValueError("no mail"), UnknownOutcomeError("X", "x", 1), EventAlreadyExistsError("X", "x", 1)],
    ids=repr,
)
async def test_what_follows_the_push_fails(storage: Storage, error: Exception) -> None:
    """The error goes to the caller, as without a key; a repeated call returns the output."""
    pushed: list[int] = []

    async def fail(pushed_event: PushedEvent[Counted, Counter]) -> None:
        pushed.append(pushed_event.event.version)
        raise error

    store = make_store(storage, on_event_pushed=fail)
    command = make_command(store, count_one).with_idempotency_key("a")

    with pytest.raises(type(error)) as caught:
        await command("c", (store,))

    assert error is caught.value
    assert 1 == await command("c", (store,))
    assert [1] == pushed == await get_versions(store)


def connect(
    store: Store,
) -> tuple[ConnectedEventStore[Counted, Counter], RecordingChannelAdapter]:
    """Return the store with a channel that carries states."""
    channel = RecordingChannelAdapter()
    queue = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=[store], message_channel_adapter=channel
    )
    return ConnectedEventStore(store, queue), channel


async def test_a_connected_store_publishes_once(storage: Storage) -> None:
    """A connected store publishes after the write, with the states of the pushes, and no record."""
    connected, channel = connect(make_store(storage, aggregate_codec=DataclassCodec(Counter)))

    async def count_two(input: str, event_stores: tuple[Store]) -> int:
        await count_one(input, event_stores)
        assert [] == channel.taken
        return await count_one(input, event_stores)

    command = make_command(connected, count_two).with_idempotency_key("a")
    assert [2, 2] == [await command("c", (connected,)) for _ in range(2)]

    assert [("c", 1), ("c", 2)] == channel.places
    assert 2 + 1 + 1 == storage.reads  # no state was loaded to be published


async def test_a_message_that_was_not_published(storage: Storage) -> None:
    """The first call says so. A repeated call publishes nothing: that is a relay's work."""
    connected, channel = connect(make_store(storage, aggregate_codec=DataclassCodec(Counter)))
    channel.is_down = True
    command = make_command(connected, count_one).with_idempotency_key("a")

    with pytest.raises(EventPublishError):
        await command("c", (connected,))
    channel.is_down = False

    assert 1 == await command("c", (connected,))
    assert [] == channel.taken


async def test_snapshots_are_used_and_written_after_the_write(storage: Storage) -> None:
    """A state that was only collected is in no snapshot."""
    snapshots = InMemorySnapshotStorageAdapter()
    store = make_store(
        storage,
        aggregate_codec=DataclassCodec(Counter),
        snapshots=Snapshots(snapshots, every=2, reducer_version="1", in_background=False),
    )
    command = make_command(store, count_one)
    for key in ("a", "b", "c"):
        await command.with_idempotency_key(key)("c", (store,))
    loads: list[Any] = []

    async def count_and_fail(input: str, event_stores: tuple[Store]) -> None:
        await count_one(input, event_stores)
        loads.append(await event_stores[0].get_aggregate(input))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await make_command(store, count_and_fail).with_idempotency_key("d")("c", (store,))

    assert [(2, 4)] == [(each.snapshot_version, each.aggregate.version) for each in loads]
    assert 2 == (await store.get_aggregate("c")).snapshot_version
