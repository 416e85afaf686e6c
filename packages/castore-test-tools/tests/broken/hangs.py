"""Adapters that never return: a test ends all the same, and says its name."""

import asyncio
from typing import Any, Never

from castore_core import EventRecord
from castore_in_memory import InMemoryEventStorageAdapter


class NeverAnswers(InMemoryEventStorageAdapter):
    """Waits for an answer that does not come."""

    time_limit_of_suite = 0.2

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Wait."""
        await asyncio.Event().wait()


async def wait_in_spite_of_everything() -> Never:
    """Wait, and wait again when cancelled."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


class NeverAnswersOrEnds(InMemoryEventStorageAdapter):
    """Waits on when it is cancelled."""

    time_limit_of_suite = 0.2

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Wait."""
        await wait_in_spite_of_everything()


class NobodyAnswers(InMemoryEventStorageAdapter):
    """Waits for a task that waits on when it is cancelled."""

    time_limit_of_suite = 0.2

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Wait."""
        await asyncio.shield(asyncio.ensure_future(wait_in_spite_of_everything()))


class NeverEndsElsewhere(InMemoryEventStorageAdapter):
    """Waits on in the second event loop that it is used in."""

    time_limit_of_suite = 0.5
    _loop: asyncio.AbstractEventLoop | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Wait."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            await wait_in_spite_of_everything()
        await super().push_event(event_store_id, record, force=force)
