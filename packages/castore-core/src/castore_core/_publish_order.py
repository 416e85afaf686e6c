"""The order in which the pushes of an aggregate are published, within one process."""

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

_Aggregate: TypeAlias = tuple[str, str]  # store, aggregate

_publishing: Final[ContextVar[tuple["Turn", ...]]] = ContextVar("publishing", default=())


class Turn:
    """The turn of a push to publish its event.

    It is taken before the write, and comes when the pushes of earlier versions that began before
    have published, or have failed. So no two turns wait for each other, whatever their groups.
    """

    __slots__ = ("_order", "aggregate", "has_ended", "version", "waiting")

    def __init__(self, order: "PublishOrder", aggregate: _Aggregate, version: int) -> None:
        self._order = order
        self.aggregate = aggregate
        self.version = version
        self.has_ended = False
        self.waiting: list[Future[None]] = []

    async def wait(self) -> None:
        """Wait until the turn comes.

        A push that is made while another one publishes, in a handler that the channel awaits, does
        not wait: the other one may wait for it.
        """
        if not self._order.is_first(self) and not _get_publishing():
            for each in self._order.get_earlier(self):
                await each._wait_for_end()

    @contextmanager
    def publishing(self) -> Generator[None]:
        """Mark a block as the publish of this turn."""
        token = _publishing.set((*_get_publishing(), self))
        try:
            yield
        finally:
            _publishing.reset(token)

    def end(self) -> None:
        """Let the next ones go on, unless that was done before."""
        if self._order.remove(self):
            for each in self.waiting:
                if each.set_running_or_notify_cancel():
                    each.set_result(None)

    async def _wait_for_end(self) -> None:
        future: Future[None] = Future()  # of no event loop: pushes may come from several
        if self._order.add_waiting(self, future):
            await asyncio.wrap_future(future)


class PublishOrder:
    """The turns of the pushes that are under way, by aggregate."""

    def __init__(self) -> None:
        self._turns: dict[_Aggregate, list[Turn]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._turns)

    def take_turn(self, aggregate: _Aggregate, version: int) -> Turn:
        """Return the turn of a push that begins now; it has to be ended."""
        turn = Turn(self, aggregate, version)
        with self._lock:
            self._turns.setdefault(aggregate, []).append(turn)
        return turn

    def is_first(self, turn: Turn) -> bool:
        """Tell whether no push of the aggregate began before."""
        return self._turns[turn.aggregate][0] is turn

    def get_earlier(self, turn: Turn) -> list[Turn]:
        """Return the turns of lower versions that were taken before."""
        with self._lock:
            turns = self._turns[turn.aggregate]
            return [each for each in turns[: turns.index(turn)] if each.version < turn.version]

    def add_waiting(self, turn: Turn, future: Future[None]) -> bool:
        """Let a future wait for the end of a turn, and tell whether there is need to."""
        with self._lock:
            if not turn.has_ended:
                turn.waiting.append(future)
            return not turn.has_ended

    def remove(self, turn: Turn) -> bool:
        """Forget a turn, and tell whether that was still to be done."""
        with self._lock:
            if turn.has_ended:
                return False
            turn.has_ended = True
            turns = self._turns[turn.aggregate]
            turns.remove(turn)
            if not turns:
                del self._turns[turn.aggregate]
            return True


_orders: Final[WeakKeyDictionary[object, PublishOrder]] = WeakKeyDictionary()


def get_publish_order(message_channel: object) -> PublishOrder:
    """Return the order of a channel: all stores that are connected to it share it."""
    try:
        return _orders.setdefault(message_channel, PublishOrder())
    except TypeError:  # a class of the user's, whose objects are no keys
        return PublishOrder()


def _get_publishing() -> tuple[Turn, ...]:
    """Return the turns that the current task, or the one that made it, still publishes in."""
    return tuple(each for each in _publishing.get() if not each.has_ended)
