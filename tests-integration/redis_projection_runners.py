"""A process that forks others, which run a projection with its read model in Redis.

It is spoken to as `projection_runners` is; its argument is a `RedisPlace`.
"""

import asyncio
import json
import os
import sys
import traceback
from typing import Any

from castore_projections import EventsHandled, ProjectionReport
from redis_counting import RedisCounting, RedisPlace


def tell(**values: object) -> None:
    """Write a line, at once."""
    os.write(sys.stdout.fileno(), json.dumps({**values, "pid": os.getpid()}).encode() + b"\n")


def tell_report(report: ProjectionReport) -> None:
    """Say what a projection reports."""
    if not isinstance(report, EventsHandled):
        tell(report=type(report).__name__)


async def run(place: RedisPlace, *, is_apart: bool = False, **options: Any) -> None:
    """Run the projection until the process is killed."""
    counting = RedisCounting(place, is_apart=is_apart)
    async with counting.project(on_report=tell_report, **options):
        tell(READY=True)
        await asyncio.Event().wait()


def start(place: RedisPlace, **options: Any) -> None:
    """Fork a process."""
    if os.fork():
        return
    status = 1
    try:
        tell(started=os.getpid())
        asyncio.run(run(place, **options))
        status = 0
    except BaseException:  # noqa: BLE001 whatever it is, the parent's loop must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    """Do what stdin says."""
    place = RedisPlace(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command, _, rest = line.partition(" ")
        if command == "start":
            options = json.loads(rest)
            del options["kind"]
            start(place, **options)
        else:
            os.waitpid(int(rest), 0)
            tell(waited=int(rest))


if __name__ == "__main__":
    main()
