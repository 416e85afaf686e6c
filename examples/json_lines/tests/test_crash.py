"""A process that pushes groups is killed at any moment: what it had pushed is there, and whole."""

import asyncio
import json
import random
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    StorageError,
)
from json_lines import JSONLinesEventStorageAdapter

PUSHER = """
import asyncio
from itertools import count
from pathlib import Path
from castore_core import EventRecord, GroupedRecord, parse_timestamp
from json_lines import JSONLinesEventStorageAdapter

async def push():
    adapter = JSONLinesEventStorageAdapter(Path({path!r}))
    noon = parse_timestamp("2024-02-29T12:00:00.000Z")
    first = len(await adapter.get_events("LEFT", "a1")) + 1
    print("ready", flush=True)
    for version in count(first):
        record = EventRecord("a1", version, "NOTED", noon, "x" * 50_000)
        group = [GroupedRecord(store, record, adapter) for store in ("LEFT", "RIGHT")]
        await adapter.push_event_group(group)
        print(version, flush=True)

asyncio.run(push())
"""
KILLS = 6
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make an empty file."""
    path = tmp_path / "events.jsonl"
    path.touch()
    return path


@pytest.fixture
def adapter(path: Path) -> JSONLinesEventStorageAdapter:
    """Return an adapter without events."""
    return JSONLinesEventStorageAdapter(path)


def make_record(version: int) -> EventRecord:
    """Return an event."""
    return EventRecord("a1", version, "NOTED", NOON)


def start(path: Path) -> subprocess.Popen[str]:
    """Start a process that pushes groups for ever, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUSHER.format(path=str(path))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert process.stdout
    assert "ready\n" == process.stdout.readline()
    return process


def kill(process: subprocess.Popen[str]) -> int:
    """Kill a pusher, and return the last version that it said it had pushed."""
    process.kill()
    said, _ = process.communicate()
    return max((int(each) for each in said.split("\n")[:-1]), default=0)


async def test_kills_lose_and_tear_nothing(path: Path) -> None:
    """After each kill every group that was pushed is there, in both stores, without a gap."""
    pushed = 0
    for _ in range(KILLS):
        process = start(path)
        await asyncio.sleep(random.uniform(0.05, 0.2))
        pushed = max(pushed, kill(process))
        adapter = JSONLinesEventStorageAdapter(path)
        found = [await adapter.get_events(each, "a1") for each in ("LEFT", "RIGHT")]
        assert found[0] == found[1]
        assert list(range(1, len(found[0]) + 1)) == [each.version for each in found[0]]
        assert pushed <= len(found[0]) <= pushed + 1
    assert pushed > 0


@pytest.mark.parametrize("kept", [1, 100, -1])
async def test_a_torn_group_was_not_pushed(
    path: Path, adapter: JSONLinesEventStorageAdapter, kept: int
) -> None:
    """However much of a line was written: its events are not there, and can be pushed."""
    await adapter.push_event("NOTES", make_record(1))
    whole = path.read_bytes()
    group = [GroupedRecord("NOTES", make_record(each), adapter) for each in (2, 3)]
    await adapter.push_event_group(group)
    line = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + line[:kept])

    restarted = JSONLinesEventStorageAdapter(path)
    assert [make_record(1)] == await restarted.get_events("NOTES", "a1")
    await restarted.push_event("NOTES", make_record(2))
    assert [make_record(1), make_record(2)] == await restarted.get_events("NOTES", "a1")
    assert [1, 1] == [len(json.loads(each)) for each in path.read_text().splitlines()]


async def test_two_processes_share_a_file(
    path: Path, adapter: JSONLinesEventStorageAdapter
) -> None:
    """While another process pushes the same versions, each version has one winner."""
    process = start(path)
    won: list[int] = []
    while len(won) < 5:
        version = len(await adapter.get_events("LEFT", "a1")) + 1
        try:
            await adapter.push_event("LEFT", make_record(version))
        except EventAlreadyExistsError:
            continue
        won.append(version)
        if process.poll() is not None:  # it met a conflict, and has no more to say
            break
    kill(process)
    events = await adapter.get_events("LEFT", "a1")
    assert list(range(1, len(events) + 1)) == [each.version for each in events]
    assert won == [each.version for each in events if each == make_record(each.version)]


@pytest.mark.parametrize("line", [b"damaged\n", b"\n", b"\x00\x00\n", b'"\xff"\n'])
async def test_a_damaged_line_is_an_error(
    path: Path, adapter: JSONLinesEventStorageAdapter, line: bytes
) -> None:
    """A line that is no JSON is not passed over in silence."""
    path.write_bytes(line)
    with pytest.raises(StorageError, match=r"events\.jsonl cannot be used"):
        await adapter.get_events("NOTES", "a1")


async def test_a_file_that_was_cut_is_an_error(
    path: Path, adapter: JSONLinesEventStorageAdapter
) -> None:
    """A push does not fill up what somebody else took out of the file."""
    await adapter.push_event("NOTES", make_record(1))
    assert [make_record(1)] == await adapter.get_events("NOTES", "a1")
    path.write_bytes(b"")
    with pytest.raises(StorageError, match="has lost lines that were read before"):
        await adapter.push_event("NOTES", make_record(2))
    assert b"" == path.read_bytes()


async def test_a_full_disk(path: Path, adapter: JSONLinesEventStorageAdapter) -> None:
    """A line that does not fit leaves the file as it was, and the next one is written."""
    await adapter.push_event("NOTES", make_record(1))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(StorageError, match="too large"):
            await adapter.push_event("NOTES", EventRecord("a1", 2, "NOTED", NOON, "x" * 1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert before == path.read_bytes()
    await adapter.push_event("NOTES", make_record(2))
    assert [make_record(1), make_record(2)] == await adapter.get_events("NOTES", "a1")


async def test_a_group_over_two_files_is_refused(
    path: Path, adapter: JSONLinesEventStorageAdapter
) -> None:
    """It cannot be one line."""
    other = JSONLinesEventStorageAdapter(path.with_name("others.jsonl"))
    group = [GroupedRecord("NOTES", make_record(1), each) for each in (adapter, other)]
    with pytest.raises(InvalidEventGroupError, match="have different files"):
        await adapter.push_event_group(group)
    assert b"" == path.read_bytes()


async def test_a_version_twice_in_a_group_is_refused(
    path: Path, adapter: JSONLinesEventStorageAdapter
) -> None:
    """Also over two adapters of one file, where one event would replace the other."""
    other = JSONLinesEventStorageAdapter(path)
    group = [GroupedRecord("NOTES", make_record(1), each) for each in (adapter, other)]
    with pytest.raises(InvalidEventGroupError, match="two events of one version"):
        await adapter.push_event_group(group)
    assert b"" == path.read_bytes()
