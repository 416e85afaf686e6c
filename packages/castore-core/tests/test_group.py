"""A group of events of one or several stores is written as a whole, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    AssertedVersion,
    ConnectedEventStore,
    Event,
    EventAlreadyExistsError,
    EventStore,
    ForeignEventError,
    GroupedEvent,
    GroupedRecord,
    InvalidEventGroupError,
    NotificationMessageQueue,
    NotJSONError,
    PushedEvent,
    UndefinedStorageAdapterError,
    VersionAssertionError,
    VersionGapError,
    command,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Counted(Event, type="COUNTED"):
    """One more."""

    payload: Any = None


class Forgotten(Event, type="FORGOTTEN"):
    """An event of no store."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Compute the state; a payload of "bad" is too much."""
    if event.payload == "bad":
        raise LookupError("bad payload")
    return Counter(event.aggregate_id, event.version)


CounterStore = EventStore[Counted, Counter]


class CountingAdapter(InMemoryEventStorageAdapter):
    """Counts the groups that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Sequence[GroupedRecord]] = []
        self.asserted: list[Sequence[AssertedVersion]] = []

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Count and write."""
        self.groups.append(group)
        self.asserted.append(asserted)
        await super().push_event_group(group, asserted=asserted, force=force)


def new_store(event_store_id: str, storage_adapter: Any, **options: Any) -> CounterStore:
    """Return a store."""
    return EventStore(
        event_store_id,
        event_types=[Counted],
        reduce=count,
        storage_adapter=storage_adapter,
        **options,
    )


@pytest.fixture
def adapter() -> CountingAdapter:
    """Return an empty storage."""
    return CountingAdapter()


@pytest.fixture
def sheep(adapter: CountingAdapter) -> CounterStore:
    """Return a store."""
    return new_store("SHEEP", adapter)


@pytest.fixture
def goats(adapter: CountingAdapter) -> CounterStore:
    """Return another store of the same storage."""
    return new_store("GOATS", adapter)


def counted(aggregate_id: str, version: int = 1, payload: Any = None) -> Counted:
    """Return an event."""
    return Counted(aggregate_id=aggregate_id, version=version, timestamp=NOW, payload=payload)


def test_grouped_event_is_not_written(sheep: CounterStore) -> None:
    """A grouped event remembers what it is to be pushed with."""
    counter = Counter("a", 1)
    grouped = sheep.group_event(counted("a", 2), prev_aggregate=counter)

    assert GroupedEvent(sheep, counted("a", 2), counter) == grouped


async def test_group_is_written_at_once(
    adapter: CountingAdapter, sheep: CounterStore, goats: CounterStore
) -> None:
    """The events of several stores go to the storage together."""
    await EventStore.push_event_group(
        sheep.group_event(counted("a")),
        goats.group_event(counted("a")),
        sheep.group_event(counted("a", 2)),
    )

    assert [counted("a"), counted("a", 2)] == await sheep.get_events("a")
    assert [counted("a")] == await goats.get_events("a")
    ids_of_group = [(each.event_store_id, each.record.version) for each in adapter.groups[0]]
    assert [("SHEEP", 1), ("GOATS", 1), ("SHEEP", 2)] == ids_of_group
    assert 1 == len(adapter.groups)


async def test_results_are_those_of_single_pushes(sheep: CounterStore, goats: CounterStore) -> None:
    """Each event has its result, in its place, with the next aggregate where it can be known."""
    await sheep.push_event(counted("a"))
    results = await EventStore.push_event_group(
        sheep.group_event(counted("a", 2), prev_aggregate=Counter("a", 1)),
        goats.group_event(counted("b")),
        sheep.group_event(counted("a", 3)),
    )

    assert (
        PushedEvent(counted("a", 2), Counter("a", 2)),
        PushedEvent(counted("b"), Counter("b", 1)),
        PushedEvent(counted("a", 3), None),
    ) == results


async def test_group_of_one(sheep: CounterStore) -> None:
    """A group of one event is a push."""
    (pushed,) = await EventStore.push_event_group(sheep.group_event(counted("a")))

    assert PushedEvent(counted("a"), Counter("a", 1)) == pushed
    assert [counted("a")] == await sheep.get_events("a")


async def test_first_event_that_follows_none(sheep: CounterStore) -> None:
    """It says that it follows another, and has its own state before it all the same."""
    await sheep.push_event(counted("a"))
    first = GroupedEvent(sheep, counted("a", 2), Counter("a", 1), follows=True)

    (pushed,) = await EventStore.push_event_group(first)

    assert PushedEvent(counted("a", 2), Counter("a", 2)) == pushed


async def test_empty_group() -> None:
    """An empty group writes nothing, and needs no storage."""
    assert () == await EventStore.push_event_group()


async def test_conflict_names_its_event(sheep: CounterStore, goats: CounterStore) -> None:
    """The error names the event that clashed, and nothing is written."""
    await goats.push_event(counted("b"))

    with pytest.raises(EventAlreadyExistsError) as error:
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), goats.group_event(counted("b"))
        )

    assert "GOATS" == error.value.event_store_id
    assert ("b", 1) == (error.value.aggregate_id, error.value.version)
    assert [] == await sheep.get_events("a")


async def test_force_replaces(sheep: CounterStore, goats: CounterStore) -> None:
    """With force, events take the places of those of their versions."""
    await goats.push_event(counted("b"))
    await EventStore.push_event_group(
        sheep.group_event(counted("a")), goats.group_event(counted("b", 1, "new")), force=True
    )

    assert [counted("a")] == await sheep.get_events("a")
    assert [counted("b", 1, "new")] == await goats.get_events("b")


async def test_event_that_was_not_grouped_is_refused(
    adapter: CountingAdapter, sheep: CounterStore
) -> None:
    """The error says what a group is made of."""
    event: Any = counted("a")

    with pytest.raises(TypeError, match=r"not made by group_event\(\) or assert_version"):
        await EventStore.push_event_group(sheep.group_event(counted("b")), event)
    assert [] == adapter.groups


async def test_gap_is_refused(sheep: CounterStore, goats: CounterStore) -> None:
    """The error names the event whose predecessor is missing, and nothing is written."""
    with pytest.raises(VersionGapError) as error:
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), goats.group_event(counted("a", 2))
        )

    assert ("GOATS", "a", 2) == (
        error.value.event_store_id,
        error.value.aggregate_id,
        error.value.version,
    )
    assert [] == await sheep.get_events("a")


async def test_later_event_of_a_group_fills_no_gap(sheep: CounterStore) -> None:
    """A log has the events of an aggregate in their order, also those of one group."""
    with pytest.raises(VersionGapError):
        await EventStore.push_event_group(
            sheep.group_event(counted("a", 2)), sheep.group_event(counted("a", 1))
        )
    assert [] == await sheep.get_events("a")


@pytest.mark.parametrize("force", [False, True])
async def test_one_version_twice_is_refused(
    adapter: CountingAdapter, sheep: CounterStore, goats: CounterStore, force: bool
) -> None:
    """Two events of one version are a mistake, not a conflict that a command would retry."""
    with pytest.raises(InvalidEventGroupError, match="two events of version 2 of 'a'"):
        await EventStore.push_event_group(
            goats.group_event(counted("a", 2)),
            sheep.group_event(counted("a", 1)),
            sheep.group_event(counted("a", 2)),
            sheep.group_event(counted("a", 2, "other")),
            force=force,
        )

    assert [] == adapter.groups


async def test_one_version_in_two_storages_is_fine(sheep: CounterStore) -> None:
    """Stores of one id are apart where their storages are."""
    elsewhere = new_store("SHEEP", CountingAdapter())
    await EventStore.push_event_group(
        sheep.group_event(counted("a")), elsewhere.group_event(counted("a"))
    )

    assert [counted("a")] == await sheep.get_events("a") == await elsewhere.get_events("a")


async def test_other_kind_of_adapter_is_refused(
    adapter: CountingAdapter, sheep: CounterStore
) -> None:
    """Two kinds of storage cannot write together; the error names both."""
    other = new_store("GOATS", InMemoryEventStorageAdapter())

    with pytest.raises(
        InvalidEventGroupError, match="CountingAdapter and InMemoryEventStorageAdapter cannot"
    ):
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), other.group_event(counted("a"))
        )
    assert [] == adapter.groups


def get_bad_event(sheep: CounterStore, fault: str) -> GroupedEvent[Any, Any]:
    """Return an event that could not be pushed alone."""
    foreign_event: Any = Forgotten(aggregate_id="b", version=1)
    bad_events = {
        "foreign": sheep.group_event(foreign_event),
        "no JSON": sheep.group_event(counted("b", 1, {1})),
        "no reduction": sheep.group_event(counted("b", 1, "bad")),
        "no successor": sheep.group_event(counted("b", 3), prev_aggregate=Counter("b", 1)),
        "no adapter": new_store("GOATS", None).group_event(counted("b")),
    }
    return bad_events[fault]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("foreign", ForeignEventError),
        ("no JSON", NotJSONError),
        ("no reduction", LookupError),
        ("no successor", ValueError),
        ("no adapter", UndefinedStorageAdapterError),
    ],
)
async def test_one_bad_event_spoils_the_group(
    adapter: CountingAdapter, sheep: CounterStore, fault: str, error: type[Exception]
) -> None:
    """An event that could not be pushed alone is refused before anything is written."""
    with pytest.raises(error):
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), get_bad_event(sheep, fault)
        )
    assert [] == adapter.groups


# Assertions


async def test_assertion_that_holds(sheep: CounterStore, goats: CounterStore) -> None:
    """The events are written, and the result has them alone."""
    await goats.push_event(counted("b"))

    results = await EventStore.push_event_group(
        goats.assert_version("b", 1),
        sheep.group_event(counted("a")),
        goats.assert_version("c", 0),
    )

    assert (PushedEvent(counted("a"), Counter("a", 1)),) == results
    assert [counted("a")] == await sheep.get_events("a")


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("force", [False, True])
async def test_assertion_that_does_not_hold(
    sheep: CounterStore, goats: CounterStore, version: int, force: bool
) -> None:
    """The error names the aggregate, is a conflict, and nothing is written, even by force."""
    await goats.push_event(counted("b"))

    with pytest.raises(VersionAssertionError) as error:
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), goats.assert_version("b", version), force=force
        )

    assert isinstance(error.value, EventAlreadyExistsError)
    assert ("GOATS", "b", version, True) == (
        error.value.event_store_id,
        error.value.aggregate_id,
        error.value.version,
        error.value.retryable,
    )
    assert [] == await sheep.get_events("a")


async def test_assertions_alone_are_checked(sheep: CounterStore) -> None:
    """A group without events finds out whether its assertions hold."""
    await sheep.push_event(counted("a"))

    assert () == await EventStore.push_event_group(sheep.assert_version("a", 1))
    with pytest.raises(VersionAssertionError):
        await EventStore.push_event_group(sheep.assert_version("a", 2))


async def test_equal_assertions_are_one(adapter: CountingAdapter, sheep: CounterStore) -> None:
    """What several rules of a command take for granted is asked of the storage once."""
    await EventStore.push_event_group(sheep.assert_version("a", 0), sheep.assert_version("a", 0))

    assert [[AssertedVersion("SHEEP", "a", 0, adapter)]] == adapter.asserted


async def test_contradiction_is_refused(adapter: CountingAdapter, sheep: CounterStore) -> None:
    """An aggregate is at one version only, and one that is written needs no assertion."""
    with pytest.raises(InvalidEventGroupError, match="asserts two versions of 'a'"):
        await EventStore.push_event_group(
            sheep.assert_version("a", 1), sheep.assert_version("a", 2)
        )
    with pytest.raises(InvalidEventGroupError, match="asserts the version of 'a', and writes it"):
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), sheep.assert_version("a", 0)
        )
    assert [] == adapter.groups


async def test_assertion_on_another_kind_of_adapter_is_refused(
    adapter: CountingAdapter, sheep: CounterStore
) -> None:
    """What one kind of storage writes cannot depend on another kind."""
    other = new_store("GOATS", InMemoryEventStorageAdapter())

    with pytest.raises(InvalidEventGroupError, match="cannot write together"):
        await EventStore.push_event_group(
            sheep.group_event(counted("a")), other.assert_version("a", 0)
        )
    assert [] == adapter.groups


@pytest.mark.parametrize("version", [-1, 2**53, True, "1", 1.0, None], ids=repr)
def test_asserted_version_is_a_version(sheep: CounterStore, version: Any) -> None:
    """An aggregate is at an integer from 0 to the greatest version."""
    with pytest.raises(ValueError, match=r"version is not an integer from 0 to 2\*\*53 - 1"):
        sheep.assert_version("a", version)


@pytest.mark.parametrize("aggregate_id", ["", 7, None, "\ud800"], ids=repr)
def test_asserted_aggregate_has_an_id(sheep: CounterStore, aggregate_id: Any) -> None:
    """An id that no event can have is refused."""
    with pytest.raises(ValueError, match="aggregate_id is"):
        sheep.assert_version(aggregate_id, 0)


async def test_command_runs_again_after_an_assertion(
    sheep: CounterStore, goats: CounterStore
) -> None:
    """A failed assertion is a conflict: the command reads again, and decides anew."""
    attempts: list[int] = []

    @command("LET_IN", required_event_stores=(sheep, goats))
    async def let_in(sheep_id: str, stores: tuple[CounterStore, CounterStore]) -> None:
        sheep, goats = stores
        version = len(await goats.get_events("b"))
        attempts.append(version)
        if version == 0:
            await goats.push_event(counted("b"))  # as somebody else would, at this moment
        await EventStore.push_event_group(
            sheep.group_event(counted(sheep_id)), goats.assert_version("b", version)
        )

    await let_in("a", (sheep, goats))

    assert [0, 1] == attempts
    assert [counted("a")] == await sheep.get_events("a")


async def test_connected_store_asserts_without_its_channel(sheep: CounterStore) -> None:
    """Nothing is published for an assertion, so that its channel need not be ready."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=[sheep])
    connected = ConnectedEventStore(sheep, queue)

    assert () == await EventStore.push_event_group(connected.assert_version("a", 0))


# After the write


async def test_hooks_run_for_each_event(adapter: CountingAdapter) -> None:
    """After the write, each store's hook gets the results of its events, in order."""
    seen: list[Any] = []

    async def remember_sheep(pushed: PushedEvent[Counted, Counter]) -> None:
        seen.append(("sheep", pushed, await sheep.get_events("b")))

    async def remember_goat(pushed: PushedEvent[Counted, Counter]) -> None:
        seen.append(("goat", pushed, await sheep.get_events("b")))

    sheep = new_store("SHEEP", adapter, on_event_pushed=remember_sheep)
    goats = new_store("GOATS", adapter, on_event_pushed=remember_goat)

    first, second, third = await EventStore.push_event_group(
        sheep.group_event(counted("a")),
        goats.group_event(counted("a")),
        sheep.group_event(counted("b")),
    )

    written = [counted("b")]
    assert [
        ("sheep", first, written),
        ("goat", second, written),
        ("sheep", third, written),
    ] == seen


class FailingHook:
    """Raises for some aggregates, and remembers all."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.seen: list[str] = []

    async def __call__(self, pushed: PushedEvent[Counted, Counter]) -> None:
        """Remember, and raise."""
        aggregate_id = pushed.event.aggregate_id
        self.seen.append(aggregate_id)
        if aggregate_id in self.errors:
            raise self.errors[aggregate_id]


async def test_single_hook_error_is_raised_as_it_is(adapter: CountingAdapter) -> None:
    """One failing hook stops no other one, and its error goes to the caller."""
    hook = FailingHook(a=OSError("no network"))
    sheep = new_store("SHEEP", adapter, on_event_pushed=hook)

    with pytest.raises(OSError, match="no network"):
        await EventStore.push_event_group(*(sheep.group_event(counted(each)) for each in "abc"))

    assert ["a", "b", "c"] == hook.seen
    assert ["a", "b", "c"] == (await sheep.list_aggregate_ids()).aggregate_ids


async def test_several_hook_errors_are_raised_as_a_group(adapter: CountingAdapter) -> None:
    """Several failing hooks are all told to the caller."""
    errors = {"a": OSError("no network"), "c": LookupError("no c")}
    hook = FailingHook(**errors)
    sheep = new_store("SHEEP", adapter, on_event_pushed=hook)

    with pytest.raises(ExceptionGroup, match="the events are stored") as raised:
        await EventStore.push_event_group(*(sheep.group_event(counted(each)) for each in "abc"))

    assert (errors["a"], errors["c"]) == raised.value.exceptions
    assert ["a", "b", "c"] == hook.seen


async def test_conflict_in_a_hook_is_not_retryable(adapter: CountingAdapter) -> None:
    """A conflict after the write is marked, so that no command pushes the group twice."""
    hook = FailingHook(b=EventAlreadyExistsError("POKEDEX", "kanto", 1))
    sheep = new_store("SHEEP", adapter, on_event_pushed=hook)

    with pytest.raises(EventAlreadyExistsError) as error:
        await EventStore.push_event_group(*(sheep.group_event(counted(each)) for each in "ab"))
    assert not error.value.retryable
