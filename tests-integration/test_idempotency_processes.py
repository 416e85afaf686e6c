"""Commands with keys have one effect each, from several processes, and when these are killed."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from castore_sql import SQLEventStorageAdapter
from counting import Place
from deposits import find_effects
from sql_servers import dispose

PROGRAM = Path(__file__).parent / "keyed_senders.py"
SUPPORT = Path(__file__).parent.parent / "tests" / "support"
KILLS = 10
REQUESTS = 500

each_place = pytest.mark.parametrize("place", ["sqlite", "asyncpg"], indirect=True)


def start(place: Place, kind: str, count: int) -> "subprocess.Popen[str]":
    """Start a process."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, json.dumps(place), kind, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )


async def find_all_effects(place: Place) -> list[str]:
    """Return the requests that had an effect, once for each effect."""
    engine = place.create_engine()
    effects = await find_effects(SQLEventStorageAdapter(engine), 1)
    await dispose(engine)
    return effects


@each_place
async def test_sixteen_runs_of_four_processes(place: Place) -> None:
    """One has an effect, and all return what it returned."""
    processes = [start(place, "race", 4) for _ in range(4)]
    for each in processes:
        assert each.stdout is not None
        assert "ready\n" == each.stdout.readline()
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()

    outputs: list[str] = []
    for each in processes:
        output, _ = each.communicate(timeout=60)
        assert 0 == each.returncode
        outputs += output.splitlines()

    assert 16 == len(outputs)
    assert 1 == len({*outputs})
    assert ["request"] == await find_all_effects(place)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_processes_that_are_killed(place: Place) -> None:
    """Each is killed at some moment, the next one begins anew, and the last may end."""
    answers: dict[str, str] = {}
    for kill in range(KILLS):
        send_until_killed(place, answers, REQUESTS * (kill + 1) // (KILLS + 4))
        assert 0 < len(answers) < REQUESTS

    process = start(place, "send", REQUESTS)
    rest, _ = process.communicate(timeout=60)
    note(rest, answers)

    assert 0 == process.returncode
    assert REQUESTS == len(answers)
    assert sorted(f"request {each}" for each in range(REQUESTS)) == await find_all_effects(place)


def send_until_killed(place: Place, answers: dict[str, str], count: int) -> None:
    """Kill a process soon after so many answers."""
    process = start(place, "send", REQUESTS)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    time.sleep(random.uniform(0, 0.005))
    process.kill()
    rest, _ = process.communicate(timeout=60)
    note("".join(lines) + rest, answers)


def note(output: str, answers: dict[str, str]) -> None:
    """Remember the answers, and compare them with those that came before."""
    for line in output.splitlines(keepends=True):
        if line.endswith("\n"):  # or else the process was killed while it wrote
            number, _, answer = line.strip().partition(" ")
            assert answer == answers.setdefault(number, answer)
