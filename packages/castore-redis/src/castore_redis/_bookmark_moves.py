"""Moves of bookmarks: WATCH, a look at the lease, and MULTI with the commands of the block.

The lease is a key that runs out. Redis refuses EXEC if a watched key has changed or run out, so
that the lease is checked at the moment of the writes.
"""

from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final, NamedTuple

from redis.exceptions import WatchError

from castore_core import Lease, LeaseLostError, LogPosition, ParkedEvent, StorageError
from castore_redis._bookmark_keys import BookmarkKeys
from castore_redis._bookmark_scripts import CHECK, MOVE
from castore_redis._client import REDIS_ERRORS, RedisClient, describe_fault
from castore_redis._held_lease import misses_moves, note_moves
from castore_redis._move_transaction import MoveTransaction
from castore_redis._nodes import TOPOLOGY_ERRORS, make_pipeline, refresh_topology
from castore_redis._parked import to_arguments

_ATTEMPTS: Final = 10


class _State(NamedTuple):
    mark: bytes | None
    moves: bytes
    lease: bytes | None
    kinds: list[bytes]


def to_lease_text(lease: Lease) -> str:
    """Return the value of the key of a lease."""
    return f"{lease.token} {lease.owner}"


class Move:
    """One move of a bookmark, which is tried again where that is safe.

    An attempt whose answer was lost may have been executed: then its mark is there. If it is still
    to come, it finds the watched bookmark changed by the next attempt, and does nothing.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: BookmarkKeys,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent],
        unparked: Sequence[LogPosition],
        transaction: MoveTransaction,
    ) -> None:
        self._client = client
        self._keys = keys
        self._lease = lease
        self._transaction = transaction
        self._kinds = transaction.get_kinds()
        self._mark = token_hex(16).encode()
        self._arguments = [
            *_encode(position),
            self._mark,
            *_encode(*to_arguments(parked, unparked)),
        ]
        self._first_mark: bytes | None = None
        self._lost: BaseException | None = None

    async def run(self) -> None:
        """Make the move.

        Raises:
            LeaseLostError: the lease is not held. Nothing was written.
            StorageError: see `RedisBookmarkStorageAdapter.move_bookmark`.
        """
        reason = "other writers were faster"
        for number in range(_ATTEMPTS):
            try:
                return await self._attempt(is_first=number == 0)
            except WatchError as error:  # the lease was extended, say, or the connection lost
                self._lost = error.__context__ or self._lost
            except TOPOLOGY_ERRORS as error:
                reason = describe_fault(error)
                await self._refresh()
            except REDIS_ERRORS as error:
                raise self._fail(describe_fault(error)) from error
        raise self._fail(f"{reason}, {_ATTEMPTS} times")

    async def _attempt(self, *, is_first: bool) -> None:
        async with await make_pipeline(self._client, self._keys.bookmark) as pipeline:
            await pipeline.watch(*_encode(self._keys.bookmark, self._keys.lease))
            state = await self._look(pipeline)
            if is_first:
                self._first_mark = state.mark
            if state.mark == self._mark:
                note_moves(self._lease, int(state.moves))
                return
            self._check(state)
            queue: Any = pipeline
            queue.multi()
            keys = _encode(self._keys.bookmark, *self._keys.of_parked)
            queue.eval(MOVE.text, len(keys), *keys, *self._arguments)
            self._transaction.copy_to(pipeline)
            self._check_results(await pipeline.execute(raise_on_error=False))

    async def _refresh(self) -> None:
        with suppress(*REDIS_ERRORS):  # the next attempt meets it, too
            await refresh_topology(self._client)

    async def _look(self, pipeline: Any) -> _State:
        keys = [*_encode(self._keys.bookmark, self._keys.lease), *self._kinds]
        look = pipeline.execute_command("EVAL", CHECK.text, len(keys), *keys, NEVER_DECODE=True)
        return _State(*await look)

    def _check(self, state: _State) -> None:
        """Refuse a move without the lease, and one with a command that would fail."""
        if state.lease != to_lease_text(self._lease).encode():
            if self._lost is not None and state.mark != self._first_mark:
                raise self._fail("the lease was lost meanwhile")
            raise LeaseLostError(self._lease.bookmark_id, self._lease.owner)
        if misses_moves(self._lease, int(state.moves)):
            raise LeaseLostError(self._lease.bookmark_id, self._lease.owner)
        for (key, wanted), found in zip(self._kinds.items(), state.kinds, strict=True):
            if found.decode() not in (wanted, "none"):
                reason = f"key {key!r:.100} is a {found.decode()}, and a command needs a {wanted}"
                raise self._fail(reason)

    def _check_results(self, results: Sequence[Any]) -> None:
        """Note the move, and raise for commands that failed although others were executed."""
        moves, *others = results
        if isinstance(moves, Exception):
            raise self._fail(describe_fault(moves)) from moves
        note_moves(self._lease, moves)
        failed = {place: each for place, each in enumerate(others) if isinstance(each, Exception)}
        if failed:
            names = ", ".join(f"[{place}] {self._get_name(place)}" for place in failed)
            first = next(iter(failed.values()))
            raise StorageError(
                f"bookmark {self._lease.bookmark_id!r} moved, and of the commands that went with "
                f"it, these failed: {names}: {first}. Redis does not roll back"
            ) from first

    def _get_name(self, place: int) -> str:
        arguments, _ = self._transaction.command_stack[place]
        return str(arguments[0])

    def _fail(self, reason: str) -> StorageError:
        outcome = "did not move" if self._lost is None else "moved, or did not: an answer was lost"
        return StorageError(f"bookmark {self._lease.bookmark_id!r} {outcome}; {reason}")


def _encode(*texts: str) -> list[bytes]:
    return [each.encode() for each in texts]
