"""What an import costs a fresh process that finds the bytecode of everything."""

import os
import subprocess
import sys
from importlib.util import find_spec
from tempfile import TemporaryDirectory

MODULES = (
    "dataclasses",
    "castore_core",
    "pydantic",
    "castore_pydantic",
    "eventsourcing.application",
)

_PROGRAM = """
from time import perf_counter
began = perf_counter()
import {module}
print(perf_counter() - began)
"""


def measure_imports(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each import, one after the other in each round.

    The bytecode is written by a first round, which is not counted, to a directory of its own.
    """
    modules = [each for each in MODULES if find_spec(each.partition(".")[0])]
    seconds: dict[str, list[float]] = {each: [] for each in modules}
    with TemporaryDirectory(prefix="castore-bench-") as directory:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": directory}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for each in modules:
            _import(each, environment)
        for _ in range(rounds):
            for each in modules:
                seconds[each].append(_import(each, environment))
    return seconds


def _import(module: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", _PROGRAM.format(module=module)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return float(done.stdout)
