"""The suites bite: each of these adapters breaks one rule, and is caught by the test meant for it.

The suites run in a pytest of their own, without any configuration.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import pytest

from castore_core import (
    ABSENT,
    AggregateIdsSlice,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    ListedAggregate,
    LogEntry,
    Snapshot,
)
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemorySnapshotStorageAdapter,
)
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventLogTests,
    EventStorageAdapterTests,
    SnapshotStorageAdapterTests,
)

T = TypeVar("T", bound=type)

SUITES: dict[str, type[object]] = {}
CAUGHT_BY: dict[str, str] = {}


def make_suite(name: str, suite: type[object], adapter_class: Callable[[], object]) -> None:
    """Add a suite that runs on an adapter."""

    @pytest.fixture
    def adapter(_: object) -> object:
        return adapter_class()

    SUITES[name] = type(name, (suite,), {"adapter": adapter})


def caught_by(suite: type[object], test: str) -> Callable[[T], T]:
    """Say which test of which suite is meant to catch an adapter."""

    def register(adapter_class: T) -> T:
        name = f"Test{adapter_class.__name__}"
        assert name not in SUITES
        make_suite(name, suite, adapter_class)
        CAUGHT_BY[name] = test
        return adapter_class

    return register


# Reading


@caught_by(EventStorageAdapterTests, "test_a_limit_takes_the_first_events")
class LimitIgnored(InMemoryEventStorageAdapter):
    """Reads more events than were asked for."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the limit."""
        return await super().get_events(event_store_id, aggregate_id, **options | {"limit": None})


@caught_by(EventStorageAdapterTests, "test_a_limit_in_reverse_takes_the_last")
class LimitBeforeOrder(InMemoryEventStorageAdapter):
    """Takes the first events, and reverses them then."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Reverse last."""
        reverse = options.pop("reverse", False)
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return found[::-1] if reverse else found


@caught_by(EventStorageAdapterTests, "test_reverse_begins_with_the_greatest")
class ReverseIgnored(InMemoryEventStorageAdapter):
    """Reads forwards only."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the direction."""
        return await super().get_events(
            event_store_id, aggregate_id, **options | {"reverse": False}
        )


@caught_by(EventStorageAdapterTests, "test_bounds_are_inclusive")
class BoundExclusive(InMemoryEventStorageAdapter):
    """Stops before the greatest version."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("max_version") is not None:
            options["max_version"] -= 1
        return await super().get_events(event_store_id, aggregate_id, **options)


@caught_by(EventStorageAdapterTests, "test_versions_are_numbers")
class VersionsAreTexts(InMemoryEventStorageAdapter):
    """Orders 10 before 9."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort texts."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: str(each.version))


@caught_by(EventStorageAdapterTests, "test_timestamps_do_not_order_events")
class TimestampsOrder(InMemoryEventStorageAdapter):
    """Orders events by time."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort moments."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: each.timestamp)


@caught_by(EventStorageAdapterTests, "test_many_events")
class FirstPageOnly(InMemoryEventStorageAdapter):
    """Reads what its backend returns at once, and asks for no more."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Stop after 1,000 events."""
        return (await super().get_events(event_store_id, aggregate_id, **options))[:1000]


# Pushing


@caught_by(EventStorageAdapterTests, "test_a_taken_version_is_refused")
class LastWriteWins(InMemoryEventStorageAdapter):
    """Overwrites what is there."""

    async def push_event(self, event_store_id: str, record: EventRecord, **_: Any) -> None:
        """Force."""
        await super().push_event(event_store_id, record, force=True)


@caught_by(EventStorageAdapterTests, "test_a_refused_push_changes_nothing")
class RefusesAfterWriting(InMemoryEventStorageAdapter):
    """Raises the conflict, but too late."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write before the check."""
        is_taken = not force and record.version in {
            each.version for each in await self.get_events(event_store_id, record.aggregate_id)
        }
        await super().push_event(event_store_id, record, force=True)
        if is_taken:
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)


@caught_by(EventStorageAdapterTests, "test_one_of_many_writers_wins")
class CheckThenWrite(InMemoryEventStorageAdapter):
    """Lets others in between the check and the write."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Pause."""
        if not force:
            found = await self.get_events(event_store_id, record.aggregate_id)
            if record.version in {each.version for each in found}:
                raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        await asyncio.sleep(0)
        await super().push_event(event_store_id, record, force=True)


@caught_by(EventStorageAdapterTests, "test_force_replaces_an_event")
class ForceIgnored(InMemoryEventStorageAdapter):
    """Keeps the event that is there, and says nothing."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Swallow the conflict."""
        try:
            await super().push_event(event_store_id, record)
        except EventAlreadyExistsError:
            if not force:
                raise


@caught_by(EventStorageAdapterTests, "test_force_removes_fields")
class ForceMerges(InMemoryEventStorageAdapter):
    """Keeps the old payload where the new event has none."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Take over what is absent."""
        for each in await self.get_events(event_store_id, record.aggregate_id):
            if force and each.version == record.version and record.payload is ABSENT:
                record = record._replace(payload=each.payload)
        await super().push_event(event_store_id, record, force=force)


@caught_by(EventStorageAdapterTests, "test_force_moves_an_aggregate")
class ForceLeavesTheList(InMemoryEventStorageAdapter):
    """Lists the first initial timestamp that an aggregate had."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[str, str], ListedAggregate] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember."""
        listed = ListedAggregate(record.aggregate_id, record.timestamp)
        self._first.setdefault((event_store_id, record.aggregate_id), listed)
        await super().push_event(event_store_id, record, force=force)

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """List what was remembered."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        old = [self._first[event_store_id, each.aggregate_id] for each in found.aggregates]
        return AggregateIdsSlice(sorted(old, key=lambda each: each[::-1]), found.cursor)


class KeywordOnlyError(EventAlreadyExistsError):
    """An error that does not pickle."""

    def __init__(self, *, store: str, aggregate: str, version: int) -> None:
        super().__init__(store, aggregate, version)


@caught_by(EventStorageAdapterTests, "test_a_conflict_pickles")
class ConflictDoesNotPickle(InMemoryEventStorageAdapter):
    """Raises an error of its own."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Raise another error."""
        try:
            await super().push_event(event_store_id, record, force=force)
        except EventAlreadyExistsError as error:
            raise KeywordOnlyError(
                store=error.event_store_id, aggregate=error.aggregate_id, version=error.version
            ) from error


@caught_by(EventStorageAdapterTests, "test_one_event_loop_after_the_other")
class OneEventLoopOnly(InMemoryEventStorageAdapter):
    """Keeps the event loop of its first push."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        await super().push_event(event_store_id, record, force=force)


@caught_by(EventStorageAdapterTests, "test_a_cancelled_push_is_whole_or_absent")
class CancelledInTheMiddle(InMemoryEventStorageAdapter):
    """Writes an event in two steps."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write the metadata after a pause."""
        await super().push_event(event_store_id, record._replace(metadata=ABSENT), force=force)
        await asyncio.sleep(0)
        await super().push_event(event_store_id, record, force=True)


# Values


class Rewriting(InMemoryEventStorageAdapter):
    """Changes what is pushed."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Return what is stored instead."""
        return record

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Push something else."""
        await super().push_event(event_store_id, self.rewrite(record), force=force)


@caught_by(EventStorageAdapterTests, "test_absent_is_not_null")
class AbsentIsNull(Rewriting):
    """Has one way to say that there is nothing."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store null."""
        return record._replace(payload=None) if record.payload is ABSENT else record


@caught_by(EventStorageAdapterTests, "test_absent_is_not_null")
class NullIsAbsent(Rewriting):
    """Has one way to say that there is nothing."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store nothing."""
        return record._replace(metadata=ABSENT) if record.metadata is None else record


@caught_by(EventStorageAdapterTests, "test_json")
class FalsyIsAbsent(Rewriting):
    """Tests a payload for truth."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Drop zero, false and what is empty."""
        return record._replace(payload=record.payload or ABSENT)


def map_scalars(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with the leaves changed."""
    if isinstance(value, dict):
        return {key: map_scalars(item, change) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [map_scalars(item, change) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return change(value)


@caught_by(EventStorageAdapterTests, "test_json")
class BooleansAreNumbers(Rewriting):
    """Has no booleans."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store 1 for true."""
        value = map_scalars(record.payload, lambda x: int(x) if isinstance(x, bool) else x)
        return record._replace(payload=value)


@caught_by(EventStorageAdapterTests, "test_json")
class IntegersAreDoubles(Rewriting):
    """Has the numbers of JavaScript."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store floats of integral value as integers, rounded."""
        value = map_scalars(record.payload, lambda x: int(float(x)) if type(x) is int else x)
        return record._replace(payload=value)


@caught_by(EventStorageAdapterTests, "test_json")
class IntegralFloatsAreIntegers(Rewriting):
    """Has one kind of numbers, and does not declare it."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store 1 for 1.0."""
        value = map_scalars(
            record.payload, lambda x: int(x) if type(x) is float and x.is_integer() else x
        )
        return record._replace(payload=value)


@caught_by(EventStorageAdapterTests, "test_any_json")
class TextsAreTrimmed(Rewriting):
    """Cuts texts at NUL, as C does."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        value = map_scalars(
            record.metadata, lambda x: x.partition("\0")[0] if isinstance(x, str) else x
        )
        return record._replace(metadata=value)


@caught_by(EventStorageAdapterTests, "test_timestamps")
class TimestampsAreSeconds(Rewriting):
    """Has no milliseconds."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        return record._replace(timestamp=record.timestamp.replace(microsecond=0))


@caught_by(EventStorageAdapterTests, "test_no_reference_is_kept")
class ReferenceKept(InMemoryEventStorageAdapter):
    """Keeps the value that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[tuple[str, str, int], EventRecord] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Keep the record."""
        await super().push_event(event_store_id, record, force=force)
        self._records[event_store_id, record.aggregate_id, record.version] = record

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return the records."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [self._records[event_store_id, aggregate_id, each.version] for each in found]


@caught_by(EventStorageAdapterTests, "test_no_reference_is_given_out")
class ReferenceGivenOut(InMemoryEventStorageAdapter):
    """Remembers what it read, and gives the same value out again."""

    _read: Any = None

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read once."""
        if self._read is None:
            self._read = await super().get_events(event_store_id, aggregate_id, **options)
        return self._read


@caught_by(EventStorageAdapterTests, "test_aggregate_ids_are_data")
class IdsAreFolded(InMemoryEventStorageAdapter):
    """Compares ids without regard to case."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Fold."""
        folded = record._replace(aggregate_id=record.aggregate_id.casefold())
        await super().push_event(event_store_id, folded, force=force)

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Fold."""
        return await super().get_events(event_store_id, aggregate_id.casefold(), **options)


class Renaming(InMemoryEventStorageAdapter):
    """Has one space of names."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Return the place where events of an aggregate are."""
        return event_store_id, aggregate_id

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Push to that place."""
        place = self.rename(event_store_id, record.aggregate_id)
        await super().push_event(place[0], record._replace(aggregate_id=place[1]), force=force)

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read from that place."""
        found = await super().get_events(*self.rename(event_store_id, aggregate_id), **options)
        return [each._replace(aggregate_id=aggregate_id) for each in found]


@caught_by(EventStorageAdapterTests, "test_a_version_is_taken_in_its_aggregate_only")
class StoresMixedUp(Renaming):
    """Does not look at the store."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Drop the store."""
        return event_store_id[:0] or "ALL", aggregate_id


@caught_by(EventStorageAdapterTests, "test_event_store_ids_are_data")
class StoresAreTrimmed(Renaming):
    """Drops spaces at the end of names."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Trim."""
        return event_store_id.rstrip(" "), aggregate_id


@caught_by(EventStorageAdapterTests, "test_any_two_ids_are_kept_apart")
class IdsAreJoined(Renaming):
    """Joins the ids with a character that ids may hold."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Join."""
        return "ALL", f"{event_store_id}#{aggregate_id}"


@caught_by(EventStorageAdapterTests, "test_a_store_whose_id_begins_with_anothers")
class ListsByPrefix(InMemoryEventStorageAdapter):
    """Looks for stores whose name begins with the one that was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._stores: set[str] = set()

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember the store, by its name and a letter less."""
        await super().push_event(event_store_id, record, force=force)
        self._stores.add(event_store_id)

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """List them all."""
        slices = [
            await super(ListsByPrefix, self).list_aggregate_ids(each, **options)
            for each in sorted(self._stores)
            if event_store_id.startswith(each)
        ]
        return AggregateIdsSlice([each for found in slices for each in found.aggregates])


# Groups


@caught_by(EventStorageAdapterTests, "test_a_group_with_a_clash_is_refused")
class GroupNotAtomic(InMemoryEventStorageAdapter):
    """Pushes the events of a group one after the other."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Push each."""
        for event_store_id, record, adapter in group:
            await adapter.push_event(event_store_id, record, force=force)


@caught_by(EventStorageAdapterTests, "test_a_group_with_a_clash_is_refused")
class GroupNamesItsFirst(InMemoryEventStorageAdapter):
    """Does not know which event of a group clashed."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Name the first."""
        try:
            await super().push_event_group(group, force=force)
        except EventAlreadyExistsError as error:
            store_id, record, _ = group[0]
            raise EventAlreadyExistsError(store_id, record.aggregate_id, record.version) from error


@caught_by(EventStorageAdapterTests, "test_force_replaces_the_events_of_a_group")
class GroupForceIgnored(InMemoryEventStorageAdapter):
    """Forces no group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **_: Any) -> None:
        """Drop the option."""
        await super().push_event_group(group)


@caught_by(EventStorageAdapterTests, "test_a_group_of_several_stores")
class GroupOfOneStore(InMemoryEventStorageAdapter):
    """Takes the store of the first event for that of all."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Put all into one store."""
        first = group[0].event_store_id
        await super().push_event_group(
            [each._replace(event_store_id=first) for each in group], force=force
        )


@caught_by(EventStorageAdapterTests, "test_a_large_group")
class GroupLimitNotDeclared(InMemoryEventStorageAdapter):
    """Takes no more than 100 events."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Refuse more."""
        if len(group) > 100:
            raise InvalidEventGroupError("it has more than 100 events")
        await super().push_event_group(group, force=force)


@caught_by(EventStorageAdapterTests, "test_a_large_group_with_a_clash_at_its_end")
class GroupInParts(InMemoryEventStorageAdapter):
    """Writes a large group in several transactions."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write 100 at a time."""
        for start in range(0, len(group), 100):
            await super().push_event_group(group[start : start + 100], force=force)


@caught_by(EventStorageAdapterTests, "test_a_group_among_single_pushes")
class GroupWithoutLock(InMemoryEventStorageAdapter):
    """Checks all the events of a group, and writes them after a pause."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Pause."""
        for event_store_id, record, adapter in group:
            found = await adapter.get_events(event_store_id, record.aggregate_id)
            if not force and record.version in {each.version for each in found}:
                raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        await asyncio.sleep(0)
        await super().push_event_group(group, force=True)


@caught_by(EventStorageAdapterTests, "test_a_cancelled_group_is_whole_or_absent")
class GroupCancelledInTheMiddle(GroupNotAtomic):
    """Can be cancelled between two events of a group."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Pause."""
        await super().push_event(event_store_id, record, force=force)
        await asyncio.sleep(0)


# Listing


class Listing(InMemoryEventStorageAdapter):
    """Lists otherwise: pages by a rule of its own."""

    async def list_all(self, event_store_id: str, **options: Any) -> list[ListedAggregate]:
        """Return the whole list."""
        options |= {"limit": None, "cursor": None}
        return list((await super().list_aggregate_ids(event_store_id, **options)).aggregates)


@caught_by(EventStorageAdapterTests, "test_pages_hold_each_id_once")
class TiesLost(Listing):
    """Goes on after the timestamp of the last aggregate."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip what has the same timestamp."""
        found = await self.list_all(event_store_id, **options)
        if (cursor := options.get("cursor")) is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor).initial_event_timestamp
            is_reverse = options.get("reverse")
            found = [
                each
                for each in found
                if (each.initial_event_timestamp < last if is_reverse else each[1] > last)
            ]
        return AggregateIdsSlice.from_lookahead(found, options.get("limit"))


@caught_by(EventStorageAdapterTests, "test_pages_hold_each_id_once")
class EmptyLastPage(Listing):
    """Does not look whether anything follows."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Return a cursor with every full page."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if found.aggregates and len(found.aggregates) == options.get("limit"):
            return found._replace(cursor=found.aggregates[-1].to_cursor())
        return found


@caught_by(EventStorageAdapterTests, "test_pages_while_others_push")
class CursorIsAnOffset(Listing):
    """Counts how many aggregates were listed."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip so many."""
        found = await self.list_all(event_store_id, **options)
        start = options.get("cursor") or 0
        end = len(found) if options.get("limit") is None else start + options["limit"]
        return AggregateIdsSlice(found[start:end], end if end < len(found) else None)


@caught_by(EventStorageAdapterTests, "test_a_foreign_cursor_is_refused")
class CursorUnchecked(Listing):
    """Begins anew where it does not understand a cursor."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the cursor."""
        try:
            return await super().list_aggregate_ids(event_store_id, **options)
        except ValueError:
            return await super().list_aggregate_ids(event_store_id)


@caught_by(EventStorageAdapterTests, "test_reverse_is_the_exact_reverse")
class TiesNotReversed(Listing):
    """Reverses the timestamps only."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort ties forwards."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if options.get("reverse"):
            by_id = sorted(found.aggregates)
            return found._replace(aggregates=sorted(by_id, key=lambda each: each[1], reverse=True))
        return found


@caught_by(EventStorageAdapterTests, "test_bounds_of_the_list_are_inclusive")
class ListBoundExclusive(Listing):
    """Stops before the bound."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("initial_event_before") is not None:
            options["initial_event_before"] -= timedelta(milliseconds=1)
        return await super().list_aggregate_ids(event_store_id, **options)


@caught_by(EventStorageAdapterTests, "test_the_list_is_ordered_by_initial_timestamp")
class ListOrderedById(Listing):
    """Lists in alphabetical order."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=sorted(found.aggregates))


@caught_by(EventStorageAdapterTests, "test_aggregates_without_version_1_are_not_listed")
class ListsWhateverIsPushed(ForceLeavesTheList):
    """Lists an aggregate from its first push on."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """List all that was pushed to."""
        await super().list_aggregate_ids(event_store_id, **options)
        pushed = [each for (store_id, _), each in self._first.items() if store_id == event_store_id]
        return AggregateIdsSlice(sorted(pushed, key=lambda each: each[::-1]))


@caught_by(EventStorageAdapterTests, "test_many_aggregates")
class FirstPageOfListOnly(Listing):
    """Lists what its backend returns at once."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Stop after 1,000."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=found.aggregates[:1000])


# The log


@caught_by(EventLogTests, "test_the_log_of_no_store")
class NoStoreIsEveryStore(InMemoryEventStorageAdapter):
    """Takes an empty list of stores for none given."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Test for truth."""
        return await super().read_events(event_store_ids or None, after_position, limit)


@caught_by(EventLogTests, "test_after_position_is_exclusive")
class AfterIsInclusive(InMemoryEventStorageAdapter):
    """Begins with the position that was read already."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Begin one position earlier."""
        return await super().read_events(event_store_ids, after_position - 1, limit)


@caught_by(EventLogTests, "test_the_log_of_some_stores")
class LimitBeforeFilter(InMemoryEventStorageAdapter):
    """Counts the events of other stores."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Filter last."""
        found = await super().read_events(None, after_position, limit)
        if event_store_ids is None:
            return found
        return [each for each in found if each.event_store_id in event_store_ids]


@caught_by(EventLogTests, "test_a_replaced_event_keeps_its_position")
class ReplacedGoesToTheEnd(InMemoryEventStorageAdapter):
    """Logs a forced event as the last one."""

    _moved: int | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember what was forced."""
        await super().push_event(event_store_id, record, force=force)
        self._moved = record.version if force else None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Put it last."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return sorted(found, key=lambda each: each.record.version == self._moved)


@caught_by(EventLogTests, "test_a_reader_skips_nothing_while_others_write")
class PositionsCommitLate(InMemoryEventStorageAdapter):
    """Shows some events a while after later ones, as a database sequence does."""

    def __init__(self) -> None:
        super().__init__()
        self._late: EventRecord | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Take a position, and show it a few turns later."""
        if record.aggregate_id == "a8":
            self._late = record
        await super().push_event(event_store_id, record, force=force)
        if self._late is record:
            for _ in range(5):
                await asyncio.sleep(0)
            self._late = None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Leave out what is not committed."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return [each for each in found if each.record != self._late]


# Snapshots


class Snapshots(InMemorySnapshotStorageAdapter):
    """Reads otherwise."""

    async def read(self, snapshot: Snapshot) -> Snapshot | None:
        """Return the snapshot of a line and version at most."""
        return await super().get_snapshot(
            snapshot.event_store_id,
            snapshot.aggregate_id,
            reducer_version=snapshot.reducer_version,
            max_version=snapshot.version,
        )


@caught_by(SnapshotStorageAdapterTests, "test_the_greatest_version_is_read")
class LastPutWins(Snapshots):
    """Keeps the last snapshot that was put."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the others."""
        await self.delete_snapshots(snapshot.event_store_id, snapshot.aggregate_id)
        await super().put_snapshot(snapshot)


@caught_by(SnapshotStorageAdapterTests, "test_the_greatest_version_of_a_snapshot_is_inclusive")
class GreatestVersionIgnored(Snapshots):
    """Reads snapshots of a later time."""

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the bound."""
        options["max_version"] = None
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


@caught_by(SnapshotStorageAdapterTests, "test_reducers_have_snapshots_of_their_own")
class ReducersMixedUp(Snapshots):
    """Uses the snapshots of any reducer."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the reducer."""
        await super().put_snapshot(snapshot._replace(reducer_version="any"))

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Ignore the reducer."""
        options["reducer_version"] = "any"
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


@caught_by(SnapshotStorageAdapterTests, "test_a_snapshot_is_replaced")
class FirstPutWins(Snapshots):
    """Does not replace."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Look first."""
        found = await self.read(snapshot)
        if found is None or found.version != snapshot.version:
            await super().put_snapshot(snapshot)


@caught_by(SnapshotStorageAdapterTests, "test_the_snapshots_of_an_aggregate_are_deleted")
class DeletesTheStore(Snapshots):
    """Deletes too much."""

    async def delete_snapshots(self, event_store_id: str, aggregate_id: str | None = None) -> None:
        """Drop the aggregate."""
        await super().delete_snapshots(event_store_id, None and aggregate_id)


# Bookmarks


@caught_by(BookmarkStorageAdapterTests, "test_who_does_not_hold_the_lease_does_not_move")
class LeaseUnchecked(InMemoryBookmarkStorageAdapter):
    """Lets anybody move a bookmark."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, int] = {}

    async def get_position(self, bookmark_id: str) -> int:
        """Return the last position of anybody."""
        return self._last.get(bookmark_id, 0)

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Write before the check."""
        self._last[bookmark_id] = position
        await super().set_position(bookmark_id, position, owner=owner)


@caught_by(BookmarkStorageAdapterTests, "test_nobody_gives_back_the_lease_of_another")
class AnybodyReleases(InMemoryBookmarkStorageAdapter):
    """Gives back whatever lease there is."""

    _owner = ""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember the owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner if is_taken else self._owner
        return is_taken

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Release for the owner."""
        await super().release_lease(bookmark_id, self._owner)


@caught_by(BookmarkStorageAdapterTests, "test_a_lease_is_extended")
class LeaseNotExtended(InMemoryBookmarkStorageAdapter):
    """Says yes to the owner, and leaves the end as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, str] = {}

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Do nothing for the owner."""
        if self._owners.get(bookmark_id) == owner:
            return True
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        if is_taken:
            self._owners[bookmark_id] = owner
        return is_taken


@caught_by(BookmarkStorageAdapterTests, "test_who_let_a_lease_run_out_does_not_move")
class LeaseOfTheLastOwner(InMemoryBookmarkStorageAdapter):
    """Lets the last owner move, also when the time is over."""

    _owner = ""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember the owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner if is_taken else self._owner
        return is_taken

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Take the lease again for the last owner."""
        if owner == self._owner:
            await super().acquire_lease(bookmark_id, owner, timedelta(minutes=1))
        await super().set_position(bookmark_id, position, owner=owner)


@caught_by(BookmarkStorageAdapterTests, "test_one_of_many_gets_the_lease")
class LeaseRace(InMemoryBookmarkStorageAdapter):
    """Lets others in between looking and taking."""

    _owner: str | None = None

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Pause."""
        seen = self._owner
        await asyncio.sleep(0)
        if seen is not None:
            return await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner
        return True


# The pytest in which they are tested

make_suite("TestSoundStorage", EventStorageAdapterTests, InMemoryEventStorageAdapter)
make_suite("TestSoundLog", EventLogTests, InMemoryEventStorageAdapter)
make_suite("TestSoundSnapshots", SnapshotStorageAdapterTests, InMemorySnapshotStorageAdapter)
make_suite("TestSoundBookmarks", BookmarkStorageAdapterTests, InMemoryBookmarkStorageAdapter)
SOUND = [name for name in SUITES if name not in CAUGHT_BY]

INNER_TESTS = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("broken_adapters", {path!r})
broken_adapters = module_from_spec(spec)
spec.loader.exec_module(broken_adapters)
globals().update(broken_adapters.SUITES)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Run the suites, and return the message of each test's failure, empty where it passed."""
    folder = tmp_path_factory.mktemp("inner")
    inner = folder / "test_inner.py"
    inner.write_text(INNER_TESTS.format(path=__file__))
    caught = [f"{inner}::{name}::{test}" for name, test in CAUGHT_BY.items()]
    sound = [f"{inner}::{name}" for name in SOUND]
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", f"--junitxml={folder / 'report.xml'}"]
    command = [sys.executable, "-m", "pytest", *options, *caught, *sound]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    outcomes: dict[str, list[str]] = {name: [] for name in SUITES}
    for case in ET.parse(folder / "report.xml").iter("testcase"):  # noqa: S314 our own
        assert case.find("error") is None, run.stdout
        failure = case.find("failure")
        message = "" if failure is None else failure.get("message", "")
        outcomes[case.attrib["classname"].rpartition(".")[2]].append(message)
    return outcomes


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_broken_adapter_is_caught(outcomes: dict[str, list[str]], name: str) -> None:
    """The test that is meant for the rule fails, in one of its cases at least."""
    assert any(outcomes[name])


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_adapter_passes(outcomes: dict[str, list[str]], name: str) -> None:
    """All tests of a suite pass, in the strict mode of pytest-asyncio too."""
    assert {""} == set(outcomes[name])
    assert len(outcomes[name]) > 20


def test_a_failure_shows_its_values(outcomes: dict[str, list[str]]) -> None:
    """The asserts of the package are rewritten, however it is installed."""
    (message,) = outcomes["TestReverseIgnored"]
    assert "version=5" in message
    assert "At index 0 diff" in message
