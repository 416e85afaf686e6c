"""A process that was forked has the adapter, but not its threads."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, sys
from datetime import UTC, datetime
from sqlalchemy import create_engine
from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter

engine = create_engine(f"sqlite:///{sys.argv[1]}")
adapter = SQLEventStorageAdapter(engine)


async def push(aggregate_id):
    await adapter.create_tables()
    record = EventRecord(aggregate_id, 1, "T", datetime(2024, 1, 1, tzinfo=UTC))
    await adapter.push_event("S", record)
    return [each.aggregate_id for each in (await adapter.list_aggregate_ids("S")).aggregates]


asyncio.run(push("a"))
pid = os.fork()
if pid == 0:
    if sys.argv[2] == "dispose":
        engine.dispose(close=False)  # as SQLAlchemy advises
    os._exit(0 if asyncio.run(push("b")) == ["a", "b"] else 1)
print(os.waitpid(pid, 0)[1], asyncio.run(push("c")))
"""


@pytest.mark.parametrize("way", ["dispose", "go on"])
def test_a_forked_process_pushes(tmp_path: Path, way: str) -> None:
    """Parent and child go on with threads and connections of their own."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "events.db", way],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "0 ['a', 'b', 'c']\n" == result.stdout, result.stderr
