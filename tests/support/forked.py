"""Child programs that fork a process for each line of stdin: the parent imports once for all."""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Run: TypeAlias = Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]


def tell(**values: object) -> None:
    """Write a line, at once."""
    os.write(sys.stdout.fileno(), json.dumps(values).encode() + b"\n")


def serve(run: Run) -> None:
    """Do as stdin says: ``start KIND`` forks a process, ``wait`` waits until all have ended.

    Args:
        run: is awaited in each process, with the kind and the place of the first argument.
    """
    place = json.loads(sys.argv[1])
    for line in sys.stdin:
        match line.split():
            case ["start", kind]:
                _start(run, kind, place)
            case _:
                _wait()


def _start(run: Run, kind: str, place: dict[str, Any]) -> None:
    if os.fork():
        return
    status = 1
    try:
        tell(started=os.getpid())
        asyncio.run(run(kind, place))
        status = 0
    except BaseException:  # noqa: BLE001 whatever it is, the parent's loop must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def _wait() -> None:
    codes: list[int] = []
    while True:
        try:
            _, status = os.wait()
        except ChildProcessError:
            break
        codes.append(os.waitstatus_to_exitcode(status))
    tell(waited=codes)
