"""Bookmarks and their leases in Redis."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from redis.asyncio.client import Pipeline

from castore_core import (
    LOG_START,
    Bookmark,
    Lease,
    LogPosition,
    ParkedEvent,
    check_log_query,
    check_parked,
)
from castore_redis._bookmark_keys import make_keys
from castore_redis._bookmark_moves import Move, to_lease_text
from castore_redis._bookmark_scripts import (
    ACQUIRE,
    CREATE,
    DROP_PARKED,
    GET,
    READ_PARKED,
    RELEASE,
    RETRY_PARKED,
)
from castore_redis._client import Argument, Commands, RedisClient, Script, check_client
from castore_redis._held_lease import HeldLease
from castore_redis._move_transaction import MoveTransaction
from castore_redis._nodes import keep_cancellation, translate_errors
from castore_redis._parked import to_moment, to_parked

_AT_ONCE: Final = 1_000  # positions that a script is given, or returns
_MILLISECOND: Final = timedelta(milliseconds=1)


class RedisBookmarkStorageAdapter:
    """Keeps bookmarks, their leases and parked events in Redis.

    A bookmark moves in a ``MULTI`` transaction, to which you add the writes of your read model:
    each event changes it exactly once. Leases run on the clock of the server.

    Args:
        redis: a client of ``redis.asyncio``, of one server, of Sentinel's or of a cluster. It is
            yours, and never closed. It talks to a primary, of Redis 6.2 or newer or of Valkey.
        key_prefix: begins all keys. On a cluster, the keys of one bookmark are in the slot of its
            id; a prefix with a hash tag, such as ``{pokedex}:bookmarks``, puts all bookmarks into
            the slot of your own keys ``{pokedex}:...``.

    Raises:
        TypeError: ``redis`` is another kind of client.
    """

    def __init__(self, redis: RedisClient, *, key_prefix: str = "castore:bookmarks") -> None:
        check_client(redis)
        self._client = redis
        self._commands = Commands(redis)
        self._prefix = key_prefix

    def __repr__(self) -> str:
        return f"RedisBookmarkStorageAdapter(key_prefix={self._prefix!r})"

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return what is known of a bookmark. The position of none is ``None``."""
        keys = make_keys(self._prefix, bookmark_id)
        found = await self._run("be read", bookmark_id, GET, [keys.bookmark, keys.lease])
        position, moved_at, renewed_at, lease = found
        return Bookmark(
            None if position is None else position.decode(),
            None if moved_at is None else to_moment(moved_at),
            None if lease is None else lease.decode().partition(" ")[2],
            None if renewed_at is None else to_moment(renewed_at),
        )

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is."""
        keys = make_keys(self._prefix, bookmark_id)
        found = await self._run("be made", bookmark_id, CREATE, [keys.bookmark], position)
        return str(found, "utf-8")

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[Pipeline]:
        """Move a bookmark, together with the commands that a block queues.

        The block is given a pipeline, and calls its commands without ``await``. Nothing reaches the
        server before the end of the block: to read, use your own client. At the end, the move and
        the commands are one ``MULTI`` transaction, that Redis executes only if the lease holds at
        that moment. A lost answer is looked up, and never makes the commands run twice.

        **Redis does not roll back.** Commands that Redis does not take, for lack of memory or of a
        permission, or because there is no such command, stop the move. So does a key that does not
        hold the kind of value which a command is for, as far as that is known before. All others
        are executed even if one fails: the error says that the bookmark has moved.

        On a cluster, all keys must be in the slot of the bookmark.

        Raises:
            LeaseLostError: the lease is another owner's by now, ran out, or was given back; or the
                server has lost moves that were made with it, as a replica may that is promoted.
                Nothing was written. It is raised at the end of the block.
            StorageError: the move was refused, or Redis failed; the text says whether the bookmark
                moved, as far as that is known. Where it is not, give the lease back and take it
                again: a move that comes late is then refused.
            ValueError: more than 25 events are parked or unparked, or one twice.
        """
        check_parked(parked, unparked)
        transaction = MoveTransaction()
        yield transaction
        keys = make_keys(self._prefix, lease.bookmark_id)
        move = Move(
            self._client,
            keys,
            lease,
            position,
            parked=parked,
            unparked=unparked,
            transaction=transaction,
        )
        await move.run()

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns ``None`` when another owner holds one that has not run out.
        """
        keys = make_keys(self._prefix, bookmark_id)
        places, milliseconds = [keys.bookmark, keys.lease], duration // _MILLISECOND
        found = await self._run("be leased", bookmark_id, ACQUIRE, places, owner, milliseconds)
        return None if found is None else HeldLease.make(bookmark_id, owner, *map(int, found))

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        keys = make_keys(self._prefix, lease.bookmark_id)
        text = to_lease_text(lease)
        await self._run("be given back", lease.bookmark_id, RELEASE, [keys.lease], text)

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Read the parked events of a bookmark that follow a position, in the order of the log."""
        check_log_query(None, limit)
        events: list[ParkedEvent] = []
        while len(events) < limit:
            wanted = min(limit - len(events), _AT_ONCE)
            page = await self._read_parked(bookmark_id, after, wanted)
            events += page
            if len(page) < wanted:
                break
            after = page[-1].position
        return events

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events, which lets their reader try them again."""
        keys = make_keys(self._prefix, bookmark_id)
        await self._change_parked(bookmark_id, RETRY_PARKED, [keys.failures], positions)

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events for good: their reader never handles them."""
        keys = make_keys(self._prefix, bookmark_id)
        await self._change_parked(bookmark_id, DROP_PARKED, keys.of_parked, positions)

    async def _read_parked(
        self, bookmark_id: str, after: LogPosition, limit: int
    ) -> list[ParkedEvent]:
        keys = make_keys(self._prefix, bookmark_id)
        found = await self._run("be read", bookmark_id, READ_PARKED, keys.of_parked, after, limit)
        return [to_parked(bookmark_id, *each) for each in zip(*found, strict=True)]

    async def _change_parked(
        self, bookmark_id: str, script: Script, keys: list[str], positions: Sequence[LogPosition]
    ) -> None:
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE]
            await self._run("be changed", bookmark_id, script, keys, *some)

    async def _run(
        self, action: str, bookmark_id: str, script: Script, keys: list[str], *arguments: Argument
    ) -> Any:
        with translate_errors(f"bookmark {bookmark_id!r} could not {action}"):
            return await keep_cancellation(self._commands.run(script, keys, *arguments))
