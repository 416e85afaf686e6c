"""What type checkers know of storages: logs, and the transactions of bookmarks."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol, assert_type

from castore_core import (
    Bookmark,
    BookmarkStorageAdapter,
    EventLog,
    EventRecord,
    EventStorageAdapter,
    Lease,
    LogEntry,
    LogPosition,
    LogSlice,
    ParkedEvent,
    ReversibleEventLog,
    is_event_log,
    is_reversible_event_log,
)


class Connection(Protocol):
    """What a reader on a SQL database writes in."""

    async def execute(self, statement: str) -> None:
        """Execute a statement."""
        ...


class Document(Protocol):
    """What a reader on another database writes in."""

    def put(self, text: str) -> None:
        """Put a text."""
        ...


async def read_log(log: EventLog) -> None:
    """Know what was read, and how far."""
    found = await log.read_events(["POKEMONS"], after="", limit=10)
    assert_type(found, LogSlice)
    assert_type(found.entries[0], LogEntry)
    assert_type(found.entries[0].record, EventRecord)
    assert_type(found.position, str)
    assert_type(await log.get_last_position(), str)
    assert_type(await log.find_position("POKEMONS", "pikachu1", 1), str | None)
    assert_type(await log.count_events(["POKEMONS"], after=found.position), int)
    await log.wait_for_events(found.position, timeout=1)

    await log.read_events(after=0)  # type: ignore[arg-type]
    await log.wait_for_events(found.position)  # type: ignore[call-arg]


async def move(bookmarks: BookmarkStorageAdapter[Connection], position: LogPosition) -> None:
    """Know the transaction."""
    lease = await bookmarks.acquire_lease("pokedex", "ash", timedelta(seconds=30))
    assert_type(lease, Lease | None)
    assert_type(await bookmarks.get_bookmark("pokedex"), Bookmark)
    assert_type((await bookmarks.get_bookmark("pokedex")).position, str | None)
    assert_type((await bookmarks.get_parked_events("pokedex"))[0], ParkedEvent)
    assert_type(await bookmarks.create_bookmark("pokedex", position), str)
    if lease is not None:
        assert_type(lease.token, int)
        async with bookmarks.move_bookmark(lease, position) as transaction:
            assert_type(transaction, Connection)
            await transaction.execute("UPDATE pokedex SET seen = seen + 1")
        async with bookmarks.move_bookmark(lease, position, unparked=[position]) as transaction:
            assert_type(transaction, Connection)
        await bookmarks.release_lease(lease)

    bookmarks.move_bookmark(lease, position)  # type: ignore[arg-type]
    await bookmarks.release_lease("pokedex")  # type: ignore[arg-type]


async def move_any(bookmarks: BookmarkStorageAdapter, lease: Lease) -> None:
    """Know nothing of the transaction of any bookmarks."""
    async with bookmarks.move_bookmark(lease, "") as transaction:
        assert_type(transaction, Any)


# Kinds of bookmarks are told apart by their transactions.


def take_any(bookmarks: BookmarkStorageAdapter) -> None:
    """Take whatever comes."""


def take_documents(bookmarks: BookmarkStorageAdapter[Document]) -> None:
    """Take bookmarks in whose transaction documents are written."""


def give(bookmarks: BookmarkStorageAdapter[Connection]) -> None:
    """Give bookmarks."""
    take_any(bookmarks)
    take_documents(bookmarks)  # type: ignore[arg-type]


class CountingBookmarks:
    """Bookmarks that somebody wrote, and that inherit from nothing."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark."""
        return Bookmark(bookmark_id)

    async def create_bookmark(self, bookmark_id: str, position: str) -> str:
        """Return the position."""
        return f"{bookmark_id} {position}"

    def move_bookmark(
        self,
        lease: Lease,
        position: str,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[str] = (),
    ) -> AbstractAsyncContextManager[int]:
        """Return a transaction."""
        raise NotImplementedError(lease, position, parked, unparked)

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Return a lease."""
        return Lease(bookmark_id, owner, duration.days)

    async def release_lease(self, lease: Lease) -> None:
        """Do nothing."""

    async def get_parked_events(
        self, bookmark_id: str, after: str = "", limit: int = 100
    ) -> list[ParkedEvent]:
        """Return none."""
        raise NotImplementedError(bookmark_id, after, limit)

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[str]) -> None:
        """Do nothing."""

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[str]) -> None:
        """Do nothing."""


def take_numbers(bookmarks: BookmarkStorageAdapter[int]) -> None:
    """Take bookmarks whose transaction is a number."""


take_numbers(CountingBookmarks())
take_documents(CountingBookmarks())  # type: ignore[arg-type]


async def read_what_may_be_a_log(storage_adapter: EventStorageAdapter) -> None:
    """Read a storage adapter as a log once it is told to be one."""
    if is_event_log(storage_adapter):
        assert_type(storage_adapter, EventLog)
        await storage_adapter.get_last_position()
    if is_reversible_event_log(storage_adapter):
        assert_type(storage_adapter, ReversibleEventLog)
        await storage_adapter.read_events_backwards()
