"""A unit of work: the pushes of a handler, collected to be written at once."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NoReturn, Self, TypeAlias, TypeVar, cast

from castore_core._connected import ConnectedEventStore
from castore_core._group import GroupedEvent
from castore_core._json import JSONValue
from castore_core._overlay import overlay_events
from castore_core._record import EventRecord
from castore_core._results import PushedEvent
from castore_core._storage import (
    AggregateIdsSlice,
    AssertedVersion,
    EventStorageAdapter,
    GroupedRecord,
)
from castore_core._store import EventStore
from castore_core.errors import (
    EventAlreadyExistsError,
    InvalidEventGroupError,
    VersionAssertionError,
)

S = TypeVar("S", bound=tuple[EventStore, ...])

_AggregateKey: TypeAlias = tuple[int, str, str]
"""The `id` of the adapter, the id of the event store, and that of the aggregate."""


class UnitOfWork:
    """Copies of event stores, whose pushes are collected until `write`.

    Reads through the copies see the collected events; lists of aggregates do not. The push of a
    version that was collected or read is a conflict at once. With ``looks_first``, other versions
    are looked up; without, they may be conflicts of the write.

    Use it as a context: once it ends, the copies refuse pushes.
    """

    def __init__(self, *, looks_first: bool) -> None:
        self._looks_first = looks_first
        self._is_open = True
        self._adapters: dict[int, CollectingAdapter] = {}
        self._copies: dict[int, EventStore] = {}
        self._group: list[GroupedRecord] = []
        self._asserted: dict[_AggregateKey, AssertedVersion] = {}
        self._pending: dict[_AggregateKey, dict[int, EventRecord]] = {}
        self._last_versions: dict[
            _AggregateKey, int
        ] = {}  # of aggregates that were read or written
        self._pushes: list[tuple[EventStore, PushedEvent]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False

    def copy_stores(self, event_stores: S) -> S:
        """Return the copies, in a tuple of the same class."""
        make: Any = getattr(type(event_stores), "_make", tuple)
        return cast("S", make([self._copy(each) for each in event_stores]))

    async def write(self, *marks: GroupedEvent) -> None:
        """Write the collected events, and marks as more of them, in one group: all or none.

        The original stores do the rest of a push: they publish, for example.

        Raises:
            EventAlreadyExistsError, InvalidEventGroupError, UnknownOutcomeError: as of any group.
        """
        self._is_open = False
        group, pushes = [*self._group], [*self._pushes]
        for store, event in ((each.event_store, each.event) for each in marks):
            record = store.event_to_record(event)
            group.append(GroupedRecord(store.event_store_id, record, store.get_storage_adapter()))
            pushes.append((store, PushedEvent(event)))
        await EventStore._push_collected(  # pyright: ignore[reportPrivateUsage]
            [store for store, _ in pushes],
            [pushed for _, pushed in pushes],
            group,
            self._get_open_assertions(),
        )

    # Of the collecting adapters

    async def collect(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion]
    ) -> None:
        """Collect a group whose adapters are the original ones, or nothing of it.

        Raises:
            EventAlreadyExistsError: a version is taken, as far as it is known.
            VersionAssertionError: an aggregate is not at its asserted version, as far as known.
        """
        for assertion in asserted:
            await self._load_last_version(_get_asserted_key(assertion), assertion.storage_adapter)
        for each in group:
            await self._refuse_stored(each)
        if not self._is_open:
            raise RuntimeError("the command has ended: its event stores do not push any more")
        self._check_assertions(asserted)
        self._check_versions(group)  # nothing is awaited between these and the rest
        self._asserted.update({_get_asserted_key(each): each for each in asserted})
        for each in group:
            self._add(each._replace(record=each.record.copy()))

    def note_read(
        self,
        key: _AggregateKey,
        stored: Sequence[EventRecord],
        *,
        starts_at: int,
        is_last_seen: bool,
    ) -> dict[int, EventRecord]:
        """Remember the last version that was read, and return the collected events by version."""
        pending = self._pending.get(key, {})
        if is_last_seen and (stored or starts_at <= 1):
            versions = (each.version for each in stored)
            self._last_versions[key] = max([0, *versions, *pending])
        return pending

    def _copy(self, store: EventStore) -> EventStore:
        copied = self._copies.get(id(store))
        if copied is None:
            plain, adapter = store, store.get_storage_adapter()
            while isinstance(plain, ConnectedEventStore):
                plain = plain.event_store
            made = CollectingAdapter(self, adapter)
            copied = plain.using(self._adapters.setdefault(id(adapter), made))
            copied.on_event_pushed = partial(self._remember, store)
            self._copies[id(store)] = copied
        return copied

    async def _remember(self, store: EventStore, pushed_event: PushedEvent) -> None:
        self._pushes.append((store, pushed_event))

    async def _refuse_stored(self, grouped: GroupedRecord) -> None:
        """Refuse a version that is known to be stored, or is found to be with ``looks_first``."""
        key, (store_id, record, adapter) = _get_key(grouped), grouped
        if self._looks_first:
            await self._load_last_version(key, adapter)
        if record.version <= self._last_versions.get(key, 0):
            version = record.version
            if await adapter.get_events(
                store_id, record.aggregate_id, min_version=version, max_version=version
            ):
                raise EventAlreadyExistsError(store_id, record.aggregate_id, version)

    async def _load_last_version(self, key: _AggregateKey, adapter: EventStorageAdapter) -> None:
        if key not in self._last_versions:
            last = await adapter.get_events(*key[1:], limit=1, reverse=True)
            self._last_versions.setdefault(key, last[0].version if last else 0)

    def _check_assertions(self, asserted: Sequence[AssertedVersion]) -> None:
        for each in asserted:
            key = _get_asserted_key(each)
            earlier = each if key in self._pending else self._asserted.get(key, each)
            if {self._last_versions[key], earlier.version} != {each.version}:
                raise VersionAssertionError(each.event_store_id, each.aggregate_id, each.version)

    def _check_versions(self, group: Sequence[GroupedRecord]) -> None:
        for each in group:
            store_id, record, _ = each
            if record.version in self._pending.get(_get_key(each), {}):
                raise EventAlreadyExistsError(store_id, record.aggregate_id, record.version)

    def _add(self, grouped: GroupedRecord) -> None:
        key, record = _get_key(grouped), grouped.record
        self._group.append(grouped)
        self._pending.setdefault(key, {})[record.version] = record
        self._last_versions[key] = max(self._last_versions.get(key, 0), record.version)

    def _get_open_assertions(self) -> list[AssertedVersion]:
        """Return the assertions that the versions of the collected events do not imply."""
        return [each for key, each in self._asserted.items() if key not in self._pending]


class CollectingAdapter:
    """An event storage that hands pushes to a unit of work, and reads from another storage."""

    joins_transaction: Final = True  # it may never be written: there are no snapshots of it

    def __init__(self, unit: UnitOfWork, storage_adapter: EventStorageAdapter) -> None:
        self.storage_adapter = storage_adapter
        self._unit = unit

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.storage_adapter!r})"

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Collect one event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Collect a group, all or none."""
        if force:
            _refuse_force()
        await self._unit.collect(
            [each._replace(storage_adapter=self._unwrap(each.storage_adapter)) for each in group],
            [
                each._replace(storage_adapter=self._unwrap(each.storage_adapter))
                for each in asserted
            ],
        )

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Sequence[EventRecord]:
        """Read the events of an aggregate, the collected ones included."""
        stored = await self.storage_adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )
        pending = self._unit.note_read(
            (id(self.storage_adapter), event_store_id, aggregate_id),
            stored,
            starts_at=min_version or 1,
            is_last_seen=max_version is None and (reverse or limit is None),
        )
        if not pending:
            return stored
        return overlay_events(
            stored,
            pending.values(),
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List the aggregates that are stored."""
        return await self.storage_adapter.list_aggregate_ids(
            event_store_id,
            limit=limit,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
            reverse=reverse,
            cursor=cursor,
        )

    def _unwrap(self, storage_adapter: EventStorageAdapter) -> EventStorageAdapter:
        # The core gives a group to adapters of one class only.
        adapter = cast("CollectingAdapter", storage_adapter)
        if adapter._unit is not self._unit:
            raise InvalidEventGroupError("its storage adapters are of two commands")
        return adapter.storage_adapter


def _get_key(grouped: GroupedRecord) -> _AggregateKey:
    return id(grouped.storage_adapter), grouped.event_store_id, grouped.record.aggregate_id


def _get_asserted_key(asserted: AssertedVersion) -> _AggregateKey:
    return id(asserted.storage_adapter), asserted.event_store_id, asserted.aggregate_id


def _refuse_force() -> NoReturn:
    raise ValueError("a command with an idempotency key does not push with force")
