"""Messages that a worker has, in flight and waiting."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from castore_core.workers import InFlight
from castore_redis._entries import AGGREGATE_ID, EVENT_STORE_ID
from castore_redis._keys import make_group_id

if TYPE_CHECKING:
    from castore_redis._stream import Stream

NOT_OWN: Final = "it is not pending any more, or another worker claimed it"
"""Why a worker does not have a message any more that it had."""


@dataclass(eq=False, slots=True)
class Delivery:
    """A message as its stream handed it out.

    ``expires_at`` is when others may claim it, on the monotonic clock, unless the stream has a
    lease. ``is_lost`` tells that they may already, whatever the clock says.
    """

    stream: "Stream"
    message_id: str
    fields: Mapping[str, str] = field(repr=False)
    attempt: int
    expires_at: float
    is_lost: bool = False
    is_handled: bool = False
    is_returned: bool = False
    has_failed: bool = False

    @property
    def group_id(self) -> str | None:
        """The message group, one for each aggregate; some unreadable messages have none."""
        try:
            return make_group_id(self.fields[EVENT_STORE_ID], self.fields[AGGREGATE_ID])
        except KeyError:
            return None

    @property
    def attempts_made(self) -> int:
        """How many attempts there were, without one that was not made, or was cut short."""
        return self.attempt if self.has_failed else self.attempt - 1

    @property
    def has_run_out(self) -> bool:
        """Whether others may have the message."""
        if self.stream.is_leased:
            return self.is_lost or not self.stream.is_held
        return self.is_lost or monotonic() >= self.expires_at


class Held:
    """All that a worker has: messages in flight, and those that wait for a retry.

    A message that failed waits, and so do those of its aggregate behind it. They take no place of
    those that are in flight.
    """

    def __init__(self, concurrency: int, max_waiting: int) -> None:
        self.in_flight = InFlight[Delivery](concurrency)
        self._max_waiting = max_waiting
        self._waiting: set[Delivery] = set()
        self._blocked: set[tuple[Stream, str]] = set()
        self._is_closed = False
        self._has_changed = asyncio.Event()

    def __iter__(self) -> Iterator[Delivery]:
        yield from self.in_flight
        yield from tuple(self._waiting)

    def __contains__(self, delivery: object) -> bool:
        return delivery in self.in_flight or delivery in self._waiting

    def of(self, stream: "Stream") -> list[Delivery]:
        """Return all messages of a stream."""
        return [each for each in self if each.stream is stream]

    async def reserve(self, most: int) -> int:
        """Wait for room, and keep it for what is about to be received: 0 when closed."""
        await self._until(lambda: self._is_closed or len(self._waiting) < self._max_waiting)
        return await self.in_flight.reserve(most)

    def take(self, deliveries: Iterable[Delivery], reserved: int) -> None:
        """Keep received messages; those of a group wait behind one that failed."""
        deliveries = list(deliveries)
        waiting = {each for each in deliveries if _get_group(each) in self._blocked}
        self._waiting |= waiting
        self.in_flight.take((each for each in deliveries if each not in waiting), reserved)

    def block(self, delivery: Delivery) -> None:
        """Let a message wait, and those behind it."""
        group = _get_group(delivery)
        if group is not None:
            self._blocked.add(group)
        behind = [
            each for each in self.in_flight if group is not None and _get_group(each) == group
        ]
        for each in {delivery, *behind}:
            if not each.is_handled:
                self.in_flight.drop(each)
                self._waiting.add(each)

    async def readmit(self, delivery: Delivery) -> bool:
        """Wait until a message that waits has a place in flight; there is none when closed."""
        if delivery in self._waiting:
            if not await self.in_flight.reserve(1):
                return False
            self._waiting.discard(delivery)
            self.in_flight.take([delivery], 1)
            self._has_changed.set()
        return True

    def unblock(self, delivery: Delivery) -> None:
        """Let what comes behind a message be in flight again, once no other one waits before it."""
        group = _get_group(delivery)
        if group in self._blocked and group not in map(_get_group, self._waiting):
            self._blocked.discard(group)

    def drop(self, delivery: Delivery) -> None:
        """Forget a message."""
        self.in_flight.drop(delivery)
        self._waiting.discard(delivery)
        self._has_changed.set()

    def close(self) -> None:
        """Reserve nothing any more."""
        self._is_closed = True
        self.in_flight.close()
        self._has_changed.set()

    async def wait_until_none(self, stream: "Stream") -> None:
        """Wait until no message of a stream is left."""
        await self._until(lambda: not self.of(stream))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._has_changed.clear()
            await self._has_changed.wait()


def _get_group(delivery: Delivery) -> "tuple[Stream, str] | None":
    group_id = delivery.group_id
    return None if group_id is None else (delivery.stream, group_id)
