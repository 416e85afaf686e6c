"""Adapters that read events wrongly."""

from decimal import Decimal
from typing import Any, cast

from castore_core import EventRecord
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)


class LimitIgnored(InMemoryEventStorageAdapter):
    """Reads more events than were asked for."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the limit."""
        options["limit"] = None
        return await super().get_events(event_store_id, aggregate_id, **options)


class LimitBeforeOrder(InMemoryEventStorageAdapter):
    """Takes the first events, and reverses them then."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Reverse last."""
        reverse = options.pop("reverse", False)
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return found[::-1] if reverse else found


class ReverseIgnored(InMemoryEventStorageAdapter):
    """Reads forwards only."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the direction."""
        return await super().get_events(
            event_store_id, aggregate_id, **options | {"reverse": False}
        )


class BoundExclusive(InMemoryEventStorageAdapter):
    """Stops before the greatest version."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("max_version") is not None:
            options["max_version"] -= 1
        return await super().get_events(event_store_id, aggregate_id, **options)


class VersionsAreTexts(InMemoryEventStorageAdapter):
    """Orders 10 before 9."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort texts."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: str(each.version))


class TimestampsOrder(InMemoryEventStorageAdapter):
    """Orders events by time."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort moments."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: each.timestamp)


class FirstPageOnly(InMemoryEventStorageAdapter):
    """Reads what its backend returns at once, and asks for no more."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Stop after 1,000 events."""
        return (await super().get_events(event_store_id, aggregate_id, **options))[:1000]


class LimitBeforeBounds(InMemoryEventStorageAdapter):
    """Counts the events that are below the bound."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Apply the bound last."""
        least = options.pop("min_version", None)
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [each for each in found if least is None or each.version >= least]


class ZeroIsNoBound(InMemoryEventStorageAdapter):
    """Tests a bound for truth."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop a bound of 0."""
        options["max_version"] = options.get("max_version") or None
        return await super().get_events(event_store_id, aggregate_id, **options)


class OrderOfPushes(InMemoryEventStorageAdapter):
    """Reads events in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._pushed: list[int] = []

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember."""
        await super().push_event(event_store_id, record, force=force)
        self._pushed.append(record.version)

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: self._pushed.index(each.version))


class VersionsAreDecimals(InMemoryEventStorageAdapter):
    """Gives versions out as its backend does."""

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> list[EventRecord]:
        """Forget to convert."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [each._replace(version=cast("int", Decimal(each.version))) for each in found]
