"""Times a pour of SQLite's log beside loops written by hand, and shows the memory of a long one.

Run it with `uv run python benchmarks/pouring.py`. Both read pages of 500 events with the same
adapter, and publish batches of 100 to a channel that counts them. The pour sorts them by their
timestamps first, in bounded memory; one loop sorts a list of all, the other one does not sort.
The long pours run in a process each: of the log, and of a storage that has none, whose aggregates
are listed and read one by one.
"""

import asyncio
import resource
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, cast

from rich.console import Console
from sqlalchemy import Engine, create_engine, text

from castore_core import (
    LOG_START,
    JSONValue,
    LogEntry,
    MessageRecord,
    NotificationMessageQueue,
    format_json,
)
from castore_dam import Progress, pour_event_store_events
from castore_sql import SQLEventStorageAdapter
from measuring import Job, Measurement, Target, interleave
from report import describe_environment, print_environment, print_measurement
from with_castore import make_store
from workload import make_payload

EVENTS: Final = 1_000_000
TIMED: Final = 50_000
EVENTS_OF_AN_AGGREGATE: Final = 10
PAGE: Final = 500
BATCH: Final = 100
LIMIT: Final = 1.3
START: Final = datetime(2024, 1, 1, tzinfo=UTC)
UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes in which the system tells the peak
REPORT_WIDTH: Final = 120
LOOP = "a loop, in the order of the log"
SORTING_LOOP = "a loop that sorts in memory"
POUR = "pour_event_store_events"


class CountingAdapter:
    """A channel that counts its messages."""

    def __init__(self) -> None:
        self.count = 0

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take messages."""
        assert replay
        self.count += len(messages)


class Listed:
    """A storage that has no log."""

    def __init__(self, adapter: SQLEventStorageAdapter) -> None:
        self.push_event = adapter.push_event
        self.push_event_group = adapter.push_event_group
        self.get_events = adapter.get_events
        self.list_aggregate_ids = adapter.list_aggregate_ids


class Pouring:
    """A store on SQLite, and a channel."""

    def __init__(self, engine: Engine, events: int, *, has_log: bool) -> None:
        self._events = events
        self._log = SQLEventStorageAdapter(engine)
        self._store = make_store(self._log if has_log else Listed(self._log))
        self._channel = CountingAdapter()
        self._queue: NotificationMessageQueue[Any] = NotificationMessageQueue(
            "QUEUE", source_event_stores=[self._store], message_channel_adapter=self._channel
        )

    async def loop(self, _: int) -> None:
        """Read and publish by hand, in the order of the log."""
        self._channel.count = 0
        async for page in self._read():
            await self._publish(page)
        assert self._events == self._channel.count

    async def sort(self, _: int) -> None:
        """Read and sort by hand, all in memory, and publish."""
        self._channel.count = 0
        entries = [each async for page in self._read() for each in page]
        entries.sort(key=lambda each: (each.record.timestamp, each.position))
        await self._publish(entries)
        assert self._events == self._channel.count

    async def _read(self) -> AsyncGenerator[Sequence[LogEntry]]:
        position = LOG_START
        while True:
            found = await self._log.read_events([self._store.event_store_id], position, PAGE)
            if found.position == position:
                return
            position = found.position
            yield found.entries

    async def _publish(self, entries: Sequence[LogEntry]) -> None:
        to_message = self._queue.record_to_message
        for begin in range(0, len(entries), BATCH):
            batch = entries[begin : begin + BATCH]
            messages = [await to_message(each.event_store_id, each.record) for each in batch]
            await self._queue.publish_records(messages, replay=True)

    async def pour(self, _: int, see: Callable[[Progress], None] = lambda _: None) -> None:
        """Pour."""
        self._channel.count = 0
        await pour_event_store_events(self._store, self._queue, batch_size=BATCH, on_progress=see)
        assert self._events == self._channel.count


@asynccontextmanager
async def opened(
    events: int, *, is_shuffled: bool, has_log: bool = True
) -> AsyncGenerator[Pouring]:
    """Return a store with so many events, whose timestamps are those of the pushes, or random."""
    with TemporaryDirectory() as directory:
        engine = create_engine(f"sqlite:///{Path(directory)}/events.db")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        _fill(engine, make_store(adapter).event_store_id, events, is_shuffled=is_shuffled)
        yield Pouring(engine, events, has_log=has_log)
        engine.dispose()


def _fill(engine: Engine, event_store_id: str, events: int, *, is_shuffled: bool) -> None:
    """Write the rows of events, version by version of all aggregates in turn."""
    aggregates = events // EVENTS_OF_AN_AGGREGATE
    moments = [*range(events)]
    if is_shuffled:
        Random(1).shuffle(moments)  # noqa: S311 no secret
    insert = text(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp) "
        "VALUES (:store, :id, :version, 'ITEM_ADDED', :data, :timestamp)"
    )
    with engine.begin() as connection:
        for begin in range(0, events, 10_000):
            rows = [
                {
                    "store": event_store_id,
                    "id": f"order-{number % aggregates:07}",
                    "version": number // aggregates + 1,
                    "data": format_json(cast("JSONValue", make_payload(number))),
                    "timestamp": _format(moments[number]),
                }
                for number in range(begin, min(begin + 10_000, events))
            ]
            connection.execute(insert, rows)


def _format(milliseconds: int) -> str:
    moment = START + timedelta(milliseconds=milliseconds)
    return moment.isoformat("T", "milliseconds")[:23] + "Z"


async def measure_ratio(events: int, rounds: int, *, is_shuffled: bool) -> Measurement:
    """Time the loop and the pour in turns."""
    async with opened(events, is_shuffled=is_shuffled) as pouring:
        jobs: Mapping[str, Job] = {
            LOOP: pouring.loop,
            SORTING_LOOP: pouring.sort,
            POUR: pouring.pour,
        }
        seconds = await interleave(jobs, rounds=rounds, operations=events)
    order = "at random" if is_shuffled else "as pushed"
    baselines = {POUR: SORTING_LOOP, SORTING_LOOP: LOOP}
    title = f"pour of {events:,} events, timestamps {order}"
    return Measurement("pour", title, seconds, baselines, [Target(POUR, SORTING_LOOP, LIMIT)])


async def show_memory(console: Console, events: int, *, has_log: bool) -> None:
    """Pour a long store, and print the peak of the memory before and after."""
    async with opened(events, is_shuffled=True, has_log=has_log) as pouring:
        before, start = _get_peak(), perf_counter()
        await pouring.pour(0)
        source = "read from the log" if has_log else "listed"
        console.print(
            f"{events:,} events of {events // EVENTS_OF_AN_AGGREGATE:,} aggregates, {source}, "
            f"timestamps at random: {perf_counter() - start:.1f} s, peak {before:.0f} MiB before "
            f"and {_get_peak():.0f} MiB after",
            highlight=False,
        )


def _get_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 2**20


async def _run(options: Namespace) -> None:
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    if options.only:
        await show_memory(console, options.events, has_log=options.only == "log")
        return
    print_environment(console, describe_environment())
    for only in ("log", "listed") if options.events else ():
        program = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--events", str(options.events), "--only", only
        )
        assert await program.wait() == 0
    for is_shuffled in (False, True):
        measured = await measure_ratio(options.timed, options.rounds, is_shuffled=is_shuffled)
        print_measurement(console, measured)


def main() -> None:
    """Read the options, and measure."""
    parser = ArgumentParser("pouring.py", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="of the long log; 0 for none")
    parser.add_argument("--only", choices=("log", "listed"), help="the long pour that is run")
    parser.add_argument("--timed", type=int, default=TIMED, help="events that are timed")
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
