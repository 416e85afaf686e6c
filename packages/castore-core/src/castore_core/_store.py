"""The event store: where events are pushed to, and aggregates are built from them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Final, Generic, Self

from castore_core._aggregate import A, AggregateCodec
from castore_core._awaiting import check_awaitable
from castore_core._checks import (
    checked_aggregate_id,
    checked_integer,
    checked_limit,
    checked_moment,
    checked_version,
)
from castore_core._decoding import Upcaster, decode, upcast
from castore_core._event import E, Event, EventDraft, index_event_types
from castore_core._group import EventGroups, GroupedEvent, VersionAssertion
from castore_core._json import is_unicode
from castore_core._metadata import find_metadata
from castore_core._operations import (
    describe_load,
    describe_push,
    describe_read,
    tell_load,
    tell_read,
)
from castore_core._paging import AggregateIdsQuery, PageTokens
from castore_core._preparing import prepare
from castore_core._publish_order import Turn
from castore_core._record import EventRecord
from castore_core._reducer import Reducer, check_state, hold, reduce_events, reduce_next, renumber
from castore_core._results import (
    AggregateIdsPage,
    ExistingAggregate,
    LoadedAggregate,
    PushedEvent,
)
from castore_core._schema import get_event_schema
from castore_core._snapshots import Snapshots
from castore_core._storage import EventStorageAdapter, joins_transaction
from castore_core._store_snapshots import StoreSnapshots, replacing
from castore_core._telemetry import installed, observed
from castore_core._trace_metadata import add_trace
from castore_core.errors import (
    AggregateNotFoundError,
    EventAlreadyExistsError,
    ForeignEventError,
    UndefinedStorageAdapterError,
    UnknownEventTypeError,
)

PAGE_SIZE: Final = 1000


class EventStore(EventGroups[E, A], Generic[E, A]):
    """The events of one kind of aggregate, and the reducer that builds its state.

    A store holds its definition only; ``storage_adapter`` keeps the events, and may be set later.

    Args:
        event_store_id: tells the store from others in the same storage.
        event_types: the classes of its events.
        reduce: computes the state after an event.
        storage_adapter: where the events are.
        prepare_event: given each event that is pushed, before it is encoded; what it returns is
            pushed. It may change payload, metadata and timestamp. If it raises, nothing is written.
        on_event_pushed: awaited after each write. If it raises, the event stays written, and the
            error goes to the caller. Within a transaction of yours, it runs before you commit.
        simulate_side_effect: see `simulate_aggregate`.
        aggregate_codec: needed for state-carrying messages and snapshots.
        snapshots: keeps aggregates, so that loads read fewer events.
        upcasters: applied, one after the other, to each stored event before it is decoded.
        page_token_keys: secrets of at least 16 bytes, with which the page tokens of
            `list_aggregate_ids` are signed. The first one signs, and tokens of all are accepted.
            Give keys where clients hold tokens: without one, a client can forge a token and drop
            the limit and the bounds that it carries.

    Raises:
        InvalidEventTypeError: two event types share a name, or one has none.
        UndefinedAggregateCodecError: there are ``snapshots``, and no codec.
        ValueError: the id or a key is not as above.
    """

    def __init__(
        self,
        event_store_id: str,
        *,
        event_types: Iterable[Callable[..., E]],
        reduce: Reducer[E, A],
        storage_adapter: EventStorageAdapter | None = None,
        prepare_event: Callable[[E], E] | None = None,
        on_event_pushed: Callable[[PushedEvent[E, A]], Awaitable[None]] | None = None,
        simulate_side_effect: Callable[[dict[int, E], E], dict[int, E]] | None = None,
        aggregate_codec: AggregateCodec[A] | None = None,
        snapshots: Snapshots | None = None,
        upcasters: Sequence[Upcaster] = (),
        page_token_keys: Sequence[bytes] = (),
    ) -> None:
        if not event_store_id or "\0" in event_store_id or not is_unicode(event_store_id):
            raise ValueError(f"event_store_id is empty, or no text: {event_store_id!r}")
        self._event_store_id = event_store_id
        self._event_types = index_event_types(event_types)
        self._reduce = reduce
        self._storage_adapter = _check_adapter(storage_adapter)
        self._prepare_event = prepare_event
        self._on_event_pushed = on_event_pushed
        self._simulate_side_effect = simulate_side_effect or hold
        self._aggregate_codec = aggregate_codec
        self._upcasters = tuple(upcasters)
        self._page_tokens = PageTokens(event_store_id, page_token_keys)
        self.snapshots = snapshots

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
    def upcasters(self) -> tuple[Upcaster, ...]:
        """Applied to each stored event before it is decoded."""
        return self._upcasters

    @property
    def snapshots(self) -> Snapshots | None:
        """Keeps aggregates, so that loads read fewer events.

        They belong to the events of ``storage_adapter``: where you set another storage of events,
        set other snapshots, too.
        """
        attached = self._get_snapshots()
        return None if attached is None else attached.snapshots

    @snapshots.setter
    def snapshots(self, snapshots: Snapshots | None) -> None:
        _check_snapshots(snapshots)
        self._snapshots = None if snapshots is None else snapshots._attach(self)  # pyright: ignore[reportPrivateUsage]

    @property
    def storage_adapter(self) -> EventStorageAdapter | None:
        """Where the events are."""
        return self._storage_adapter

    @storage_adapter.setter
    def storage_adapter(self, storage_adapter: EventStorageAdapter | None) -> None:
        self._storage_adapter = _check_adapter(storage_adapter)

    @property
    def prepare_event(self) -> Callable[[E], E] | None:
        """Given each event that is pushed, before it is encoded."""
        return self._prepare_event

    @prepare_event.setter
    def prepare_event(self, prepare_event: Callable[[E], E] | None) -> None:
        self._prepare_event = prepare_event

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
        store = copy(self)
        store._storage_adapter = _check_adapter(storage_adapter)
        if snapshots is not None or not joins_transaction(storage_adapter):
            store.snapshots = snapshots
        return store

    # Writing

    async def push_event(
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
        if installed.telemetry is not None:
            return await self._push_observed(event, prev_aggregate, force=force)
        return await self._push(event, prev_aggregate, force=force)

    def group_event(self, event: E, *, prev_aggregate: A | None = None) -> GroupedEvent[E, A]:
        """Prepare an event for `push_event_group`. Nothing is written yet."""
        return GroupedEvent(self, event, prev_aggregate)

    def assert_version(self, aggregate_id: str, version: int) -> VersionAssertion:
        """Let a group depend on an aggregate that it does not write.

        `push_event_group` writes its events if the last event of the aggregate has this version at
        that moment, and raises a `VersionAssertionError` otherwise, which is a conflict. 0 asserts
        that the aggregate has no events.

        Raises:
            ValueError: ``version`` is not an integer from 0 to 2**53 - 1, or ``aggregate_id`` is no
                id.
        """
        return VersionAssertion(self, checked_aggregate_id(aggregate_id), checked_version(version))

    # Reading

    @observed(describe_read, tell_read)
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
            ValueError: ``aggregate_id`` is empty or no text, or a bound or ``limit`` is no integer.
        """
        records = await self.get_storage_adapter().get_events(
            self.event_store_id,
            checked_aggregate_id(aggregate_id),
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

        With snapshots, it goes on from the newest one at or below ``max_version``, and reads the
        events that follow.

        Raises:
            ReducerError: the reducer did not return the state after the last event.
            UndefinedReducerVersionError: the store has snapshots, and its reducer no version that
                could be computed.
            UnknownEventTypeError, EventDecodeError: as in `get_events`.
        """
        if installed.telemetry is not None:
            return await self._load_observed(aggregate_id, max_version)
        return await self._load(aggregate_id, max_version)

    async def get_existing_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> ExistingAggregate[E, A]:
        """Load an aggregate that has events.

        Raises:
            AggregateNotFoundError: it has none (up to ``max_version``).
            ReducerError, UnknownEventTypeError, EventDecodeError: as in `get_aggregate`.
        """
        loaded = await self.get_aggregate(aggregate_id, max_version=max_version)
        if loaded.aggregate is None or loaded.last_event is None:
            raise AggregateNotFoundError(self.event_store_id, aggregate_id)
        return ExistingAggregate(
            loaded.aggregate,
            loaded.events,
            loaded.last_event,
            snapshot_version=loaded.snapshot_version,
            events_read=loaded.events_read,
        )

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
        not ``None``) overrides, so that a server which gives its limit at each call keeps it.
        ``reverse``, false by default, begins with the latest.

        Raises:
            InvalidPageTokenError: the token is damaged, another store's or, where the store has
                ``page_token_keys``, forged.
            ValueError: a bound is no moment with a time zone, or ``limit`` is below 1.
        """
        query, cursor = AggregateIdsQuery(), None
        if page_token is not None:
            query, cursor = self._page_tokens.decode(page_token)
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
            token = self._page_tokens.encode(query, found.cursor)
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
            limit = PAGE_SIZE
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
        """Return the state after some events, from none or from the ``aggregate`` before them.

        An error of the reducer gets a note that names the event.
        """
        return reduce_events(self, events, aggregate)

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
        return self.build_aggregate(renumber(kept))

    # Encoding

    def event_to_record(self, event: E) -> EventRecord:
        """Encode an event for storage.

        Raises:
            ForeignEventError: the store does not have the type.
            NotJSONError: the payload or metadata is not made of JSON values.
        """
        self._check_event(event)
        return event.to_record()

    def event_from_record(self, record: EventRecord) -> E:
        """Decode a stored event, after the upcasters have seen it.

        Raises:
            UnknownEventTypeError: it is of no type that the store knows.
            EventDecodeError: it does not fit its type, or an upcaster failed.
        """
        if self._upcasters:
            record = upcast(self, self._upcasters, record)
        event_type = self._event_types.get(record.type)
        if event_type is None:
            raise UnknownEventTypeError(
                self.event_store_id, record.aggregate_id, record.version, record.type
            )
        return decode(self, event_type, record)

    def get_json_schemas(self) -> dict[str, dict[str, Any]]:
        """Return the JSON schema (draft 2020-12) of each event as it is on the wire, by its type.

        A field of which nothing is known, as in a plain event, may hold anything. A field that
        has a default is not required, and a key that is not named may be there.
        """
        return {name: get_event_schema(each) for name, each in self._event_types.items()}

    async def _push(self, event: E, prev_aggregate: A | None, *, force: bool) -> PushedEvent[E, A]:
        adapter = self._get_ready_adapter()
        event = self._prepare(event)
        record = self.event_to_record(event)
        pushed = PushedEvent(event, reduce_next(self, event, record, prev_aggregate))
        turns = self._take_turns(event)
        try:
            if force:
                await self._replace(adapter, record)
            else:
                await adapter.push_event(self.event_store_id, record)
            return await self._finish_push(pushed, turns)
        finally:
            for each in turns:
                each.end()

    _push_observed = observed(describe_push)(_push)

    async def _replace(self, adapter: EventStorageAdapter, record: EventRecord) -> None:
        joins = joins_transaction(adapter)
        snapshots, aggregate_id = self._get_snapshots(), record.aggregate_id
        async with replacing([(snapshots, self.event_store_id, aggregate_id, joins)]):
            await adapter.push_event(self.event_store_id, record, force=True)

    async def _load(self, aggregate_id: str, max_version: int | None) -> LoadedAggregate[E, A]:
        snapshots = self._get_snapshots()
        if snapshots is not None:
            return await snapshots.load(self, aggregate_id, max_version=max_version)
        records = await self.get_storage_adapter().get_events(
            self.event_store_id,
            checked_aggregate_id(aggregate_id),
            max_version=checked_integer("max_version", max_version),
        )
        if not records:
            return LoadedAggregate(None, (), None)
        events = tuple([self.event_from_record(each) for each in records])
        aggregate = check_state(self, events[-1], self.build_aggregate(events))
        return LoadedAggregate(aggregate, events, events[-1], events_read=len(events))

    _load_observed = observed(describe_load, tell_load)(_load)

    def _check_event(self, event: E) -> None:
        if self._event_types.get(getattr(event, "type", "")) is not type(event):
            raise _refuse_event(self.event_store_id, event)

    def _prepare(self, event: E) -> E:
        """Return an event as it is to be encoded: the event itself, where nobody asks for more."""
        values, prepare_event = find_metadata(), self.prepare_event
        is_observed = installed.telemetry is not None
        if not values and prepare_event is None and not is_observed:
            return event
        self._check_event(event)
        if values:
            event = event.with_metadata(values)
        if is_observed:
            event = add_trace(event)
        return event if prepare_event is None else prepare(prepare_event, event)

    # Overridden by `ConnectedEventStore`

    def _get_ready_adapter(self) -> EventStorageAdapter:
        if self._snapshots is not None:
            self._snapshots.resolve(self)
        return self.get_storage_adapter()

    def _get_snapshots(self) -> StoreSnapshots | None:
        return self._snapshots

    def _refuse_transaction(self) -> None:
        pass

    def _take_turns(self, event: E) -> tuple[Turn, ...]:  # noqa: ARG002 nothing is published
        return ()

    async def _finish_push(
        self,
        pushed_event: PushedEvent[E, A],
        turns: Sequence[Turn],  # noqa: ARG002 nothing is published
    ) -> PushedEvent[E, A]:
        is_written = None
        if self._snapshots is not None:
            is_written = self._snapshots.follow_push(self, pushed_event.event)
        if self.on_event_pushed is not None:
            try:
                answer = self.on_event_pushed(pushed_event)
                await check_awaitable(answer, f"on_event_pushed of {self!r}")
            except EventAlreadyExistsError as error:
                error.retryable = False
                raise
        if is_written is not None:
            await asyncio.wait([is_written])  # it goes on where this is cancelled
        return pushed_event


def check_event_store(taker: str, event_store: object) -> None:
    """Refuse anything but an event store, to which a storage adapter or a façade comes close.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(event_store, EventStore):
        raise TypeError(f"{taker} takes an EventStore, not {type(event_store).__qualname__}")


def _check_adapter(storage_adapter: EventStorageAdapter | None) -> EventStorageAdapter | None:
    if isinstance(storage_adapter, type):
        raise TypeError(f"an adapter is an object: make one, {storage_adapter.__name__}(...)")
    return storage_adapter


def _check_snapshots(snapshots: object) -> None:
    if snapshots is not None and not isinstance(snapshots, Snapshots):
        raise TypeError("snapshots is Snapshots(...), made with the storage adapter of snapshots")


def _refuse_event(event_store_id: str, event: object) -> Exception:
    if isinstance(event, EventDraft):
        return TypeError(
            "a draft has no aggregate and no version: return it from a handler of "
            "AggregateCommands, or push draft.to_event(aggregate_id, version)"
        )
    if not isinstance(event, Event):
        return TypeError(f"not an event: {type(event).__qualname__}")
    return ForeignEventError(event_store_id, event.type)
