"""A reader wakes when another process pushes."""

import asyncio
import subprocess
import sys
from pathlib import Path

from castore_core import LOG_START
from json_lines import JSONLinesEventStorageAdapter

PUSHER = """
import asyncio
from pathlib import Path
from castore_core import EventRecord, parse_timestamp
from json_lines import JSONLinesEventStorageAdapter

noon = parse_timestamp("2024-02-29T12:00:00.000Z")
adapter = JSONLinesEventStorageAdapter(Path({path!r}))
asyncio.run(adapter.push_event("NOTES", EventRecord("a1", 1, "NOTED", noon)))
"""


async def test_a_push_of_another_process_ends_a_wait(tmp_path: Path) -> None:
    """The adapter looks at the file again and again."""
    path = tmp_path / "events.jsonl"
    path.touch()
    adapter = JSONLinesEventStorageAdapter(path)
    wait = asyncio.ensure_future(adapter.wait_for_events(LOG_START, 60))
    await asyncio.sleep(0.05)
    assert not wait.done()
    code = PUSHER.format(path=str(path))
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2]
    )
    async with asyncio.timeout(30):
        await wait
    assert 1 == len((await adapter.read_events()).entries)
