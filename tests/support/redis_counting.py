"""A read model in Redis that counts events, by bookmarks in Redis; the events are on SQLite."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from sqlalchemy import create_engine

from castore_core import Event, EventStore, Lease, LogPosition, ParkedEvent
from castore_projections import Projection, ProjectionContext
from castore_redis import RedisBookmarkStorageAdapter
from castore_sql import SQLEventStorageAdapter


class Counted(Event, type="COUNTED"):
    """One more of something."""


@dataclass(frozen=True)
class Counter:
    """How many there are."""

    aggregate_id: str
    version: int


class RedisPlace(NamedTuple):
    """Where the events are, and where the read model is."""

    database: str
    redis_url: str
    prefix: str


class BookmarksApart(RedisBookmarkStorageAdapter):
    """Executes the commands of a block in a transaction of their own, which is wrong."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[Pipeline]:
        """Execute the commands, and then move."""
        client: Any = self._client
        async with client.pipeline(transaction=True) as pipeline:
            yield pipeline
            await pipeline.execute()
        async with super().move_bookmark(lease, position, parked=parked, unparked=unparked):
            pass


class RedisCounting:
    """Events, and a read model that counts them."""

    def __init__(self, place: RedisPlace, *, is_apart: bool = False) -> None:
        url = urlsplit(place.redis_url)
        self.engine = create_engine(f"sqlite:///{place.database}")
        self.events = SQLEventStorageAdapter(self.engine)
        self.redis: Any = Redis(host=url.hostname or "", port=url.port or 0)
        make = BookmarksApart if is_apart else RedisBookmarkStorageAdapter
        self.bookmarks = make(self.redis, key_prefix=f"{place.prefix}:bookmarks")
        self.store: EventStore[Counted, Counter] = EventStore(
            "COUNTERS", event_types=[Counted], reduce=_count, storage_adapter=self.events
        )
        self._prefix = place.prefix

    def project(self, *, lease: float = 1.0, **options: Any) -> Projection[Pipeline]:
        """Return a projection that counts, and notes the order of versions."""
        projection = Projection(
            "counts",
            event_stores=[self.store],
            bookmarks=self.bookmarks,
            lease_duration=timedelta(seconds=lease),
            batch_size=10,
            poll_interval=0.02,
            **options,
        )

        @projection.on(Counted)
        async def count(event: Counted, context: ProjectionContext[Pipeline]) -> None:
            context.transaction.hincrby(f"{self._prefix}:counts", event.aggregate_id, 1)
            context.transaction.rpush(f"{self._prefix}:{event.aggregate_id}", event.version)

        return projection

    async def push(self, aggregate_id: str, first: int, count: int) -> None:
        """Push events."""
        for version in range(first, first + count):
            await self.store.push_event(Counted(aggregate_id, version))

    async def read_counts(self) -> dict[str, int]:
        """Return how many events of each aggregate were counted."""
        found = await self.redis.hgetall(f"{self._prefix}:counts")
        return {key.decode(): int(value) for key, value in found.items()}

    async def read_versions(self, aggregate_id: str) -> list[int]:
        """Return the versions of an aggregate in the order in which they were handled."""
        found = await self.redis.lrange(f"{self._prefix}:{aggregate_id}", 0, -1)
        return [int(each) for each in found]

    async def aclose(self) -> None:
        """Let the connections go."""
        await self.redis.aclose()
        self.engine.dispose()


def _count(_: Counter | None, event: Counted) -> Counter:
    return Counter(event.aggregate_id, event.version)
