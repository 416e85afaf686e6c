"""The calls that a worker makes to one of its streams."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from castore_redis._client import Commands, Script
from castore_redis._entries import read_fields
from castore_redis._group import create_group
from castore_redis._keys import StreamKeys
from castore_redis._scripts import (
    ACQUIRE,
    BURY,
    CLAIM,
    EXTEND,
    FORGET,
    READ,
    RELEASE,
    RETRY,
    RETURN,
    TRIM,
)

_LONG_AGO = 2**31 - 1  # milliseconds
_AT_ONCE = 500  # entries of one script


class Entry(NamedTuple):
    """An entry of a stream."""

    message_id: str
    fields: Mapping[str, str]
    attempt: int


class Page(NamedTuple):
    """Entries that a stream handed out.

    The lease may be ``lost``. Where the worker is ``behind``, entries were handed out in an answer
    that did not come.
    """

    state: Literal["ok", "lost", "behind"]
    last_id: str = ""
    entries: Sequence[Entry] = ()
    cursor: str = ""


class StreamCalls:
    """Reads a stream as a consumer of a group, and says what became of its entries.

    Args:
        token: names the holder of the lease; it is empty where the stream has none.
        idle: after how many milliseconds others may have what this consumer has.
    """

    def __init__(
        self,
        commands: Commands,
        keys: StreamKeys,
        *,
        group: str,
        consumer: str,
        token: str,
        idle: int,
    ) -> None:
        self.keys = keys
        self._commands = commands
        self._group = group
        self._consumer = consumer
        self._token = token
        self._idle = idle
        self._since = ""  # the moment of the lease, by the clock of the server

    async def check_group(self) -> None:
        """Check that there is the group.

        Raises:
            ResponseError: there is not.
        """
        await self._commands.execute("XPENDING", self.keys.stream, self._group)

    async def acquire(self) -> bool:
        """Take the lease, and tell whether that worked."""
        moment = await self._commands.run(ACQUIRE, [self.keys.lease], self._token, self._idle)
        self._since = str(moment or "")
        return bool(moment)

    async def release(self) -> None:
        """Give the lease up."""
        await self._commands.run(RELEASE, [self.keys.lease], self._token)

    async def read(self, count: int, expected: str) -> Page:
        """Take new entries. ``expected`` is the id of the last one that was handed out."""
        answer = await self._run_leased(READ, count, self._token, expected)
        state = _get_state(answer)
        if state != "ok":
            return Page(state)
        entries = [Entry(each[0].decode(), read_fields(each[1]), 1) for each in answer[2]]
        return Page(state, answer[1].decode(), entries)

    async def claim(self, count: int, cursor: str, known_ids: Sequence[str]) -> Page:
        """Claim a page of pending entries, without known ones.

        With a lease these are all, and otherwise those that are idle for long enough.
        """
        idle = 0 if self._token else self._idle
        bounds = count, self._token, cursor, idle, self._since
        answer = await self._run_leased(CLAIM, *bounds, *known_ids)
        state = _get_state(answer)
        if state != "ok":
            return Page(state)
        entries = [Entry(each[0].decode(), read_fields(each[1]), each[2]) for each in answer[2]]
        return Page(state, answer[1].decode(), entries, answer[3].decode())

    async def wait(self, last_id: str, seconds: float) -> None:
        """Wait until there is an entry after another one, and not for longer."""
        block = "BLOCK", max(1, int(seconds * 1000))
        where = "STREAMS", self.keys.stream, last_id
        await self._commands.execute("XREAD", "COUNT", 1, *block, *where, blocks=seconds)

    async def extend(self, message_ids: Sequence[str]) -> set[str] | None:
        """Keep the lease, and entries, for longer.

        Return the ids of entries that others have, or ``None`` when the lease is lost.
        """
        lost: set[str] = set()
        for i in range(0, max(len(message_ids), 1), _AT_ONCE):
            ids = message_ids[i : i + _AT_ONCE]
            answer = await self._run_leased(EXTEND, self._token, self._idle, *ids)
            if _get_state(answer) == "lost":
                return None
            lost |= {each.decode() for each in answer[1]}
        return lost

    async def acknowledge(self, message_ids: Sequence[str]) -> None:
        """Take entries off the queue."""
        await self._commands.execute("XACK", self.keys.stream, self._group, *message_ids)

    async def count_attempt(self, message_id: str, attempt: int) -> bool:
        """Count another attempt, and tell whether the entry is still this consumer's."""
        return bool(await self._run(RETRY, message_id, attempt))

    async def bury(self, message_id: str, attempts: int) -> bool:
        """Move an entry to the dead letters, and tell whether it was still this consumer's."""
        keys = [self.keys.stream, self.keys.dead_letters]
        return bool(await self._run_on(keys, BURY, message_id, attempts))

    async def give_back(self, attempts: Mapping[str, int]) -> None:
        """Let others have entries at once, which had so many attempts."""
        pairs = [each for pair in attempts.items() for each in pair]
        await self._run(RETURN, _LONG_AGO, *pairs)

    async def forget_consumers(self, *, itself: bool) -> None:
        """Remove consumers that have nothing: this one, and others that are dead.

        With a lease these are all, and otherwise those that were idle for long.
        """
        consumer = self._consumer if itself else ""
        idle = 0 if self._token else 10 * self._idle
        await self._commands.run(FORGET, [self.keys.stream], self._group, consumer, idle)

    async def trim(self) -> int:
        """Drop entries that all groups have acknowledged, and return how many Redis dropped."""
        dropped: int = await self._commands.run(TRIM, [self.keys.stream])
        return dropped

    async def create_group(self) -> None:
        """Create the group, unless it exists."""
        await create_group(self._commands, [self.keys.stream], self._group)

    async def _run(self, script: Script, *arguments: str | int) -> Any:
        return await self._run_on([self.keys.stream], script, *arguments)

    async def _run_leased(self, script: Script, *arguments: str | int) -> Any:
        return await self._run_on([self.keys.stream, self.keys.lease], script, *arguments)

    async def _run_on(self, keys: Sequence[str], script: Script, *arguments: str | int) -> Any:
        return await self._commands.run(script, keys, self._group, self._consumer, *arguments)


def _get_state(answer: Sequence[Any]) -> Literal["ok", "lost", "behind"]:
    state: Literal["ok", "lost", "behind"] = answer[0].decode()
    return state
