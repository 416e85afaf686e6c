"""Adapters that read events wrongly are caught."""

from typing import Any

from castore_in_memory import (
    InMemoryEventStorageAdapter,
)
from castore_test_tools import (
    EventStorageAdapterTests,
)


class LimitIgnored(InMemoryEventStorageAdapter):
    """Reads more events than were asked for."""

    caught_by = EventStorageAdapterTests.test_a_limit_takes_the_first_events

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the limit."""
        options["limit"] = None
        return await super().get_events(event_store_id, aggregate_id, **options)


class LimitBeforeOrder(InMemoryEventStorageAdapter):
    """Takes the first events, and reverses them then."""

    caught_by = EventStorageAdapterTests.test_a_limit_in_reverse_takes_the_last

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Reverse last."""
        reverse = options.pop("reverse", False)
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return found[::-1] if reverse else found


class ReverseIgnored(InMemoryEventStorageAdapter):
    """Reads forwards only."""

    caught_by = EventStorageAdapterTests.test_reverse_begins_with_the_greatest

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the direction."""
        return await super().get_events(
            event_store_id, aggregate_id, **options | {"reverse": False}
        )


class BoundExclusive(InMemoryEventStorageAdapter):
    """Stops before the greatest version."""

    caught_by = EventStorageAdapterTests.test_bounds_are_inclusive

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("max_version") is not None:
            options["max_version"] -= 1
        return await super().get_events(event_store_id, aggregate_id, **options)


class VersionsAreTexts(InMemoryEventStorageAdapter):
    """Orders 10 before 9."""

    caught_by = EventStorageAdapterTests.test_versions_are_numbers

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort texts."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: str(each.version))


class TimestampsOrder(InMemoryEventStorageAdapter):
    """Orders events by time."""

    caught_by = EventStorageAdapterTests.test_timestamps_do_not_order_events

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Sort moments."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return sorted(found, key=lambda each: each.timestamp)


class FirstPageOnly(InMemoryEventStorageAdapter):
    """Reads what its backend returns at once, and asks for no more."""

    caught_by = EventStorageAdapterTests.test_many_events

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Stop after 1,000 events."""
        return (await super().get_events(event_store_id, aggregate_id, **options))[:1000]


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
