"""The snapshots of one event store: which ones are used, and how they are written."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

from castore_core._aggregate import A, AggregateCodec
from castore_core._background import BackgroundJobs, Job
from castore_core._checks import checked_aggregate_id, checked_integer
from castore_core._event import E, Event
from castore_core._json import JSONValue, check_json, copy_json
from castore_core._record import EventRecord
from castore_core._reducer import check_state
from castore_core._results import LoadedAggregate
from castore_core._snapshot_access import Found, Place, SnapshotAccess
from castore_core._snapshot_format import GENERATION_AT, Content, Generation, digest_event
from castore_core._snapshot_policy import SnapshotOccasion, SnapshotPolicy
from castore_core._sources import ReducerSources
from castore_core._storage import joins_transaction
from castore_core.errors import (
    EventAlreadyExistsError,
    InvalidEventGroupError,
    UndefinedAggregateCodecError,
    VersionGapError,
)

if TYPE_CHECKING:
    from castore_core._snapshots import Snapshots
    from castore_core._store import EventStore

_MOST_TRIES: Final = 5  # of snapshots that cannot be used, before all the events are read


class _Read(NamedTuple, Generic[E, A]):
    """An aggregate that was loaded, and what a snapshot of it would need.

    ``is_known`` says whether it is counted already why no snapshot was used.
    """

    place: Place
    loaded: LoadedAggregate[E, A]
    records: Sequence[EventRecord]
    generation: Generation | None
    is_known: bool


class _Start(NamedTuple, Generic[A]):
    """A snapshot that a load goes on from; ``event`` is the digest of its last event."""

    aggregate: A
    version: int
    event: str


class StoreSnapshots:
    """The snapshots of an event store, and of the same store on other storage adapters."""

    def __init__(
        self,
        snapshots: "Snapshots",
        policy: SnapshotPolicy,
        access: SnapshotAccess,
        jobs: BackgroundJobs,
    ) -> None:
        self.snapshots = snapshots
        self._policy = policy
        self.access = access
        self._jobs = jobs
        self._attached_at = time.time()
        self._version: str | None = snapshots.reducer_version
        self._is_resolved = self._version is not None

    def resolve(self, store: "EventStore[Any, Any]") -> str | None:
        """Return what names the reducer, or ``None`` where its source is another by now.

        Raises:
            UndefinedReducerVersionError: it cannot be computed.
        """
        if not self._is_resolved:
            sources = ReducerSources.of(store)
            if sources.changed_at < self._attached_at:
                self._version = sources.version
            else:  # it is that of the next process, which runs another reducer
                text = "the source of the reducer changed after it was loaded: none is used"
                self.access.count("outdated", store.event_store_id, text=text)
            self._is_resolved = True
        return self._version

    # Reading

    async def load(
        self, store: "EventStore[E, A]", aggregate_id: str, *, max_version: int | None
    ) -> LoadedAggregate[E, A]:
        """Load an aggregate, from a snapshot where one can be used."""
        max_version = checked_integer("max_version", max_version)
        read = await self._read(store, checked_aggregate_id(aggregate_id), max_version)
        loaded = read.loaded
        is_due = (
            max_version is None
            and loaded.last_event is not None
            and len(loaded.events) > 0
            and not joins_transaction(store.get_storage_adapter())
            and self._is_due(store, loaded.last_event, len(loaded.events))
        )
        if loaded.snapshot_version is not None:
            self.access.count("used", read.place)
        elif not read.is_known and loaded.events:
            is_outdated = is_due and await self.access.has_outdated(read.place)
            self.access.count("outdated" if is_outdated else "missing", read.place)
        if is_due and (job := self._prepare(store, read)) is not None:
            await self._run(read.place, job)
        return loaded

    async def _read(
        self, store: "EventStore[E, A]", aggregate_id: str, max_version: int | None
    ) -> _Read[E, A]:
        place = Place(store.event_store_id, aggregate_id, self.resolve(store) or "")
        bound = GENERATION_AT - 1 if max_version is None else min(max_version, GENERATION_AT - 1)
        if not place.reducer_version or bound == 0:
            records = await _get_records(store, place, None, max_version)
            return _Read(place, _build(store, records, len(records)), records, None, is_known=True)
        found, generation = await self.access.begin(place, bound)
        is_known, events_read, tries = found is not None, 0, 0
        if found is not None and generation is not None and not generation.is_open:
            self.access.count("invalidated", place)
            found = None
        while found is not None and tries < _MOST_TRIES:
            start = self._decode(store, place, found, generation)
            if start is not None:
                records = await _get_records(store, place, start.version, max_version)
                events_read += len(records)
                loaded = self._go_on(store, place, start, records, events_read)
                if loaded is not None:
                    return _Read(place, loaded, records, generation, is_known)
            if found.version is None or found.version == 1:
                break
            found, tries = await self.access.find(place, found.version - 1), tries + 1
        records = await _get_records(store, place, None, max_version)
        loaded = _build(store, records, events_read + len(records))
        return _Read(place, loaded, records, generation, is_known)

    def _decode(
        self, store: "EventStore[E, A]", place: Place, found: Found, generation: Generation | None
    ) -> _Start[A] | None:
        """Return where to go on from, if a snapshot may be used, as far as it tells by itself."""
        version, content = found
        if version is None or content is None:
            return None
        if generation != Generation(content.generation):
            self.access.count("invalidated", place)
            return None
        try:
            aggregate = _get_codec(store).decode(content.state)
            is_other = (aggregate.aggregate_id, aggregate.version) != (place.aggregate_id, version)
        except Exception as error:  # noqa: BLE001 the events answer
            self.access.count("undecodable", place, error)
            return None
        if is_other:
            self.access.count("undecodable", place, text="it is the state of something else")
            return None
        return _Start(aggregate, version, content.event)

    def _go_on(
        self,
        store: "EventStore[E, A]",
        place: Place,
        start: _Start[A],
        records: Sequence[EventRecord],
        events_read: int,
    ) -> LoadedAggregate[E, A] | None:
        """Return the aggregate after the events that follow a snapshot.

        The first event is the last one that the snapshot includes, so that it is compared.
        """
        if not records or records[0].version != start.version:
            self.access.count("ahead", place)
            return None
        if digest_event(records[0]) != start.event:
            self.access.count("replaced", place)
            return None
        try:
            return _build(store, records[1:], events_read, records[0], start.aggregate)
        except Exception as error:  # noqa: BLE001 if all the events fail as well, that is raised
            self.access.count("failed", place, error)
            return None

    # Writing

    def follow_push(self, store: "EventStore[E, A]", event: E) -> "asyncio.Task[None] | None":
        """Begin to write a snapshot after a push, where one is due; return what to wait for.

        The aggregate is loaded: the one that the push may know follows from a ``prev_aggregate``,
        of which the caller alone knows where it is from.
        """
        if joins_transaction(store.get_storage_adapter()) or not self._is_due(store, event, None):
            return None
        place = Place(store.event_store_id, event.aggregate_id)
        # The storage adapter of a copy is not set meanwhile.
        frozen = copy(store)
        job = partial(self._take, frozen, place, event.version)
        if self.snapshots.in_background:
            self._start(place, job)
            return None
        return self._jobs.launch(job)

    async def _take(self, store: "EventStore[Any, Any]", place: Place, version: int) -> None:
        try:
            read = await self._read(store, place.aggregate_id, version)
        except Exception as error:  # noqa: BLE001 a snapshot less
            self.access.count("not_written", place, error)
            return
        if read.loaded.events and (job := self._prepare(store, read)) is not None:
            await job()

    def _is_due(self, store: "EventStore[Any, Any]", event: Event, events_read: int | None) -> bool:
        try:
            return self._policy(SnapshotOccasion(store.event_store_id, event, events_read))
        except Exception as error:  # noqa: BLE001 a snapshot less
            place = Place(store.event_store_id, event.aggregate_id)
            self.access.count("not_written", place, error)
            return False

    def _prepare(self, store: "EventStore[E, A]", read: _Read[E, A]) -> Job | None:
        """Return the job that writes a snapshot: it does not look at the aggregate any more."""
        place, loaded, records, generation, _ = read
        if generation is None or loaded.aggregate is None:
            return None
        if not generation.is_open:
            return partial(self.access.unblock, place) if generation.is_stuck else None
        first = loaded.snapshot_version or 1
        if [each.version for each in records] != [*range(first, first + len(records))]:
            self.access.count("gaps", place)
            return None
        try:
            state = _encode(store, loaded.aggregate)
        except Exception as error:  # noqa: BLE001 a snapshot less
            self.access.count("not_written", place, error)
            return None
        if state is None:
            text = "the codec makes another aggregate of what it was given: none is written"
            self.access.count("not_faithful", place, text=text)
            return None
        content = Content(state[0], digest_event(records[-1]), generation.token)
        keep = self.snapshots.keep
        return partial(self.access.write, place, records[-1].version, content, keep=keep)

    async def _run(self, place: Place, job: Job) -> None:
        if self.snapshots.in_background:
            self._start(place, job)
        else:
            await asyncio.wait([self._jobs.launch(job)])

    def _start(self, place: Place, job: Job) -> None:
        if not self._jobs.start((id(self), place[:2]), job):
            self.access.count("dropped", place)


@asynccontextmanager
async def replacing(
    places: Iterable[tuple[StoreSnapshots | None, str, str, bool]],
) -> AsyncGenerator[None]:
    """Invalidate snapshots before and after a block that may replace events.

    A place is the snapshots, the ids of store and aggregate, and whether the write joins a
    transaction of the user's: that one may end at any time, and nobody tells.

    Raises:
        StorageError: the snapshots could not be invalidated. The block did not run.
    """
    found = {
        (id(snapshots.access), store_id, aggregate_id): (snapshots.access, joins)
        for snapshots, store_id, aggregate_id, joins in places
        if snapshots is not None
    }
    before = {key: await access.block(Place(*key[1:])) for key, (access, _) in found.items()}
    nothing_was_written: Exception | None = None
    try:
        yield
    except (EventAlreadyExistsError, InvalidEventGroupError, VersionGapError) as error:
        nothing_was_written = error
    for key, (access, joins) in found.items():
        if not joins:
            place = Place(*key[1:])
            try:
                await access.open(place, before[key])
            except Exception as error:  # noqa: BLE001 it stays without snapshots for a while
                access.count("not_written", place, error)
    if nothing_was_written is not None:
        raise nothing_was_written


async def _get_records(
    store: "EventStore[Any, Any]", place: Place, min_version: int | None, max_version: int | None
) -> Sequence[EventRecord]:
    return await store.get_storage_adapter().get_events(
        *place[:2], min_version=min_version, max_version=max_version
    )


def _build(
    store: "EventStore[E, A]",
    records: Sequence[EventRecord],
    events_read: int,
    last_record: EventRecord | None = None,
    aggregate: A | None = None,
) -> LoadedAggregate[E, A]:
    """Build an aggregate from events, and from the one before them."""
    events = tuple([store.event_from_record(each) for each in records])
    snapshot_version = None if aggregate is None else aggregate.version
    last_event = events[-1] if events else None
    if last_event is not None:
        aggregate = check_state(store, last_event, store.build_aggregate(events, aggregate))
    elif last_record is not None:
        last_event = store.event_from_record(last_record)
    return LoadedAggregate(
        aggregate,
        events,
        last_event,
        snapshot_version=snapshot_version,
        events_read=events_read,
    )


def _encode(store: "EventStore[E, A]", aggregate: A) -> tuple[JSONValue] | None:
    """Return an aggregate as a value of its own, or ``None`` where another one would be read."""
    codec = _get_codec(store)
    encoded = codec.encode(aggregate)
    check_json(encoded, "aggregate")
    encoded = copy_json(encoded)
    decoded = codec.decode(copy_json(encoded))
    if type(aggregate).__eq__ is object.__eq__:  # it has no equals
        is_same = codec.encode(decoded) == encoded
    else:
        is_same = type(decoded) is type(aggregate) and bool(decoded == aggregate)
    return (encoded,) if is_same else None


def _get_codec(store: "EventStore[E, A]") -> AggregateCodec[A]:
    codec = store.aggregate_codec
    if codec is None:
        raise UndefinedAggregateCodecError(store.event_store_id)
    return codec
