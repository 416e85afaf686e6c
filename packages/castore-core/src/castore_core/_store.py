"""The event store: where events are pushed to, and aggregates are built from them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, overload

from typing_extensions import TypeVar

from castore_core._aggregate import A, Aggregate, AggregateCodec
from castore_core._checks import checked_integer, checked_limit, checked_moment
from castore_core._event import E, Event, index_event_types
from castore_core._json import is_unicode
from castore_core._paging import AggregateIdsQuery, decode_page_token, encode_page_token
from castore_core._record import EventRecord
from castore_core._results import (
    AggregateIdsPage,
    ExistingAggregate,
    LoadedAggregate,
    PushedEvent,
)
from castore_core._schema import get_event_schema
from castore_core._storage import EventStorageAdapter, GroupedRecord
from castore_core.errors import (
    AggregateNotFoundError,
    EventAlreadyExistsError,
    EventDecodeError,
    EventPublishError,
    ForeignEventError,
    InvalidEventGroupError,
    UndefinedStorageAdapterError,
    UnknownEventTypeError,
    describe,
)

E_contra = TypeVar("E_contra", bound=Event, default=Any, contravariant=True)
E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
A1 = TypeVar("A1", bound=Aggregate)
A2 = TypeVar("A2", bound=Aggregate)
A3 = TypeVar("A3", bound=Aggregate)

Upcaster: TypeAlias = Callable[[EventRecord], EventRecord]
"""Turns an old stored event into a newer one, and gives any other event back as it is."""

DEFAULT_PAGE_SIZE = 1000


class Reducer(Protocol[E_contra, A]):
    """Computes the state after an event from the state before it (``None`` before the first).

    It is a protocol rather than a ``Callable`` because mypy then infers the events of a store
    from its reducer, and so accepts event types whose constructors look alike.
    """

    def __call__(self, aggregate: A | None, event: E_contra, /) -> A: ...


@dataclass(frozen=True)
class GroupedEvent(Generic[E, A]):
    """An event that waits to be pushed in a group, made by `EventStore.group_event`."""

    event_store: "EventStore[E, A]"
    event: E
    prev_aggregate: A | None = None


class EventStore(Generic[E, A]):
    """The events of one kind of aggregate, and the reducer that builds its state.

    A store holds its definition only; ``storage_adapter`` keeps the events, and may be set later.

    Args:
        event_store_id: tells the store from others in the same storage.
        event_types: the classes of its events.
        reduce: computes the state after an event.
        storage_adapter: where the events are.
        on_event_pushed: awaited after each write. If it raises, the event stays written, and the
            error goes to the caller.
        simulate_side_effect: see `simulate_aggregate`.
        aggregate_codec: needed for state-carrying messages.
        upcasters: applied, one after the other, to each stored event before it is decoded.

    Raises:
        InvalidEventTypeError: two event types share a name, or one has none.
    """

    def __init__(
        self,
        event_store_id: str,
        *,
        event_types: Iterable[Callable[..., E]],
        reduce: Reducer[E, A],
        storage_adapter: EventStorageAdapter | None = None,
        on_event_pushed: Callable[[PushedEvent[E, A]], Awaitable[None]] | None = None,
        simulate_side_effect: Callable[[dict[int, E], E], dict[int, E]] | None = None,
        aggregate_codec: AggregateCodec[A] | None = None,
        upcasters: Sequence[Upcaster] = (),
    ) -> None:
        if not event_store_id or "\0" in event_store_id or not is_unicode(event_store_id):
            raise ValueError(f"event_store_id is empty, or no text: {event_store_id!r}")
        self._event_store_id = event_store_id
        self._event_types = index_event_types(event_types)
        self._reduce = reduce
        self._storage_adapter = storage_adapter
        self._on_event_pushed = on_event_pushed
        self._simulate_side_effect = simulate_side_effect or _hold
        self._aggregate_codec = aggregate_codec
        self._upcasters = tuple(upcasters)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.event_store_id!r})"

    @property
    def event_store_id(self) -> str:
        """Tells the store from others in the same storage."""
        return self._event_store_id

    @property
    def event_types(self) -> tuple[type[E], ...]:
        """The classes of its events."""
        return tuple(self._event_types.values())

    @property
    def reduce(self) -> Reducer[E, A]:
        """Computes the state after an event."""
        return self._reduce

    @property
    def aggregate_codec(self) -> AggregateCodec[A] | None:
        """How aggregates become JSON values."""
        return self._aggregate_codec

    @property
    def storage_adapter(self) -> EventStorageAdapter | None:
        """Where the events are."""
        return self._storage_adapter

    @storage_adapter.setter
    def storage_adapter(self, storage_adapter: EventStorageAdapter | None) -> None:
        self._storage_adapter = storage_adapter

    @property
    def on_event_pushed(self) -> Callable[[PushedEvent[E, A]], Awaitable[None]] | None:
        """Awaited after each write."""
        return self._on_event_pushed

    @on_event_pushed.setter
    def on_event_pushed(
        self, on_event_pushed: Callable[[PushedEvent[E, A]], Awaitable[None]] | None
    ) -> None:
        self._on_event_pushed = on_event_pushed

    def get_storage_adapter(self) -> EventStorageAdapter:
        """Return the storage adapter.

        Raises:
            UndefinedStorageAdapterError: there is none.
        """
        if self.storage_adapter is None:
            raise UndefinedStorageAdapterError(self.event_store_id)
        return self.storage_adapter

    # Writing

    async def push_event(
        self, event: E, *, prev_aggregate: A | None = None, force: bool = False
    ) -> PushedEvent[E, A]:
        """Write an event, atomically and durably.

        With ``prev_aggregate``, the state before the event, the result has the state after it.
        With ``force``, an event of the same version is replaced.

        Raises:
            EventAlreadyExistsError: the version is taken. Nothing was written.
            ForeignEventError: the store does not have the type. Nothing was written.
            NotJSONError: the payload or metadata is not made of JSON values. Nothing was written.
            ValueError: ``prev_aggregate`` is not the state before the event. Nothing was written.
        """
        adapter = self._get_ready_adapter()
        record = self.event_to_record(event)
        pushed = PushedEvent(event, self._get_next_aggregate(event, prev_aggregate))
        await adapter.push_event(self.event_store_id, record, force=force)
        return await self._finish_push(pushed)

    def group_event(self, event: E, *, prev_aggregate: A | None = None) -> GroupedEvent[E, A]:
        """Prepare an event for `push_event_group`. Nothing is written yet."""
        return GroupedEvent(self, event, prev_aggregate)

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1], /, *, force: bool = False
    ) -> tuple[PushedEvent[E1, A1]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1], second: GroupedEvent[E2, A2], /, *, force: bool = False
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        first: GroupedEvent[E1, A1],
        second: GroupedEvent[E2, A2],
        third: GroupedEvent[E3, A3],
        /,
        *,
        force: bool = False,
    ) -> tuple[PushedEvent[E1, A1], PushedEvent[E2, A2], PushedEvent[E3, A3]]: ...

    @overload
    @staticmethod
    async def push_event_group(
        *grouped_events: GroupedEvent[E1, A1], force: bool = False
    ) -> tuple[PushedEvent[E1, A1], ...]: ...

    @overload
    @staticmethod
    async def push_event_group(
        *grouped_events: GroupedEvent[Any, Any], force: bool = False
    ) -> tuple[PushedEvent[Any, Any], ...]: ...

    @staticmethod
    async def push_event_group(
        *grouped_events: GroupedEvent[Any, Any], force: bool = False
    ) -> tuple[PushedEvent[Any, Any], ...]:
        """Write the events of one or several stores, all or none.

        The stores share a kind of storage adapter; what else they have to share (an engine, a
        client) is the adapter's matter. An empty group writes nothing.

        After the write, ``on_event_pushed`` is awaited for each event, also when it raises for
        another one. Of several errors, the first `EventPublishError` is raised, with the ``others``
        beside it; where there is none, they come as an `ExceptionGroup`.

        Raises:
            EventAlreadyExistsError: names an event whose version is taken. Nothing was written.
            InvalidEventGroupError: the events cannot be written at once. Nothing was written.
            ForeignEventError, NotJSONError, ValueError: as in `push_event`.
        """
        if not grouped_events:
            return ()
        _check_grouped(grouped_events)
        group = [EventStore._to_grouped_record(each) for each in grouped_events]
        adapter = _get_common_adapter(group)
        pushed_events = [
            PushedEvent(
                each.event, each.event_store._get_next_aggregate(each.event, each.prev_aggregate)
            )
            for each in grouped_events
        ]
        await adapter.push_event_group(group, force=force)
        return await EventStore._finish_group(grouped_events, pushed_events)

    # Reading

    async def get_events(
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
        """
        records = await self.get_storage_adapter().get_events(
            self.event_store_id,
            aggregate_id,
            min_version=checked_integer("min_version", min_version),
            max_version=checked_integer("max_version", max_version),
            limit=checked_limit(limit),
            reverse=reverse,
        )
        return [self.event_from_record(each) for each in records]

    async def get_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> LoadedAggregate[E, A]:
        """Load an aggregate, as it is or as it was after its event ``max_version``.

        Raises:
            UnknownEventTypeError, EventDecodeError: as in `get_events`.
        """
        events = await self.get_events(aggregate_id, max_version=max_version)
        last_event = events[-1] if events else None
        return LoadedAggregate(self.build_aggregate(events), tuple(events), last_event)

    async def get_existing_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> ExistingAggregate[E, A]:
        """Load an aggregate that has events.

        Raises:
            AggregateNotFoundError: it has none (up to ``max_version``).
            UnknownEventTypeError, EventDecodeError: as in `get_events`.
        """
        loaded = await self.get_aggregate(aggregate_id, max_version=max_version)
        if loaded.last_event is None:
            raise AggregateNotFoundError(self.event_store_id, aggregate_id)
        if loaded.aggregate is None:
            raise TypeError(f"the reducer of event store {self.event_store_id!r} returned None")
        return ExistingAggregate(loaded.aggregate, loaded.events, loaded.last_event)

    async def list_aggregate_ids(
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
        not ``None``) overrides. ``reverse``, false by default, begins with the latest.

        Raises:
            InvalidPageTokenError: the token is damaged, or another store's.
        """
        query, cursor = AggregateIdsQuery(), None
        if page_token is not None:
            query, cursor = decode_page_token(self.event_store_id, page_token)
        options: dict[str, Any] = {
            "limit": checked_limit(limit),
            "initial_event_after": checked_moment("initial_event_after", initial_event_after),
            "initial_event_before": checked_moment("initial_event_before", initial_event_before),
            "reverse": reverse,
        }
        query = query._replace(**{name: each for name, each in options.items() if each is not None})
        found = await self.get_storage_adapter().list_aggregate_ids(
            self.event_store_id, **query._asdict(), cursor=cursor
        )
        token = None
        if found.cursor is not None:
            token = encode_page_token(self.event_store_id, query, found.cursor)
        return AggregateIdsPage(found.aggregates, token)

    async def iter_aggregate_ids(
        self,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool | None = None,
        page_token: str | None = None,
    ) -> AsyncIterator[str]:
        """Walk all the pages of `list_aggregate_ids`, ``limit`` (1,000 by default) ids a page."""
        if limit is None and page_token is None:
            limit = DEFAULT_PAGE_SIZE
        page = await self.list_aggregate_ids(
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
            page = await self.list_aggregate_ids(page_token=page.next_page_token)

    # Computing

    def build_aggregate(self, events: Iterable[E], aggregate: A | None = None) -> A | None:
        """Return the state after some events, from none or from the ``aggregate`` before them."""
        reduce = self._reduce
        for event in events:
            aggregate = reduce(aggregate, event)
        return aggregate

    def simulate_aggregate(self, events: Iterable[E], *, at: datetime | None = None) -> A | None:
        """Return what the state would be after some events, or at a moment.

        Each event in turn is handed to ``simulate_side_effect`` with the events before it, keyed
        by version; it returns those that hold from then on (by default, all of them and the
        event), and may change the dictionary that it was given. Of what is left, the events up to
        ``at``, inclusive, are sorted by timestamp and version, numbered anew and reduced.
        """
        held: dict[int, E] = {}
        for event in events:
            held = self._simulate_side_effect(held, event)
        moment = checked_moment("at", at)
        kept = [each for each in held.values() if moment is None or each.timestamp <= moment]
        kept.sort(key=lambda each: (each.timestamp, each.version))
        return self.build_aggregate(
            _renumber(event, version) for version, event in enumerate(kept, 1)
        )

    # Encoding

    def event_to_record(self, event: E) -> EventRecord:
        """Encode an event for storage.

        Raises:
            ForeignEventError: the store does not have the type.
            NotJSONError: the payload or metadata is not made of JSON values.
        """
        if self._event_types.get(event.type) is not type(event):
            raise ForeignEventError(self.event_store_id, event.type)
        return event.to_record()

    def event_from_record(self, record: EventRecord) -> E:
        """Decode a stored event, after the upcasters have seen it.

        Raises:
            UnknownEventTypeError: it is of no type that the store knows.
            EventDecodeError: it does not fit its type.
        """
        for upcast in self._upcasters:
            record = upcast(record)
        event_type = self._event_types.get(record.type)
        if event_type is None:
            raise UnknownEventTypeError(
                self.event_store_id, record.aggregate_id, record.version, record.type
            )
        try:
            return event_type.from_record(record)
        except Exception as error:
            raise EventDecodeError(
                self.event_store_id,
                record.aggregate_id,
                record.version,
                record.type,
                describe(error),
            ) from error

    def get_json_schemas(self) -> dict[str, dict[str, Any]]:
        """Return the JSON schema (draft 2020-12) of each event as it is on the wire, by its type.

        A field of which nothing is known, as in a plain event, may hold anything. A field that
        has a default is not required, and a key that is not named may be there.
        """
        return {name: get_event_schema(each) for name, each in self._event_types.items()}

    # What a connected store does otherwise

    def _get_ready_adapter(self) -> EventStorageAdapter:
        return self.get_storage_adapter()

    async def _finish_push(self, pushed_event: PushedEvent[E, A]) -> PushedEvent[E, A]:
        if self.on_event_pushed is not None:
            try:
                await self.on_event_pushed(pushed_event)
            except EventAlreadyExistsError as error:
                error.retryable = False
                raise
        return pushed_event

    def _get_next_aggregate(self, event: E, prev_aggregate: A | None) -> A | None:
        if prev_aggregate is None:
            return self._reduce(None, event) if event.version == 1 else None
        before = (prev_aggregate.aggregate_id, prev_aggregate.version + 1)
        if before != (event.aggregate_id, event.version):
            raise ValueError(
                f"prev_aggregate is {prev_aggregate.aggregate_id!r} after version "
                f"{prev_aggregate.version}, which is not the state before version {event.version} "
                f"of {event.aggregate_id!r}"
            )
        return self._reduce(prev_aggregate, event)

    @staticmethod
    def _to_grouped_record(grouped: GroupedEvent[Any, Any]) -> GroupedRecord:
        store = grouped.event_store
        record = store.event_to_record(grouped.event)
        return GroupedRecord(store.event_store_id, record, store._get_ready_adapter())

    @staticmethod
    async def _finish_group(
        grouped_events: Sequence[GroupedEvent[Any, Any]],
        pushed_events: Sequence[PushedEvent[Any, Any]],
    ) -> tuple[PushedEvent[Any, Any], ...]:
        finished: list[PushedEvent[Any, Any]] = []
        errors: list[Exception] = []
        for grouped, pushed in zip(grouped_events, pushed_events, strict=True):
            try:
                finished.append(await grouped.event_store._finish_push(pushed))
            except Exception as error:  # noqa: BLE001 raised below, when all had their turn
                errors.append(error)
            except BaseException as error:
                tell_beside(error, errors)
                raise
        raise_all(errors)
        return tuple(finished)


def raise_all(errors: Sequence[Exception]) -> None:
    """Raise what came up after a write: nothing, the one error, or several as one.

    A message that was not published is the news that nobody may miss: its error is raised, with
    the others beside it.
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
    """Let an error, such as a cancellation, tell of those that came up before it."""
    for each in others:
        error.add_note(f"beside it: {each!r}")


def _check_grouped(grouped_events: Sequence[object]) -> None:
    for each in grouped_events:
        if not isinstance(each, GroupedEvent):
            raise TypeError(f"not made by group_event() of an event store: {each!r}")


def _get_common_adapter(group: Sequence[GroupedRecord]) -> EventStorageAdapter:
    adapter = group[0].storage_adapter
    taken: set[tuple[int, str, str, int]] = set()
    for event_store_id, record, other in group:
        if type(other) is not type(adapter):
            raise InvalidEventGroupError(
                f"{type(adapter).__name__} and {type(other).__name__} cannot write together"
            )
        place = (event_store_id, record.aggregate_id, record.version)
        if (id(other), *place) in taken:
            raise InvalidEventGroupError(
                f"it has two events of version {record.version} of {record.aggregate_id!r}"
            )
        taken.add((id(other), *place))
    return adapter


def _hold(held: dict[int, E], event: E) -> dict[int, E]:
    held[event.version] = event
    return held


def _renumber(event: E, version: int) -> E:
    if event.version == version:
        return event
    renumbered = object.__new__(type(event))
    vars(renumbered).update(vars(event), version=version)
    return renumbered
