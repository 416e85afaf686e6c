"""Shows the memory of a projection on PostgreSQL while it goes through a long log.

Run it with `uv run python benchmarks/projection_memory.py`. It takes a few minutes.
"""

import asyncio
import gc
import resource
import sys
from argparse import ArgumentParser
from pathlib import Path

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_projections import EventsHandled, Projection, ProjectionContext, ProjectionReport
from postgres_server import SERVER, describe_server, fill_with_ids, opened_on_server, opened_schema
from projections import CastoreProjection
from report import describe_environment, print_environment
from with_castore import ItemAdded, OrderEvent, OrderPlaced

EVENTS = 1_000_000
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)
RESIDENT = Path("/proc/self/statm")  # of Linux
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in which the system tells the peak


class Counting:
    """Counts events, and prints the memory of the process now and then."""

    def __init__(self, console: Console, events: int) -> None:
        self.count = 0
        self._console = console
        self._marks = [int(share * events) for share in SHARES]

    async def handle(self, event: OrderEvent, context: ProjectionContext[AsyncConnection]) -> None:  # noqa: ARG002 counts only
        """Count an event."""
        self.count += 1

    def report(self, report: ProjectionReport) -> None:
        """Print a line after one of the marks."""
        if isinstance(report, EventsHandled) and self._marks and self.count >= self._marks[0]:
            self._marks.pop(0)
            self.show()

    def show(self) -> None:
        """Print the memory that the process has now, where the system tells it, and the peak."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
        now = f"{_to_mib(_read_resident())} now, " if RESIDENT.exists() else ""
        line = f"{self.count:>10,} events  {now}{_to_mib(peak)} at most"
        self._console.print(line, highlight=False)


async def measure(console: Console, events: int) -> None:
    """Let the server make the log, and handle it."""
    counting = Counting(console, events)
    async with opened_schema() as schema, opened_on_server([CastoreProjection], schema) as all_:
        (contestant,) = all_
        await fill_with_ids(schema, events)
        projection = Projection(
            "orders",
            event_stores=[contestant.store],
            bookmarks=contestant.bookmarks,
            on_report=counting.report,
        )
        projection.on(OrderPlaced, ItemAdded)(counting.handle)
        gc.collect()
        counting.show()
        while counting.count < events:  # transactions of others may hold back the log
            await projection.run_once()


async def _run(events: int) -> None:
    console = Console()
    print_environment(console, describe_environment())
    if await describe_server() is None:
        console.print(f"PostgreSQL does not answer at {SERVER}")
        return
    await measure(console, events)


def _read_resident() -> int:
    return int(RESIDENT.read_text().split()[1]) * resource.getpagesize()


def _to_mib(count: int) -> str:
    return f"{count / 2**20:7.1f} MiB"


def main() -> None:
    """Read the option, and measure."""
    parser = ArgumentParser("projection_memory.py", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many events the log has")
    asyncio.run(_run(parser.parse_args().events))


if __name__ == "__main__":
    main()
