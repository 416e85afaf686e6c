"""Event stores for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Generic, Self, overload

from castore_core._aggregate import A, AggregateCodec
from castore_core._decoding import Upcaster
from castore_core._event import E
from castore_core._group import A1, A2, A3, E1, E2, E3, GroupedEvent, VersionAssertion
from castore_core._record import EventRecord
from castore_core._reducer import Reducer
from castore_core._results import AggregateIdsPage, ExistingAggregate, LoadedAggregate, PushedEvent
from castore_core._snapshots import Snapshots
from castore_core._storage import EventStorageAdapter
from castore_core._store import PAGE_SIZE, EventStore
from castore_core._sync.event_loop import EventLoopThread
from castore_core._sync.facade import Facade
from castore_core._sync.groups import FacadeAssertion, FacadeEvent, run_group


class SyncEventStore(Facade[EventStore[E, A]], Generic[E, A]):
    """An event store for synchronous programs.

    It has the methods of the `EventStore`, connected or not, which it runs in an event
    loop: see `EventLoopThread` for threads, forks and Ctrl-C::

        pokemons = SyncEventStore(pokemon_store)
        pokemons.push_event(PokemonAppeared("pikachu1", 1))
    """

    def __init__(
        self,
        event_store: EventStore[E, A],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(event_store, event_loop=event_loop, timeout=timeout)

    @property
    def event_store(self) -> EventStore[E, A]:
        """The asynchronous event store."""
        return self._target

    @property
    def event_store_id(self) -> str:
        """Tells the store from others in the same storage."""
        return self._target.event_store_id

    @property
    def event_types(self) -> tuple[type[E], ...]:
        """The classes of its events."""
        return self._target.event_types

    @property
    def reduce(self) -> Reducer[E, A]:
        """Computes the state after an event."""
        return self._target.reduce

    @property
    def aggregate_codec(self) -> AggregateCodec[A] | None:
        """How aggregates become JSON values."""
        return self._target.aggregate_codec

    @property
    def upcasters(self) -> tuple[Upcaster, ...]:
        """Applied to each stored event before it is decoded."""
        return self._target.upcasters

    @property
    def snapshots(self) -> Snapshots | None:
        """Keeps aggregates, so that loads read fewer events.

        They belong to the events of ``storage_adapter``: where you set another storage of events,
        set other snapshots, too.
        """
        return self._target.snapshots

    @snapshots.setter
    def snapshots(self, snapshots: Snapshots | None) -> None:
        self._target.snapshots = snapshots

    @property
    def storage_adapter(self) -> EventStorageAdapter | None:
        """Where the events are."""
        return self._target.storage_adapter

    @storage_adapter.setter
    def storage_adapter(self, storage_adapter: EventStorageAdapter | None) -> None:
        self._target.storage_adapter = storage_adapter

    @property
    def prepare_event(self) -> Callable[[E], E] | None:
        """Given each event that is pushed, before it is encoded."""
        return self._target.prepare_event

    @prepare_event.setter
    def prepare_event(self, prepare_event: Callable[[E], E] | None) -> None:
        self._target.prepare_event = prepare_event

    @property
    def on_event_pushed(self) -> Callable[[PushedEvent[E, A]], Awaitable[None]] | None:
        """Awaited after each write."""
        return self._target.on_event_pushed

    @on_event_pushed.setter
    def on_event_pushed(
        self, on_event_pushed: Callable[[PushedEvent[E, A]], Awaitable[None]] | None
    ) -> None:
        self._target.on_event_pushed = on_event_pushed

    def get_storage_adapter(self) -> EventStorageAdapter:
        """Return the storage adapter.

        Raises:
            UndefinedStorageAdapterError: there is none.
        """
        return self._target.get_storage_adapter()

    def using(
        self, storage_adapter: EventStorageAdapter, *, snapshots: Snapshots | None = None
    ) -> Self:
        """Return the same store on another storage adapter. This one keeps its own.

        It has the ``snapshots`` that are given. Without them, it has none, because its events are
        others; on an adapter that joins a transaction of yours, it uses those of this store, but
        writes none.

        An adapter may join a transaction of yours (``joins_transaction``). Then a push is durable
        once you commit. ``on_event_pushed`` runs after the push, and so before the commit: the
        transaction may still be rolled back.
        """
        return self._wrap(self._target.using(storage_adapter, snapshots=snapshots))

    def push_event(
        self, event: E, *, prev_aggregate: A | None = None, force: bool = False
    ) -> PushedEvent[E, A]:
        """Write an event, atomically and durably.

        On a storage adapter that joins a transaction of yours, it is durable once you commit.

        The event gets the metadata of `event_metadata` for which its type has room; then
        ``prepare_event`` sees it, and then it is encoded. The result has it as it was written.

        With ``prev_aggregate``, the state before the event, the result has the state after it.
        With ``force``, an event of the same version is replaced, and gaps are allowed. The
        snapshots of the aggregate are invalidated first.

        Raises:
            EventAlreadyExistsError: the version is taken. Nothing was written.
            VersionGapError: the version before is not stored. Nothing was written. (On DynamoDB,
                where its adapter was asked to refuse gaps.)
            ForeignEventError: the store does not have the type. Nothing was written.
            InvalidEventDataError: a value of `event_metadata` does not fit. Nothing was written.
            InvalidEventError: ``prepare_event`` changed the id or the version. Nothing was written.
            NotJSONError: the payload or metadata is not made of JSON values. Nothing was written.
            EventDecodeError: the event would not be read back. Nothing was written.
            ReducerError: the reducer did not return the state after the event. Nothing was written.
            ValueError: ``prev_aggregate`` is not the state before the event. Nothing was written.
            StorageError: the storage failed, or that of snapshots, with ``force``.
            UndefinedReducerVersionError: the store has snapshots, and its reducer no version that
                could be computed. Nothing was written.
            UnknownOutcomeError: the storage's answer was lost. Read the aggregate before you push
                again.
            TransactionNotPublishableError: the store is connected, and its storage adapter joins a
                transaction of yours. Nothing was written.
            EventPublishError: the store is connected, and the event is written, but its message was
                not published.
        """
        return self._run(self._target.push_event(event, prev_aggregate=prev_aggregate, force=force))

    def group_event(self, event: E, *, prev_aggregate: A | None = None) -> GroupedEvent[E, A]:
        """Prepare an event for `push_event_group`. Nothing is written yet."""
        return FacadeEvent(self._target, event, prev_aggregate, facade=self)

    def assert_version(self, aggregate_id: str, version: int) -> VersionAssertion:
        """Let a group depend on an aggregate that it does not write.

        `push_event_group` writes its events if the last event of the aggregate has this version at
        that moment, and raises a `VersionAssertionError` otherwise, which is a conflict. 0 asserts
        that the aggregate has no events.

        Raises:
            ValueError: ``version`` is not an integer from 0 to 2**53 - 1, or ``aggregate_id`` is no
                id.
        """
        made = self._target.assert_version(aggregate_id, version)
        return FacadeAssertion(made.event_store, made.aggregate_id, made.version, facade=self)

    def get_events(
        self,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[E]:
        """Read the events of an aggregate in the order of their versions.

        The bounds are inclusive. ``reverse`` begins with the greatest version; ``limit``, 1 or
        more, counts from the beginning of that order.

        Raises:
            UnknownEventTypeError: a stored event is of no type that the store knows.
            EventDecodeError: a stored event does not fit its type.
            ValueError: ``aggregate_id`` is empty or no text, or a bound or ``limit`` is no integer.
        """
        return self._run(
            self._target.get_events(
                aggregate_id,
                min_version=min_version,
                max_version=max_version,
                limit=limit,
                reverse=reverse,
            )
        )

    def get_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> LoadedAggregate[E, A]:
        """Load an aggregate, as it is or as it was after its event ``max_version``.

        With snapshots, it goes on from the newest one at or below ``max_version``, and reads the
        events that follow.

        Raises:
            ReducerError: the reducer did not return the state after the last event.
            UndefinedReducerVersionError: the store has snapshots, and its reducer no version that
                could be computed.
            UnknownEventTypeError, EventDecodeError: as in `get_events`.
        """
        return self._run(self._target.get_aggregate(aggregate_id, max_version=max_version))

    def get_existing_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> ExistingAggregate[E, A]:
        """Load an aggregate that has events.

        Raises:
            AggregateNotFoundError: it has none (up to ``max_version``).
            ReducerError, UnknownEventTypeError, EventDecodeError: as in `get_aggregate`.
        """
        return self._run(self._target.get_existing_aggregate(aggregate_id, max_version=max_version))

    def list_aggregate_ids(
        self,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool | None = None,
        page_token: str | None = None,
    ) -> AggregateIdsPage:
        """List the aggregates that have an event of version 1, ordered by its timestamp.

        The bounds are inclusive; without ``limit`` (1 or more) the page holds all that remain.
        A page token carries the options of its query; an option that is given beside it (that is
        not ``None``) overrides, so that a server which gives its limit at each call keeps it.
        ``reverse``, false by default, begins with the latest.

        Raises:
            InvalidPageTokenError: the token is damaged, another store's or, where the store has
                ``page_token_keys``, forged.
            ValueError: a bound is no moment with a time zone, or ``limit`` is below 1.
        """
        return self._run(
            self._target.list_aggregate_ids(
                limit=limit,
                initial_event_after=initial_event_after,
                initial_event_before=initial_event_before,
                reverse=reverse,
                page_token=page_token,
            )
        )

    def iter_aggregate_ids(
        self,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool | None = None,
        page_token: str | None = None,
    ) -> Iterator[str]:
        """Walk all the pages of `list_aggregate_ids`, ``limit`` (1,000 by default) ids a page."""
        if limit is None and page_token is None:
            limit = PAGE_SIZE
        page = self.list_aggregate_ids(
            limit=limit,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
            reverse=reverse,
            page_token=page_token,
        )
        while True:
            for each in page.aggregates:
                yield each.aggregate_id
            if page.next_page_token is None:
                return
            page = self.list_aggregate_ids(page_token=page.next_page_token)

    def build_aggregate(self, events: Iterable[E], aggregate: A | None = None) -> A | None:
        """Return the state after some events, from none or from the ``aggregate`` before them.

        An error of the reducer gets a note that names the event.
        """
        return self._target.build_aggregate(events, aggregate)

    def simulate_aggregate(self, events: Iterable[E], *, at: datetime | None = None) -> A | None:
        """Return what the state would be after some events, or at a moment.

        Each event in turn is handed to ``simulate_side_effect`` with the events before it, keyed
        by version; it returns those that hold from then on (by default, all of them and the
        event), and may change the dictionary that it was given. Of what is left, the events up to
        ``at``, inclusive, are sorted by timestamp and version, numbered anew and reduced.
        """
        return self._target.simulate_aggregate(events, at=at)

    def event_to_record(self, event: E) -> EventRecord:
        """Encode an event for storage.

        Raises:
            ForeignEventError: the store does not have the type.
            NotJSONError: the payload or metadata is not made of JSON values.
        """
        return self._target.event_to_record(event)

    def event_from_record(self, record: EventRecord) -> E:
        """Decode a stored event, after the upcasters have seen it.

        Raises:
            UnknownEventTypeError: it is of no type that the store knows.
            EventDecodeError: it does not fit its type, or an upcaster failed.
        """
        return self._target.event_from_record(record)

    def get_json_schemas(self) -> dict[str, dict[str, Any]]:
        """Return the JSON schema (draft 2020-12) of each event as it is on the wire, by its type.

        A field of which nothing is known, as in a plain event, may hold anything. A field that
        has a default is not required, and a key that is not named may be there.
        """
        return self._target.get_json_schemas()

    @overload
    @staticmethod
    def push_event_group(
        first: GroupedEvent[E1, A1], /, *assertions: VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[E1, A1]]: ...

    @overload
    @staticmethod
    def push_event_group(
        first: GroupedEvent[E1, A1],
        second: GroupedEvent[E2, A2],
        /,
        *assertions: VersionAssertion,
        force: bool = False,
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2]]: ...

    @overload
    @staticmethod
    def push_event_group(
        first: GroupedEvent[E1, A1],
        second: GroupedEvent[E2, A2],
        third: GroupedEvent[E3, A3],
        /,
        *assertions: VersionAssertion,
        force: bool = False,
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2], PushedEvent[E3, A3]]: ...

    @overload
    @staticmethod
    def push_event_group(
        *grouped: GroupedEvent[E1, A1] | VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[E1, A1], ...]: ...

    @overload
    @staticmethod
    def push_event_group(
        *grouped: GroupedEvent[Any, Any] | VersionAssertion, force: bool = False
    ) -> tuple[PushedEvent[Any, Any], ...]: ...

    @staticmethod
    def push_event_group(
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
        coroutine = EventStore.push_event_group(*grouped, force=force)
        return run_group(grouped, coroutine)
