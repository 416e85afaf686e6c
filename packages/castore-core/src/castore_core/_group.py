"""Groups: events of one or several event stores that are written together, or not at all."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from castore_core._aggregate import A, Aggregate
from castore_core._event import E, Event
from castore_core._operations import describe_collected, describe_group
from castore_core._publish_order import Turn
from castore_core._reducer import reduce_next
from castore_core._results import PushedEvent
from castore_core._storage import (
    AssertedVersion,
    EventStorageAdapter,
    GroupedRecord,
    joins_transaction,
)
from castore_core._store_snapshots import StoreSnapshots, replacing
from castore_core._telemetry import observed
from castore_core.errors import EventPublishError, InvalidEventGroupError, describe

if TYPE_CHECKING:
    from castore_core._store import EventStore

E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
A1 = TypeVar("A1", bound=Aggregate)
A2 = TypeVar("A2", bound=Aggregate)
A3 = TypeVar("A3", bound=Aggregate)


@dataclass(frozen=True)
class GroupedEvent(Generic[E, A]):
    """An event that waits to be pushed in a group, made by `EventStore.group_event`.

    ``follows`` says that the state before it is the one after the event before it in the group.
    """

    event_store: "EventStore[E, A]"
    event: E
    prev_aggregate: A | None = None
    follows: bool = False


@dataclass(frozen=True)
class VersionAssertion:
    """The version that an aggregate must have, made by `EventStore.assert_version`."""

    event_store: "EventStore"
    aggregate_id: str
    version: int


_Aggregate: TypeAlias = tuple[int, str, str]  # adapter, store, aggregate


class EventGroups(Generic[E, A]):
    """The group operations of event stores: the base of `EventStore`."""

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1], /, *assertions: VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[E1, A1]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1],
        second: GroupedEvent[E2, A2],
        /,
        *assertions: VersionAssertion,
        force: bool = False,
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1],
        second: GroupedEvent[E2, A2],
        third: GroupedEvent[E3, A3],
        /,
        *assertions: VersionAssertion,
        force: bool = False,
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2], PushedEvent[E3, A3]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        *grouped: GroupedEvent[E1, A1] | VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[E1, A1], ...]: ...

    @overload
    @staticmethod
    async def push_event_group(
        *grouped: GroupedEvent[Any, Any] | VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[Any, Any], ...]: ...

    @staticmethod
    @observed(describe_group)
    async def push_event_group(
        *grouped: GroupedEvent[Any, Any] | VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[Any, Any], ...]:
        """Write the events of one or several stores, all or none.

        The events are written if the asserted versions hold at that moment. The stores share a
        kind of storage adapter; what else they have to share (an engine, a client) is the
        adapter's matter. An empty group writes nothing. The result has the events, in their order,
        without the assertions; give these last, so that type checkers know the types of up to
        three events of different stores.

        With ``force``, events of the same versions are replaced, and gaps are allowed. Assertions
        hold all the same. The snapshots of the aggregates are invalidated first.

        After the write, ``on_event_pushed`` is awaited for each event, also when it raises for
        another one. Of several errors, the first `EventPublishError` is raised, with the ``others``
        beside it; where there is none, they come as an `ExceptionGroup`.

        Raises:
            EventAlreadyExistsError: names an event whose version is taken. Nothing was written.
            VersionAssertionError: an aggregate is not at its asserted version. Nothing was written.
            VersionGapError: the version before that of an event is neither stored nor earlier in
                the group. Nothing was written.
            InvalidEventGroupError: the events cannot be written at once. Nothing was written.
            ForeignEventError, InvalidEventError, NotJSONError, ValueError: as in
                `EventStore.push_event`.
            UnknownOutcomeError: the storage's answer was lost. The events are stored, or none is.
            TransactionNotPublishableError: a store of an event is connected, and an adapter of the
                group joins a transaction of yours. Nothing was written.
        """
        if not grouped:
            return ()
        given, assertions = _split(grouped)
        stores = [each.event_store for each in given]
        adapters = EventGroups._get_ready_adapters(stores)
        events = EventGroups._prepare_all(stores, given)
        group = [
            GroupedRecord(store.event_store_id, store.event_to_record(each.event), adapter)
            for each, store, adapter in zip(events, stores, adapters, strict=True)
        ]
        adapter, asserted = EventGroups._check_group(
            stores, group, map(_to_asserted_version, assertions)
        )
        pushed_events = _reduce_all(events, group)
        return await EventGroups._write_and_finish(
            stores, pushed_events, group, asserted, adapter, force=force
        )

    @staticmethod
    @observed(describe_collected)
    async def _push_collected(
        stores: "Sequence[EventGroups[Any, Any]]",
        pushed_events: Sequence[PushedEvent[Any, Any]],
        group: Sequence[GroupedRecord],
        asserted: Sequence[AssertedVersion],
    ) -> None:
        """Write records of events that were encoded and reduced before, as a group.

        A record may be of no store of ``stores``; nothing follows its write then.
        """
        EventGroups._get_ready_adapters(stores)
        adapter, kept = EventGroups._check_group(stores, group, asserted)
        await EventGroups._write_and_finish(stores, pushed_events, group, kept, adapter)

    @staticmethod
    def _check_group(
        stores: "Sequence[EventGroups[Any, Any]]",
        group: Sequence[GroupedRecord],
        assertions: Iterable[AssertedVersion],
    ) -> tuple[EventStorageAdapter, list[AssertedVersion]]:
        """Return the adapter that writes a group, and its assertions, each once."""
        asserted = _check_assertions(assertions, _check_versions(group))
        EventGroups._refuse_transactions(stores, [*group, *asserted])
        return _get_common_adapter([*group, *asserted]), asserted

    @staticmethod
    async def _write_and_finish(
        stores: "Sequence[EventGroups[Any, Any]]",
        pushed_events: Sequence[PushedEvent[Any, Any]],
        group: Sequence[GroupedRecord],
        asserted: Sequence[AssertedVersion],
        adapter: EventStorageAdapter,
        *,
        force: bool = False,
    ) -> tuple[PushedEvent[Any, Any], ...]:
        pushed_events = [*map(_forget_changed_state, pushed_events)]
        turns = EventGroups._take_all_turns(stores, pushed_events)
        try:
            if force:
                async with replacing(EventGroups._find_snapshots(stores, group)):
                    await adapter.push_event_group(group, asserted=asserted, force=True)
            else:
                await adapter.push_event_group(group, asserted=asserted)
            return await EventGroups._finish_group(stores, pushed_events, turns)
        finally:
            for each in chain.from_iterable(turns):
                each.end()

    def _prepare(self, event: E) -> E:
        """Return an event as it is to be encoded."""
        raise NotImplementedError

    @staticmethod
    def _prepare_all(
        stores: "Sequence[EventGroups[Any, Any]]", given: Sequence[GroupedEvent]
    ) -> list[GroupedEvent]:
        prepared: list[GroupedEvent] = []
        for store, each in zip(stores, given, strict=True):
            event = store._prepare(each.event)
            prepared.append(each if event is each.event else replace(each, event=event))
        return prepared

    # Overridden by `ConnectedEventStore`

    def _get_ready_adapter(self) -> EventStorageAdapter:
        """Return the adapter to push to, once the channel is ready too."""
        raise NotImplementedError

    def _get_snapshots(self) -> StoreSnapshots | None:
        """Return the snapshots of the store."""
        raise NotImplementedError

    def _refuse_transaction(self) -> None:
        """Raise where `_finish_push` must not follow a write that may be rolled back."""
        raise NotImplementedError

    def _take_turns(self, event: E) -> tuple[Turn, ...]:
        """Return the turns in which `_finish_push` publishes an event that is written next."""
        raise NotImplementedError

    async def _finish_push(
        self, pushed_event: PushedEvent[E, A], turns: Sequence[Turn]
    ) -> PushedEvent[E, A]:
        """Do what follows the write of an event."""
        raise NotImplementedError

    @staticmethod
    def _take_all_turns(
        stores: "Sequence[EventGroups[Any, Any]]", pushed_events: Sequence[PushedEvent[Any, Any]]
    ) -> list[tuple[Turn, ...]]:
        return [
            store._take_turns(each.event) for store, each in zip(stores, pushed_events, strict=True)
        ]

    @staticmethod
    def _get_ready_adapters(
        stores: "Sequence[EventGroups[Any, Any]]",
    ) -> list[EventStorageAdapter]:
        return [each._get_ready_adapter() for each in stores]

    @staticmethod
    def _refuse_transactions(
        stores: "Sequence[EventGroups[Any, Any]]", parts: Sequence[GroupedRecord | AssertedVersion]
    ) -> None:
        if any(joins_transaction(each.storage_adapter) for each in parts):
            for store in stores:
                store._refuse_transaction()

    @staticmethod
    def _find_snapshots(
        stores: "Sequence[EventGroups[Any, Any]]", group: Sequence[GroupedRecord]
    ) -> Iterator[tuple[StoreSnapshots | None, str, str, bool]]:
        for store, (store_id, record, adapter) in zip(stores, group, strict=True):
            yield store._get_snapshots(), store_id, record.aggregate_id, joins_transaction(adapter)

    @staticmethod
    async def _finish_group(
        stores: "Sequence[EventGroups[Any, Any]]",
        pushed_events: Sequence[PushedEvent[Any, Any]],
        turns: Sequence[Sequence[Turn]],
    ) -> tuple[PushedEvent[Any, Any], ...]:
        finished: list[PushedEvent[Any, Any]] = []
        errors: list[Exception] = []
        for store, pushed, own_turns in zip(stores, pushed_events, turns, strict=True):
            try:
                finished.append(await store._finish_push(pushed, own_turns))
            except Exception as error:  # noqa: BLE001 raised below, when all had their turn
                errors.append(error)
            except BaseException as error:
                tell_beside(error, errors)
                raise
        raise_all(errors)
        return tuple(finished)


def raise_all(errors: Sequence[Exception]) -> None:
    """Raise the errors that came up after a write: none, the one, or several as one.

    Nobody may miss that a message was not published: that error is raised, with the others beside
    it.
    """
    if len(errors) == 1:
        raise errors[0]
    for error in errors:
        if isinstance(error, EventPublishError):
            others = [each for each in errors if each is not error]
            error.others += tuple(others)
            tell_beside(error, others)
            raise error
    if errors:
        raise ExceptionGroup("the events are stored, but what follows a push failed", errors)


def tell_beside(error: BaseException, others: Sequence[Exception]) -> None:
    """Note on an error, such as a cancellation, the errors that came up before it."""
    for each in others:
        error.add_note(f"beside it: {type(each).__qualname__}: {describe(each)}")


def _split(grouped: Sequence[Any]) -> tuple[list[GroupedEvent], list[VersionAssertion]]:
    for each in grouped:
        if not isinstance(each, (GroupedEvent, VersionAssertion)):
            raise TypeError(
                "not made by group_event() or assert_version() of an event store: "
                f"{type(each).__qualname__}"
            )
    return (
        [each for each in grouped if isinstance(each, GroupedEvent)],
        [each for each in grouped if isinstance(each, VersionAssertion)],
    )


def _reduce_all(
    events: Sequence[GroupedEvent], group: Sequence[GroupedRecord]
) -> list[PushedEvent[Any, Any]]:
    pushed_events: list[PushedEvent[Any, Any]] = []
    for each, (_, record, _) in zip(events, group, strict=True):
        follows = each.follows and pushed_events
        before = pushed_events[-1].next_aggregate if follows else each.prev_aggregate
        after = reduce_next(each.event_store, each.event, record, before)
        pushed_events.append(PushedEvent(each.event, after))
    return pushed_events


def _forget_changed_state(pushed_event: PushedEvent[Any, Any]) -> PushedEvent[Any, Any]:
    """Leave out a state that is not the one after its event: a later one has changed it in place.

    It would be published, too.
    """
    state = pushed_event.next_aggregate
    if state is None or state.version == pushed_event.event.version:
        return pushed_event
    return replace(pushed_event, next_aggregate=None)


def _to_asserted_version(assertion: VersionAssertion) -> AssertedVersion:
    store = assertion.event_store
    adapter = store.get_storage_adapter()
    return AssertedVersion(store.event_store_id, assertion.aggregate_id, assertion.version, adapter)


def _get_common_adapter(parts: Sequence[GroupedRecord | AssertedVersion]) -> EventStorageAdapter:
    adapter = parts[0].storage_adapter
    for each in parts:
        if type(each.storage_adapter) is not type(adapter):
            raise InvalidEventGroupError(
                f"{type(adapter).__name__} and {type(each.storage_adapter).__name__} "
                "cannot write together"
            )
    return adapter


def _check_versions(group: Sequence[GroupedRecord]) -> set[_Aggregate]:
    """Return the aggregates that a group writes.

    Raises:
        InvalidEventGroupError: it has two events of one version.
    """
    taken: set[tuple[_Aggregate, int]] = set()
    for event_store_id, record, adapter in group:
        place = ((id(adapter), event_store_id, record.aggregate_id), record.version)
        if place in taken:
            raise InvalidEventGroupError(
                f"it has two events of version {record.version} of {record.aggregate_id!r}"
            )
        taken.add(place)
    return {aggregate for aggregate, _ in taken}


def _check_assertions(
    asserted: Iterable[AssertedVersion], written: Container[_Aggregate]
) -> list[AssertedVersion]:
    """Return the assertions, each once.

    Raises:
        InvalidEventGroupError: one of them is of an aggregate that the group writes, or two
            contradict each other.
    """
    found: dict[_Aggregate, AssertedVersion] = {}
    for each in asserted:
        aggregate = (id(each.storage_adapter), each.event_store_id, each.aggregate_id)
        if aggregate in written:
            raise InvalidEventGroupError(
                f"it asserts the version of {each.aggregate_id!r}, and writes it"
            )
        if found.setdefault(aggregate, each).version != each.version:
            raise InvalidEventGroupError(f"it asserts two versions of {each.aggregate_id!r}")
    return list(found.values())
