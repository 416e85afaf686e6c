"""A process that forks others, which relay events to a file until they are killed.

It is a program of its own, so that it imports everything once and starts a relay in no time. Its
argument is a JSON object: ``url`` and ``connect_args`` of an engine, and the ``channel``, a file to
which messages are appended. It reads commands: ``start KIND`` forks a relay, and ``wait`` waits
until all of them have ended.

It writes lines of JSON: ``{"started": PID}``, ``{"waited": true}``, and ``READY`` of the relays,
which each says when it publishes for the first time. Each line is one system call.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from accounts import make_accounts
from castore_core import LogEntry, NotificationMessageQueue
from castore_projections import Relay
from castore_projections._processing import Processor, Step
from castore_projections._publisher import Publisher
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from file_channel import FileChannelAdapter
from forked import serve

BATCH = 5
WINDOW = 0.004  # seconds between a publish and the move of the bookmark
LEASE = timedelta(milliseconds=100)  # the next relay waits for it after a kill


class HastyPublisher(Publisher):
    """Does what its base does, but wrong: the bookmark moves before the messages are published."""

    async def process(self, step: Step) -> None:
        """Move the bookmark, and publish then."""
        move = self._bookmarks.move_bookmark
        async with move(step.lease, step.position, parked=step.parked, unparked=step.unparked):
            pass
        await asyncio.sleep(WINDOW)
        await self._publish_all(step)


class HastyRelay(Relay):
    """A relay that can lose messages."""

    def _make_processor(self, is_replay: Callable[[LogEntry], bool]) -> Processor:
        return HastyPublisher(self._channels, self._bookmarks, is_replay, 60.0)


def make_engine(url: str, connect_args: dict[str, Any]) -> Engine | AsyncEngine:
    """Return an engine of the kind that the driver needs."""
    create: Any = create_async_engine if "+asyncpg" in url else create_engine
    return create(url, connect_args=connect_args)


def make_relay(kind: str, place: dict[str, Any]) -> Relay:
    """Return a relay to the file."""
    engine = make_engine(place["url"], place["connect_args"])
    accounts = make_accounts(SQLEventStorageAdapter(engine))
    queue = NotificationMessageQueue(
        "QUEUE",
        source_event_stores=(accounts,),
        message_channel_adapter=FileChannelAdapter(place["channel"], replay=False, window=WINDOW),
    )
    relay = HastyRelay if kind == "hasty" else Relay
    return relay(
        "relay",
        event_stores=[accounts],
        channels=[queue],
        bookmarks=SQLBookmarkStorageAdapter(engine),
        batch_size=BATCH,
        lease_duration=LEASE,
        poll_interval=0.05,
    )


async def run(kind: str, place: dict[str, Any]) -> None:
    """Relay, until this process is killed."""
    await make_relay(kind, place).run()


if __name__ == "__main__":
    serve(run)
