"""Event logs that are given the client of a server: a sound one, and broken ones."""

import asyncio
from collections.abc import Sequence

from castore_core import LOG_START, LogPosition, LogSlice
from castore_test_tools import EventLogTests

from .remote import Client, ErrorsAreNotTranslated, EventServer, RemoteEvents, RemoteHooks


class RemoteLog(RemoteEvents):
    """Keeps events on a server, in one order, and does not hear of those of others."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read a part of the log."""
        return await self.call(lambda server: server.read_events(event_store_ids, after, limit))

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log."""
        return await self.call(lambda server: server.get_last_position())

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event."""
        return await self.call(
            lambda server: server.find_position(event_store_id, aggregate_id, version)
        )

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count events."""
        return await self.call(lambda server: server.count_events(event_store_ids, after))

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Look, and let the time pass where nothing follows."""
        if not (await self.read_events(None, after, 1)).entries:
            await asyncio.sleep(max(timeout, 0))


class RemoteLogTests(RemoteHooks, EventLogTests):
    """Everything is declared."""

    adapter_class = RemoteLog
    server_class = EventServer
    wakes_waiting_readers = False


class LogErrorsAreNotTranslated(ErrorsAreNotTranslated, RemoteLog):
    """An event log that does."""


class KeepsTheLog(RemoteLog):
    """Reads no part of the log twice."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._read: dict[LogPosition, LogSlice] = {}

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Keep it."""
        if after not in self._read:
            self._read[after] = await super().read_events(event_store_ids, after, limit)
        return self._read[after]
