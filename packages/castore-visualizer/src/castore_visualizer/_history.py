"""The history of an aggregate: a window of its events, and its state at any of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from castore_core import (
    ABSENT,
    Absent,
    CastoreError,
    EventRecord,
    EventStore,
    JSONValue,
    format_error,
)
from castore_core.display import to_json_state
from castore_visualizer._masking import Field, Masking

WINDOW: Final = 100
"""How many events of an aggregate are shown at once."""


class Position(NamedTuple):
    """A version of an aggregate, and how many it has."""

    version: int
    last_version: int

    @property
    def first_shown(self) -> int:
        """The first version of the window that has this one."""
        return max(self.version - 1, 0) // WINDOW * WINDOW + 1

    @property
    def last_shown(self) -> int:
        """The last version of the window."""
        return min(self.first_shown + WINDOW - 1, self.last_version)


@dataclass(frozen=True)
class State:
    """An aggregate at some version, as JSON; ``failure`` says why it is not known."""

    value: JSONValue | Absent = ABSENT
    failure: str | None = None


async def find_last_version(store: EventStore, aggregate_id: str) -> int:
    """Return the version of the last event, or 0 where there is none."""
    found = await store.get_storage_adapter().get_events(
        store.event_store_id, aggregate_id, reverse=True, limit=1
    )
    return found[0].version if found else 0


async def find_version_at(
    store: EventStore, aggregate_id: str, moment: datetime, last_version: int
) -> int:
    """Return the version that an aggregate had at a moment, or 0 before its first event.

    It is found by bisection: where timestamps do not rise with the versions, it is one of several
    that may be meant.
    """
    low, high = 0, last_version
    while low < high:
        middle = (low + high + 1) // 2
        record = await get_record(store, aggregate_id, middle)
        if record is None or record.timestamp <= moment:
            low = middle
        else:
            high = middle - 1
    return low


async def get_record(store: EventStore, aggregate_id: str, version: int) -> EventRecord | None:
    """Return the stored event of a version."""
    found = await get_window(store, aggregate_id, version, version)
    return found[0] if found else None


async def get_window(
    store: EventStore, aggregate_id: str, first: int, last: int
) -> Sequence[EventRecord]:
    """Return the stored events between two versions, inclusive, as they are stored."""
    return await store.get_storage_adapter().get_events(
        store.event_store_id, aggregate_id, min_version=first, max_version=last
    )


class States:
    """Computes the states of an aggregate, for showing them."""

    def __init__(self, store: EventStore, masking: Masking, aggregate_id: str) -> None:
        self._store = store
        self._masking = masking
        self._aggregate_id = aggregate_id

    async def load(self, version: int) -> State:
        """Return the state after the event of a version; 0 is before the first one.

        Nothing is written: loads up to a version make no snapshots.
        """
        if version < 1:
            return State()
        try:
            loaded = await self._store.get_aggregate(self._aggregate_id, max_version=version)
            return self._show(loaded.aggregate)
        except Exception as error:  # noqa: BLE001 reducers, upcasters and codecs are the user's
            return self._fail(error)

    async def load_step(self, version: int) -> tuple[State, State]:
        """Return the states before and after the event of a version; the events are read once."""
        if version < 1:
            return State(), State()
        try:
            loaded = await self._store.get_aggregate(self._aggregate_id, max_version=version - 1)
            before = self._show(loaded.aggregate)  # copied, before a reducer may change it
        except Exception as error:  # noqa: BLE001 as above
            failed = self._fail(error)
            return failed, await self.load(version)
        try:
            events = await self._store.get_events(
                self._aggregate_id, min_version=version, max_version=version
            )
            after = self._store.build_aggregate(events, loaded.aggregate)
            return before, self._show(after)
        except Exception as error:  # noqa: BLE001 as above
            return before, self._fail(error)

    async def load_at(self, moment: datetime) -> State:
        """Return the state at a moment, as `EventStore.simulate_aggregate` has it."""
        try:
            events = await self._store.get_events(self._aggregate_id)
            return self._show(self._store.simulate_aggregate(events, at=moment))
        except Exception as error:  # noqa: BLE001 as above
            return self._fail(error)

    def _show(self, aggregate: object) -> State:
        if aggregate is None:
            return State()
        value = to_json_state(self._store, aggregate)
        field = Field(self._store.event_store_id, None, ("aggregate",))
        return State(self._masking.apply(field, value))

    def _fail(self, error: Exception) -> State:
        text = str(error) if isinstance(error, CastoreError) else format_error(error)
        store_id = self._store.event_store_id
        return State(failure=self._masking.apply_to_text(store_id, "error", text))
