"""A process that forks others, which run a projection or push events, and say what they do.

It is a program of its own, so that it imports everything once and starts a process in no time. Its
argument is a JSON object: ``url`` and ``connect_args`` of an engine. It reads commands: ``start``
with a JSON object forks a process, and ``wait PID`` waits until one has ended.

It writes lines of JSON, ``{"started": PID}`` and ``{"waited": PID}``; those of the processes are
among them, each with its ``pid``. Each is one system call.
"""

import asyncio
import itertools
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from castore_projections import EventsHandled, ProjectionReport, Retired
from counting import Counted, Counting, Place

AGGREGATES_OF_A_WRITER = 5


def tell(**values: object) -> None:
    """Write a line, at once."""
    os.write(sys.stdout.fileno(), json.dumps({**values, "pid": os.getpid()}).encode() + b"\n")


def tell_report(report: ProjectionReport) -> None:
    """Say what a projection reports."""
    if not isinstance(report, EventsHandled):
        tell(report=type(report).__name__, partition=report.partition)


async def write(counting: Counting, *, pause: float) -> None:
    """Push events to aggregates of its own, for ever."""
    tell(READY="writer")
    names = [f"{os.getpid()}-{number}" for number in range(AGGREGATES_OF_A_WRITER)]
    for version in itertools.count(1):
        pushes = [counting.store.push_event(Counted(each, version, payload="")) for each in names]
        await asyncio.gather(*pushes)
        await asyncio.sleep(pause)


async def run(counting: Counting, *, stands: str = "", **options: Any) -> None:
    """Run the projection until a later version has taken over.

    It stands still at some events, ``before`` they are counted or ``after``. It is ready once its
    version is in the ledger.
    """
    is_retired = asyncio.Event()

    def make(moment: str) -> Callable[[Counted], Any]:
        async def stand(event: Counted) -> None:
            if event.payload == "slow" and stands == moment:
                tell(standing=event.version)
                await asyncio.sleep(0.3)

        return stand

    def note(report: ProjectionReport) -> None:
        tell_report(report)
        if isinstance(report, Retired):
            is_retired.set()

    projection = counting.project(
        pid=os.getpid(),
        on_report=note,
        before=make("before"),
        after=make("after"),
        **options,
    )
    async with projection:
        tell(READY="runner")
        await is_retired.wait()
    tell(ended=True)


async def switch(counting: Counting, *, hangs: bool = False, **options: Any) -> None:
    """Make a version the live one, or come to a stop in the middle."""

    async def stand(event: Counted) -> None:
        if hangs:
            tell(standing=event.version)
            await asyncio.sleep(60)

    projection = counting.project(pid=os.getpid(), on_report=tell_report, before=stand, **options)
    tell(READY="switcher")
    await projection.switch(timeout=20)
    tell(switched=True)


KINDS: dict[str, Callable[..., Any]] = {"write": write, "run": run, "switch": switch}


def start(place: Place, kind: str, *, is_apart: bool = False, **options: Any) -> None:
    """Fork a process."""
    pid = os.fork()
    if pid:
        tell(started=pid)
        return
    status = 1
    try:
        asyncio.run(KINDS[kind](Counting(place.create_engine(), is_apart=is_apart), **options))
        status = 0
    except BaseException:  # noqa: BLE001 whatever it is, the parent's loop must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    """Do what stdin says."""
    place = Place(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command, _, rest = line.partition(" ")
        if command == "start":
            start(place, **json.loads(rest))
        else:
            os.waitpid(int(rest), 0)
            tell(waited=int(rest))


if __name__ == "__main__":
    main()
