"""An adapter that is called as façades call it: from threads that have no event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
)
from castore_core.sync import EventLoopThread
from wrapped_storage import WrappedStorage

T = TypeVar("T")


class ThroughFacade(WrappedStorage):
    """Calls an adapter in an event loop thread, each time from a thread that waits for it.

    Records are copied before: a synchronous program changes nothing while it waits.

    Args:
        adapter: the asynchronous one.
        event_loop: where it runs.
    """

    def __init__(self, adapter: EventStorageAdapter, event_loop: EventLoopThread) -> None:
        super().__init__(adapter)
        self._event_loop = event_loop

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self._call(partial(super().push_event, event_store_id, deepcopy(record), force=force))

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write several events."""
        copied = [each._replace(record=deepcopy(each.record)) for each in group]
        await self._call(partial(super().push_event_group, copied, asserted=asserted, force=force))

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> Sequence[EventRecord]:
        """Read events."""
        return await self._call(
            partial(super().get_events, event_store_id, aggregate_id, **options)
        )

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> AggregateIdsSlice:
        """List aggregates."""
        return await self._call(partial(super().list_aggregate_ids, event_store_id, **options))

    async def _call(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # The coroutine is made in the thread: a call that is cancelled before has none to close.
        return await asyncio.to_thread(lambda: self._event_loop.run(call(), timeout=60))
