"""Times a relay from PostgreSQL to a channel in memory, beside a bare loop that reads the log.

Run it with `uv run python benchmarks/relaying.py`, after `scripts/services start`.
"""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson
from rich.console import Console
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import MessageRecord, NotificationMessageQueue
from castore_projections import Relay
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from measuring import Job, Measurement, interleave
from postgres_server import SERVER, Schema, asyncpg, describe_server, opened_schema, settle
from report import describe_environment, print_environment, print_measurement
from with_asyncpg import SELECT_LOG, Asyncpg
from with_castore import make_store
from workload import make_id

VERSIONS = 20
BATCHES = (100, 1000)
BARE = "asyncpg, batches of {}"
WITH_BOOKMARK = "asyncpg, batches of {}, with a bookmark"
RELAY = "castore's relay, batches of {}"
REPORT_WIDTH = 120


class ListAdapter:
    """A channel that keeps its messages in a list."""

    def __init__(self) -> None:
        self.taken: list[MessageRecord] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        assert not replay
        self.taken.append(message)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take messages."""
        assert not replay
        self.taken += messages


class BareLoop:
    """Reads the log with the driver, and appends objects to a list."""

    def __init__(self, connection: Any, batch: int, *, has_bookmark: bool) -> None:
        self._connection = connection
        self._batch = batch
        self._has_bookmark = has_bookmark

    async def run(self) -> int:
        """Read to the end."""
        taken: list[dict[str, Any]] = []
        position = (-1, 0)
        while rows := await self._connection.fetch(SELECT_LOG, *position, self._batch):
            for _, _, store, aggregate_id, version, type_, timestamp, data, _ in rows:
                event = {
                    "aggregateId": aggregate_id,
                    "version": version,
                    "type": type_,
                    "timestamp": timestamp.isoformat(),
                    "payload": orjson.loads(data),
                }
                taken.append({"eventStoreId": store, "event": event})
            position = rows[-1][0], rows[-1][1]
            if self._has_bookmark:
                await self._connection.execute("UPDATE bare SET tx = $1, id = $2", *position)
        return len(taken)


class CastoreRelay:
    """A relay that begins at the start of the log, with a bookmark of its own each time."""

    def __init__(self, engine: Any, batch: int) -> None:
        self._batch = batch
        self._bookmarks: SQLBookmarkStorageAdapter[Any] = SQLBookmarkStorageAdapter(engine)
        self._orders = make_store(SQLEventStorageAdapter(engine))

    async def run(self) -> int:
        """Publish to the end."""
        adapter = ListAdapter()
        queue = NotificationMessageQueue(
            "QUEUE", source_event_stores=(self._orders,), message_channel_adapter=adapter
        )
        relay = Relay(
            f"relay-{uuid4()}",
            event_stores=[self._orders],
            channels=[queue],
            bookmarks=self._bookmarks,
            batch_size=self._batch,
        )
        await relay.run_once()
        return len(adapter.taken)


def main() -> None:
    """Print a table."""
    options = _parse_options()
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    if asyncio.run(describe_server()) is None:
        raise SystemExit("PostgreSQL does not answer: scripts/services start")
    print_environment(console, describe_environment())
    measurement = asyncio.run(_measure(options))
    print_measurement(console, measurement)
    for name in measurement.seconds:
        rate = 1 / measurement.get_spread(name).median
        console.print(f"{name:>44}  {rate:>9,.0f} messages/s", highlight=False)


async def _measure(options: Namespace) -> Measurement:
    async with opened_schema() as schema:
        engine = create_async_engine(
            schema.get_url("asyncpg"), connect_args=schema.get_connect_args("asyncpg")
        )
        await SQLBookmarkStorageAdapter(engine).create_tables()
        connection = await _fill(schema, options.messages)
        jobs: dict[str, Job] = {}
        for batch in BATCHES:
            for name, has_bookmark in ((BARE, False), (WITH_BOOKMARK, True)):
                loop = BareLoop(connection, batch, has_bookmark=has_bookmark)
                jobs[name.format(batch)] = _to_job(loop, options.messages)
            jobs[RELAY.format(batch)] = _to_job(CastoreRelay(engine, batch), options.messages)
        seconds = await interleave(jobs, rounds=options.rounds, operations=options.messages)
        await connection.close()
        await engine.dispose()
    title = f"one of {options.messages:,} messages, from PostgreSQL to memory"
    return Measurement("relaying", title, seconds, _get_baselines())


async def _fill(schema: Schema, messages: int) -> Any:
    """Push the events, those of all aggregates in turn, and return a connection."""
    orders = Asyncpg()
    await orders.open(schema)
    ids = [make_id(f"order-{each}") for each in range(messages // VERSIONS)]
    await orders.fill(dict.fromkeys(ids, VERSIONS))
    await orders.close()
    connection: Any = await asyncpg.connect(SERVER, **schema.get_connect_args("asyncpg"))
    await connection.execute("CREATE TABLE bare (tx BIGINT, id BIGINT)")
    await connection.execute("INSERT INTO bare VALUES (0, 0)")
    await settle()
    return connection


def _to_job(contestant: BareLoop | CastoreRelay, messages: int) -> Job:
    async def run(_round: int) -> None:
        if (count := await contestant.run()) != messages:
            raise RuntimeError(f"{count} messages instead of {messages}: is a transaction open?")

    return run


def _get_baselines() -> Mapping[str, str]:
    return {
        name.format(batch): BARE.format(batch)
        for batch in BATCHES
        for name in (BARE, WITH_BOOKMARK, RELAY)
    }


def _parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="a multiple of 20")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
