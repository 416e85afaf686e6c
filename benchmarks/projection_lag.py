"""Times a live projection on PostgreSQL: from the return of a push until the read model has it.

Run it with `uv run python benchmarks/projection_lag.py`. Another process pushes, at a steady rate.
"""

import asyncio
import json
import sys
from argparse import ArgumentParser
from collections import Counter
from statistics import quantiles
from time import monotonic
from typing import TypeAlias

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_projections import EventsHandled, Projection, ProjectionContext, ProjectionReport
from postgres_server import SERVER, Schema, describe_server, opened_on_server, opened_schema
from projections import UPSERT_ON_SQLALCHEMY, CastoreProjection
from report import describe_environment, print_environment
from with_castore import ItemAdded, OrderEvent, OrderPlaced
from with_castore_postgres import CastoreAsyncpg
from workload import make_id, make_payload

RATE = 500
SECONDS = 20
AGGREGATES = 1000
WARM_UP = 2.0
"""Seconds in which pushes are not counted."""

PATIENCE = 30.0
TARGET = 0.1  # seconds, at the median
LONGEST_LINE = 2**26

Moments: TypeAlias = dict[tuple[str, int], float]
"""When something happened to an event, by its aggregate and version, on the monotonic clock."""


class Handled:
    """Notes when the transactions of handled events are committed."""

    def __init__(self) -> None:
        self.moments: Moments = {}
        self._under_way: list[tuple[str, int]] = []

    async def handle(self, event: OrderEvent, context: ProjectionContext[AsyncConnection]) -> None:
        """Write a row."""
        await context.transaction.execute(UPSERT_ON_SQLALCHEMY, {"order_id": event.aggregate_id})
        self._under_way.append((event.aggregate_id, event.version))

    def report(self, report: ProjectionReport) -> None:
        """Note the moment of a commit."""
        if isinstance(report, EventsHandled):
            self.moments |= dict.fromkeys(self._under_way, monotonic())
            self._under_way = []


async def measure(rate: int, seconds: int) -> tuple[list[float], float]:
    """Return how long each event took, and how many pushes there were in a second."""
    handled = Handled()
    async with opened_schema() as schema, opened_on_server([CastoreProjection], schema) as all_:
        (contestant,) = all_
        projection = Projection(
            "orders",
            event_stores=[contestant.store],
            bookmarks=contestant.bookmarks,
            on_report=handled.report,
        )
        projection.on(OrderPlaced, ItemAdded)(handled.handle)
        async with projection:
            pushed = await _let_push(schema, rate, seconds)
            end = monotonic() + PATIENCE
            while len(handled.moments) < len(pushed) and monotonic() < end:  # noqa: ASYNC110 at the end
                await asyncio.sleep(0.1)
    first, last = min(pushed.values()), max(pushed.values())
    lags = [
        max(0.0, handled.moments[event] - moment)
        for event, moment in pushed.items()
        if moment - first > WARM_UP
    ]
    return lags, len(pushed) / (last - first)


async def push_all(schema: Schema, rate: int, seconds: int) -> Moments:
    """Begin a push whenever it is time, whether or not the earlier ones have returned."""
    contestant, pushed, versions = CastoreAsyncpg(), Moments(), Counter[str]()
    await contestant.open(schema)
    ids = [make_id(f"lag {number}") for number in range(AGGREGATES)]

    async def push(aggregate_id: str, version: int) -> None:
        await contestant.push(aggregate_id, version, make_payload(version))
        pushed[aggregate_id, version] = monotonic()

    began = monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(rate * seconds):
            await asyncio.sleep(began + number / rate - monotonic())
            aggregate_id = ids[number % AGGREGATES]
            versions[aggregate_id] += 1
            tasks.create_task(push(aggregate_id, versions[aggregate_id]))
    await contestant.close()
    return pushed


async def _let_push(schema: Schema, rate: int, seconds: int) -> Moments:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--schema", schema.name),
        *("--rate", str(rate), "--seconds", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the process that pushes has failed")
    return {(aggregate_id, version): moment for aggregate_id, version, moment in json.loads(output)}


async def _run(rate: int, seconds: int) -> None:
    console = Console()
    print_environment(console, describe_environment())
    if await describe_server() is None:
        console.print(f"PostgreSQL does not answer at {SERVER}")
        return
    lags, found = await measure(rate, seconds)
    percentiles = quantiles(lags, n=100)
    median, high = percentiles[49], percentiles[94]
    console.print(f"{len(lags):,} events, {found:.0f} pushes a second, of {rate} that were wanted")
    console.print(f"median {median * 1000:.1f} ms, 95th percentile {high * 1000:.1f} ms")
    verdict = "met" if median < TARGET else "not met"
    console.print(f"target: a median below {TARGET * 1000:.0f} ms, {verdict}")


def main() -> None:
    """Measure, or push in the process that does."""
    parser = ArgumentParser("projection_lag.py", description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help="pushes a second")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long to push")
    parser.add_argument("--schema", help="push to it, and print the moments: for its own use")
    options = parser.parse_args()
    if options.schema is None:
        asyncio.run(_run(options.rate, options.seconds))
        return
    pushed = asyncio.run(push_all(Schema(options.schema), options.rate, options.seconds))
    json.dump([(*event, moment) for event, moment in pushed.items()], sys.stdout)


if __name__ == "__main__":
    main()
