"""A pour that is started again goes on where it was."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from castore_core import (
    LOG_START,
    EventStorageAdapter,
    Lease,
    ListedAggregate,
    LogPosition,
    LogSlice,
    MessagePublishError,
    StorageError,
)
from castore_dam import (
    BookmarkCheckpoint,
    Checkpoint,
    CheckpointInUseError,
    FileCheckpoint,
    InvalidCheckpointError,
    PouredEvent,
    Progress,
    pour_aggregate_events,
    pour_event_store_collection_events,
    pour_event_store_events,
)
from castore_dam._held_lease import HeldLease
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from notes import make_notes
from pouring import accept, at, attach, push_notes
from wrapped_storage import WrappedStorage

SHORT_LEASE = timedelta(seconds=0.15)


async def test_a_pour_goes_on_after_a_failure(
    storage: EventStorageAdapter, checkpoint: Checkpoint
) -> None:
    """Only the batch that failed is published again, and the result is that of the whole."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(25)))
    queue, taken = attach(notes, refuses=lambda each: each.aggregate_id == "a17")
    with pytest.raises(MessagePublishError):
        await pour_event_store_events(notes, queue, batch_size=5, checkpoint=checkpoint)
    taken.refuses = accept
    first = len(taken.taken)
    poured = await pour_event_store_events(notes, queue, batch_size=5, checkpoint=checkpoint)
    assert [f"a{number}" for number in range(15, 25)] == [
        aggregate_id for aggregate_id, _ in taken.places[first:]
    ]
    assert 25 == poured.poured_event_count
    assert PouredEvent("NOTES", "a0", 1, at(0)) == poured.first_poured_event
    assert ListedAggregate("a24", at(24)) == poured.last_scanned_aggregate


async def test_a_pour_that_has_ended(storage: EventStorageAdapter, checkpoint: Checkpoint) -> None:
    """Started again with its checkpoint, it publishes nothing and returns the same result."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 0), ("b", 1, 5))
    queue, taken = attach(notes)
    poured = await pour_event_store_events(notes, queue, checkpoint=checkpoint)
    await push_notes(notes, ("c", 1, 1))
    assert poured == await pour_event_store_events(notes, queue, checkpoint=checkpoint)
    assert 2 == len(taken.taken)


async def test_a_dry_run_counts_what_is_left(
    storage: EventStorageAdapter, checkpoint: Checkpoint
) -> None:
    """It publishes nothing, and leaves the checkpoint where it was."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(10)))
    queue, taken = attach(notes, refuses=lambda each: each.aggregate_id == "a7")
    options: dict[str, Any] = {"batch_size": 1, "checkpoint": checkpoint}
    with pytest.raises(MessagePublishError):
        await pour_event_store_events(notes, queue, **options)
    before, told = [*taken.taken], list[Progress]()
    counted = await pour_event_store_events(
        notes, queue, dry_run=True, on_progress=told.append, **options
    )
    assert before == taken.taken
    assert [8, 9, 10] == [each.done for each in told if each.phase == "pouring"]
    taken.refuses = accept
    assert counted == await pour_event_store_events(notes, queue, **options)
    assert 10 == len(taken.taken)


async def test_events_that_come_between_two_runs(checkpoint: Checkpoint) -> None:
    """A log is poured up to the end that it had when the first run began."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, ("a", 1, 0), ("b", 1, 10))
    queue, taken = attach(notes, refuses=lambda each: each.aggregate_id == "b")
    with pytest.raises(MessagePublishError):
        await pour_event_store_events(notes, queue, batch_size=1, checkpoint=checkpoint)
    await push_notes(notes, ("c", 1, 5), ("d", 1, 20))
    taken.refuses = accept
    await pour_event_store_events(notes, queue, batch_size=1, checkpoint=checkpoint)
    assert [("a", 1), ("b", 1)] == taken.places


async def test_a_checkpoint_of_another_pour(checkpoint: Checkpoint) -> None:
    """A checkpoint is refused where the filters, the stores or the operation are others."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, ("a", 1, 0))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue, checkpoint=checkpoint)
    with pytest.raises(InvalidCheckpointError, match="timestamps"):
        await pour_event_store_events(notes, queue, to=at(5), checkpoint=checkpoint)
    with pytest.raises(InvalidCheckpointError, match="operation"):
        await pour_aggregate_events(notes, queue, "a", checkpoint=checkpoint)
    assert 1 == len(taken.taken)


@pytest.mark.parametrize("kind", ["file", "bookmark"])
async def test_a_checkpoint_in_use(tmp_path: Path, kind: str) -> None:
    """Two pours do not share a checkpoint at a time; the second one disturbs nothing."""
    bookmarks = InMemoryBookmarkStorageAdapter()
    first, second = (
        FileCheckpoint(tmp_path / "pour.json")
        if kind == "file"
        else BookmarkCheckpoint(bookmarks, "pour")
        for _ in range(2)
    )
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(3)))
    queue, taken = attach(notes, delay=0.01)
    pour = asyncio.ensure_future(
        pour_event_store_events(notes, queue, batch_size=1, checkpoint=first)
    )
    await taken.is_busy.wait()
    with pytest.raises(CheckpointInUseError):
        await pour_event_store_events(notes, queue, checkpoint=second)
    await pour
    await pour_event_store_events(notes, queue, checkpoint=second)
    assert [("a0", 1), ("a1", 1), ("a2", 1)] == taken.places


async def test_a_cancelled_pour_gives_its_checkpoint_back(checkpoint: Checkpoint) -> None:
    """After a cancellation the next run goes on at once."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(3)))
    queue, taken = attach(notes, delay=30)
    pour = asyncio.ensure_future(pour_event_store_events(notes, queue, checkpoint=checkpoint))
    await taken.is_busy.wait()
    pour.cancel()
    await asyncio.wait([pour])
    taken.delay = 0
    await pour_event_store_events(notes, queue, checkpoint=checkpoint)
    assert 3 == len(taken.taken)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"operation": 1, "state": {}}'])
async def test_a_damaged_checkpoint(tmp_path: Path, text: str) -> None:
    """A file that is no checkpoint is refused, and left as it is."""
    path = tmp_path / "pour.json"
    path.write_text(text)
    notes = make_notes(InMemoryEventStorageAdapter())
    with pytest.raises(InvalidCheckpointError):
        await pour_event_store_events(notes, attach(notes)[0], checkpoint=FileCheckpoint(path))
    assert text == path.read_text()


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000])
async def test_a_file_that_is_no_checkpoint(tmp_path: Path, data: bytes) -> None:
    """A file that is no text, or nested too deeply, is refused as one that is no JSON."""
    path = tmp_path / "pour.json"
    path.write_bytes(data)
    with pytest.raises(InvalidCheckpointError, match="no JSON"):
        await FileCheckpoint(path).load()


async def test_a_checkpoint_is_held_once(checkpoint: Checkpoint) -> None:
    """Two operations of one program do not share one checkpoint object at a time either."""
    async with checkpoint.hold():
        with pytest.raises(CheckpointInUseError):
            async with checkpoint.hold():
                raise AssertionError("it is held twice")
        with pytest.raises(CheckpointInUseError):
            async with checkpoint.hold():
                raise AssertionError("the refusal gave it back")
    async with checkpoint.hold():
        await checkpoint.save({"is": "free again"})


class SlowBookmarks(InMemoryBookmarkStorageAdapter):
    """Needs a moment for each lease."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend a lease."""
        await asyncio.sleep(0.001)
        return await super().acquire_lease(bookmark_id, owner, duration)


async def test_a_cancelled_scope_gives_a_lease_back() -> None:
    """A scope of anyio, which cancels each await, does not keep the lease from being released."""
    bookmarks = SlowBookmarks()
    with anyio.CancelScope() as scope:
        async with BookmarkCheckpoint(bookmarks, "pour").hold():
            scope.cancel()
            await asyncio.sleep(30)
    async with BookmarkCheckpoint(bookmarks, "pour").hold() as held:
        assert held is None


class SlowLog(InMemoryEventStorageAdapter):
    """Gives no page until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_read = asyncio.Event()

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read a page."""
        await self.may_read.wait()
        return await super().read_events(event_store_ids, after, limit)


async def test_a_scan_that_is_longer_than_the_lease() -> None:
    """The lease is extended meanwhile: nobody else begins, and nothing is published twice."""
    log = SlowLog()
    notes = make_notes(log)
    await push_notes(notes, ("a", 1, 0), ("b", 1, 5))
    queue, taken = attach(notes)
    bookmarks = InMemoryBookmarkStorageAdapter()
    first, second = (
        BookmarkCheckpoint(bookmarks, "pour", lease_duration=SHORT_LEASE) for _ in range(2)
    )
    pour = asyncio.ensure_future(pour_event_store_events(notes, queue, checkpoint=first))
    for _ in range(3):
        await asyncio.sleep(SHORT_LEASE.total_seconds())
        with pytest.raises(CheckpointInUseError):
            await pour_event_store_events(notes, queue, checkpoint=second)
    log.may_read.set()
    await pour
    await pour_event_store_events(notes, queue, checkpoint=second)
    assert [("a", 1), ("b", 1)] == taken.places


async def test_a_lease_that_another_operation_took_over() -> None:
    """A process that was stopped for long does not write over what the other has reached."""
    bookmarks = InMemoryBookmarkStorageAdapter()
    first, second = (
        BookmarkCheckpoint(bookmarks, "pour", lease_duration=SHORT_LEASE) for _ in range(2)
    )
    async with first.hold():
        await first.save("begun")
        time.sleep(2 * SHORT_LEASE.total_seconds())  # noqa: ASYNC251 the whole process stops
        async with second.hold():
            await second.save("gone on")
        with pytest.raises(CheckpointInUseError):
            await first.save("gone on, too")
    async with second.hold():
        assert "gone on" == await second.load()


async def test_a_lease_that_ran_out_and_that_nobody_took() -> None:
    """A process that was stopped for long goes on where nobody else did."""
    checkpoint = BookmarkCheckpoint(
        InMemoryBookmarkStorageAdapter(), "pour", lease_duration=SHORT_LEASE
    )
    async with checkpoint.hold():
        await checkpoint.save("begun")
        time.sleep(2 * SHORT_LEASE.total_seconds())  # noqa: ASYNC251 the whole process stops
        await checkpoint.save("gone on")
        assert "gone on" == await checkpoint.load()


class StalledMove(InMemoryBookmarkStorageAdapter):
    """Stops the whole process within a move, once, for longer than a lease."""

    has_stalled = False

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: str, **options: Any
    ) -> AsyncGenerator[None]:
        """Move a bookmark."""
        async with super().move_bookmark(lease, position, **options):
            if not self.has_stalled:
                self.has_stalled = True
                time.sleep(2 * SHORT_LEASE.total_seconds())  # noqa: ASYNC251 as is said above
            yield


async def test_a_lease_that_runs_out_within_a_save() -> None:
    """The state is saved all the same, where nobody took over."""
    bookmarks = StalledMove()
    checkpoint = BookmarkCheckpoint(bookmarks, "pour", lease_duration=SHORT_LEASE)
    async with checkpoint.hold():
        await checkpoint.save("begun")
        assert bookmarks.has_stalled
        assert "begun" == await checkpoint.load()


@pytest.mark.parametrize("error", [StorageError("the database is away"), OSError()], ids=repr)
async def test_a_lease_that_cannot_be_extended_for_a_while(error: Exception) -> None:
    """A storage that fails now and then does not end an operation, nor lose its lease."""
    bookmarks = FailingBookmarks()
    first, second = (
        BookmarkCheckpoint(bookmarks, "pour", lease_duration=SHORT_LEASE) for _ in range(2)
    )
    async with first.hold():
        bookmarks.error = error
        await asyncio.sleep(SHORT_LEASE.total_seconds() / 2)
        bookmarks.error = None
        await asyncio.sleep(SHORT_LEASE.total_seconds())
        with pytest.raises(CheckpointInUseError):
            async with second.hold():
                raise AssertionError("it has two owners")
        await first.save("gone on")


class FailingBookmarks(InMemoryBookmarkStorageAdapter):
    """Gives no leases for a while."""

    error: Exception | None = None

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend a lease."""
        if self.error is not None:
            raise self.error
        return await super().acquire_lease(bookmark_id, owner, duration)


class HangingBookmarks(InMemoryBookmarkStorageAdapter):
    """Answers after the first lease no call until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = asyncio.Event()
        self.may_answer = asyncio.Event()
        self._calls = 0

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend a lease."""
        self._calls += 1
        if self._calls > 1:
            self.hangs.set()
            await self.may_answer.wait()
        return await super().acquire_lease(bookmark_id, owner, duration)


async def test_a_renewal_that_hangs_ends_with_its_operation() -> None:
    """The lease is not extended for ever by an operation that has ended."""
    bookmarks = HangingBookmarks()
    held = HeldLease(bookmarks, "pour", SHORT_LEASE, longest_call=0.01)
    with pytest.raises(TimeoutError):
        async with held.keep():
            await bookmarks.hangs.wait()
    bookmarks.may_answer.set()
    await asyncio.sleep(2 * SHORT_LEASE.total_seconds())
    async with BookmarkCheckpoint(bookmarks, "pour").hold() as free:
        assert free is None


async def test_a_cancelled_save_ends_before_the_lock(tmp_path: Path) -> None:
    """A cancelled operation holds its file until the last write has ended."""
    checkpoint = FileCheckpoint(tmp_path / "pour.json")
    large = ["x" * 1000] * 5000

    async def save() -> None:
        async with checkpoint.hold():
            await checkpoint.save([*large])

    for _ in range(5):
        saving = asyncio.ensure_future(save())
        await asyncio.sleep(0.001)
        saving.cancel()
        await asyncio.wait([saving])
        async with checkpoint.hold():
            await checkpoint.save("small")
            await asyncio.sleep(0.02)
            assert "small" == await checkpoint.load()


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A file is free after its operation, also where a process was forked meanwhile."""
    program = """
import asyncio, os, sys
from castore_dam import FileCheckpoint

async def hold():
    async with FileCheckpoint(sys.argv[1]).hold():
        if (child := os.fork()) == 0:
            os.read(reader, 1)
            os._exit(0)
    async with FileCheckpoint(sys.argv[1]).hold():
        os.write(writer, b"x")
    os.waitpid(child, 0)

reader, writer = os.pipe()
asyncio.run(hold())
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "pour.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
async def test_a_full_disk(tmp_path: Path) -> None:
    """A state that cannot be written leaves the one before as it was."""
    checkpoint = FileCheckpoint(tmp_path / "pour.json")
    await checkpoint.save(["first"])
    (tmp_path / "pour.json.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        await checkpoint.save(["second"])
    assert ["first"] == await checkpoint.load()


async def test_late_aggregates_of_two_stores(checkpoint: Checkpoint) -> None:
    """After a failure, no event is passed over whose namesake in another store was poured."""
    storage = InMemoryEventStorageAdapter(allow_gaps=True)
    notes, others = make_notes(storage), make_notes(storage, event_store_id="OTHERS")
    for store in (notes, others):
        await push_notes(store, ("a", 2, 5), ("a", 1, 5))
    queue, taken = attach(notes, others, refuses=lambda each: each.event_store_id == "OTHERS")
    options: dict[str, Any] = {"batch_size": 1, "checkpoint": checkpoint}
    for _ in range(3):
        with pytest.raises(MessagePublishError):
            await pour_event_store_collection_events([notes, others], queue, **options)
    taken.refuses = accept
    poured = await pour_event_store_collection_events([notes, others], queue, **options)
    assert 4 == poured.poured_event_count
    places = [(each.event_store_id, each.version) for each, _ in taken.taken]
    assert [(store, version) for store in ("NOTES", "OTHERS") for version in (1, 2)] == places


async def test_a_log_that_was_empty(checkpoint: Checkpoint) -> None:
    """A pour that began with an empty log pours nothing when it goes on."""
    notes = make_notes(InMemoryEventStorageAdapter())
    queue, taken = attach(notes)

    async with checkpoint.hold():
        await checkpoint.save(
            {
                "operation": {
                    "operation": "pour events",
                    "event stores": [["log", "NOTES"]],
                    "message channel": queue.message_channel_id,
                    "timestamps": [None, None],
                },
                "state": {"ends": [""], "poured": [0, None, None]},
            }
        )
    await push_notes(notes, ("a", 1, 0))
    await pour_event_store_events(notes, queue, checkpoint=checkpoint)
    assert [] == taken.places


async def test_stores_on_other_adapters(checkpoint: Checkpoint) -> None:
    """A pour is not gone on with where its stores are read in another way."""
    storage = InMemoryEventStorageAdapter()
    notes, others = make_notes(storage), make_notes(storage, event_store_id="OTHERS")
    await push_notes(notes, ("a", 1, 0), ("a", 2, 1))
    queue, _ = attach(notes, others, refuses=lambda each: each.version == 2)
    options: dict[str, Any] = {"batch_size": 1, "checkpoint": checkpoint}
    with pytest.raises(MessagePublishError):
        await pour_event_store_collection_events([notes, others], queue, **options)
    others.storage_adapter = InMemoryEventStorageAdapter()
    with pytest.raises(InvalidCheckpointError, match="event stores"):
        await pour_event_store_collection_events([notes, others], queue, **options)
    notes.storage_adapter = others.storage_adapter = WrappedStorage(storage)
    with pytest.raises(InvalidCheckpointError, match="event stores"):
        await pour_event_store_collection_events([notes, others], queue, **options)
