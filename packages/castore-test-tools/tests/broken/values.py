"""Adapters that change values, or mix up ids,."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from castore_core import (
    ABSENT,
    AggregateIdsSlice,
    EventRecord,
    StorageError,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)


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


class AbsentIsNull(Rewriting):
    """Has one way to say that there is nothing."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store null."""
        return record._replace(payload=None) if record.payload is ABSENT else record


class NullIsAbsent(Rewriting):
    """Has one way to say that there is nothing."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store nothing."""
        return record._replace(metadata=ABSENT) if record.metadata is None else record


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


def to_decimal(value: Any) -> Any:
    """Return a number as some backends do."""
    return Decimal(value) if type(value) in {int, float} else value


class BooleansAreNumbers(Rewriting):
    """Has no booleans."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store 1 for true."""
        value = map_scalars(record.payload, lambda x: int(x) if isinstance(x, bool) else x)
        return record._replace(payload=value)


class IntegersAreDoubles(Rewriting):
    """Has the numbers of JavaScript."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store floats of integral value as integers, rounded."""
        value = map_scalars(record.payload, lambda x: int(float(x)) if type(x) is int else x)
        return record._replace(payload=value)


class IntegralFloatsAreIntegers(Rewriting):
    """Has one kind of numbers, and does not declare it."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Store 1 for 1.0."""
        value = map_scalars(
            record.payload, lambda x: int(x) if type(x) is float and x.is_integer() else x
        )
        return record._replace(payload=value)


class TextsEndAtNul(Rewriting):
    """Cuts texts as C does."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        value = map_scalars(
            record.metadata, lambda x: x.partition("\0")[0] if isinstance(x, str) else x
        )
        return record._replace(metadata=value)


class FloatsAreRounded(Rewriting):
    """Writes floats with the digits that are surely right."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Round."""
        value = map_scalars(
            record.metadata, lambda x: float(f"{x:.15g}") if isinstance(x, float) else x
        )
        return record._replace(metadata=value)


class TimestampsAreSeconds(Rewriting):
    """Has no milliseconds."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        return record._replace(timestamp=record.timestamp.replace(microsecond=0))


class IdsAreShort(InMemoryEventStorageAdapter):
    """Has a column of 255 characters for ids, and does not declare it."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Refuse a longer one."""
        if len(record.aggregate_id) > 255:
            raise StorageError("value too long for type character varying(255)")
        await super().push_event(event_store_id, record, force=force)


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


class ReferenceGivenOut(InMemoryEventStorageAdapter):
    """Remembers what it read, and gives the same value out again."""

    _read: Any = None

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read once."""
        if self._read is None:
            self._read = await super().get_events(event_store_id, aggregate_id, **options)
        return self._read


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


class StoresMixedUp(Renaming):
    """Does not look at the store."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Drop the store."""
        return event_store_id[:0] or "ALL", aggregate_id


class StoresAreTrimmed(Renaming):
    """Drops spaces at the end of names."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Trim."""
        return event_store_id.rstrip(" "), aggregate_id


class IdsAreJoined(Renaming):
    """Joins the ids with a character that ids may hold."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Join."""
        return "ALL", f"{event_store_id}#{aggregate_id}"


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


class AggregatesMixedUp(Renaming):
    """Does not look at the aggregate."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Drop the aggregate."""
        return event_store_id, aggregate_id[:0] or "all"


class TypesAreCut(Rewriting):
    """Has a column of 100 characters."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        return record._replace(type=record.type[:100])


class TypesAreFolded(Rewriting):
    """Has no capital letters."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Fold."""
        return record._replace(type=record.type.casefold())


class TextsAreCut(Rewriting):
    """Has a column of 64 KB."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Cut."""
        value = map_scalars(record.payload, lambda x: x[:65_535] if isinstance(x, str) else x)
        return record._replace(payload=value)


class DecimalLeaks(InMemoryEventStorageAdapter):
    """Gives out the numbers of its backend."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return decimals."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [each._replace(payload=map_scalars(each.payload, to_decimal)) for each in found]


class TypesAreTrimmed(Rewriting):
    """Stores event types in a column of a fixed width."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Trim them."""
        return record._replace(type=record.type.rstrip())


class RecordChanged(Rewriting):
    """Prepares a payload in place, so that it is equal to what was pushed."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Change the caller's object."""
        if isinstance(record.payload, dict):
            record.payload.update(map_scalars(record.payload, to_text))
        if isinstance(record.payload, list):
            record.payload[:] = map_scalars(record.payload, to_text)
        return record


def to_text(value: Any) -> Any:
    """Return a fraction as a text."""
    return str(value) if isinstance(value, float) else value


class ListsFoldStores(InMemoryEventStorageAdapter):
    """Lists the aggregates of all stores whose names are alike but for their case."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Add them."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        alike = [each for each in self._lists if each.casefold() == event_store_id.casefold()]
        others = [
            await super(ListsFoldStores, self).list_aggregate_ids(each)
            for each in alike
            if each != event_store_id
        ]
        more = [listed for each in others for listed in each.aggregates]
        return AggregateIdsSlice([*found.aggregates, *more], found.cursor)
