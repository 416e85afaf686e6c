"""Pushes that collide on purpose.

A race steps in where events are pushed to the event store, and not at its storage adapter: a group
goes to the adapter of its first event, which need not be that of the store.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from unittest.mock import patch

from castore_core import (
    Event,
    EventAlreadyExistsError,
    EventStore,
    GroupedEvent,
    VersionAssertion,
)

T = TypeVar("T")

_races: Final[list["Race"]] = []
_patches: Final = ExitStack()
_push_event = EventStore.push_event
_push_event_group = EventStore.push_event_group


class RaceError(AssertionError):
    """Fewer pushes came to a race than were to collide."""

    def __init__(self, event_store_id: str, expected: int, came: int) -> None:
        super().__init__(event_store_id, expected, came)
        self.event_store_id = event_store_id
        self.expected = expected
        self.came = came

    def __str__(self) -> str:
        return (
            f"{self.expected} pushes to event store {self.event_store_id!r} were to collide, "
            f"but {self.came} came"
        )


class Race:
    """Given by `race`: ``conflicts`` are those that pushes met, also when they came again."""

    def __init__(self, event_store: EventStore, n: int, timeout: float) -> None:
        if n < 1:
            raise ValueError(f"a race is of 1 or more pushes, not {n!r}")
        self.conflicts: list[EventAlreadyExistsError] = []
        self._event_store = event_store
        self._n = n
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._came = 0
        self._gave_up = False
        self._begins = asyncio.Event()
        self._is_through = [asyncio.Event() for _ in range(n)]

    def concerns(self, event_store: EventStore) -> bool:
        """Tell whether a store is the one of the race, or writes to the same place."""
        return (
            event_store.event_store_id == self._event_store.event_store_id
            and event_store.storage_adapter is self._event_store.storage_adapter
        )

    async def run(self, push: Callable[[], Awaitable[T]]) -> T:
        """Push: one of the first when all of them are there, each in its turn; others at once.

        Raises:
            RaceError: the others did not come.
            RuntimeError: one of the first comes from another event loop, which could not be woken.
        """
        if self._came == self._n:
            return await self._push(push)
        if self._gave_up:
            raise self.get_error()
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("pushes of several event loops cannot race")
        place = self._came
        self._came += 1
        if self._came == self._n:
            self._begins.set()
        elif place == 0:
            self._loop.call_later(self._timeout, self.give_up)
        try:
            await self._wait(place)
            return await self._push(push)
        finally:
            self._is_through[place].set()

    def give_up(self) -> bool:
        """Let those who wait fail, unless all came. Tell whether the race failed."""
        self._gave_up = self._gave_up or self._came < self._n
        self._begins.set()
        return self._gave_up

    def get_error(self) -> RaceError:
        """Return the error that says how many came."""
        return RaceError(self._event_store.event_store_id, self._n, self._came)

    async def _wait(self, place: int) -> None:
        await self._begins.wait()
        if self._gave_up:
            raise self.get_error()
        if place > 0:
            await self._is_through[place - 1].wait()

    async def _push(self, push: Callable[[], Awaitable[T]]) -> T:
        try:
            return await push()
        except EventAlreadyExistsError as conflict:
            self.conflicts.append(conflict)
            raise


@asynccontextmanager
async def race(event_store: EventStore, n: int, *, timeout: float = 5.0) -> AsyncGenerator[Race]:  # noqa: ASYNC109 of the others, not of this call
    """Let the first ``n`` pushes to a store collide, to test retries after a conflict.

    Within the context, these pushes, of events or groups, wait until all of them are there, and so
    have read the same version. Then they go on one after the other, in the order in which they
    came: of those that write one version, the first wins, and the others meet an
    `EventAlreadyExistsError`. A group that asserts a version of the store counts, too. Later
    pushes, retries among them, do not wait::

        async with race(pokemons, 2) as raced:
            await asyncio.gather(level_up("pikachu1"), level_up("pikachu1"))
        assert len(raced.conflicts) == 1

    It holds for every `EventStore` object with that ``event_store_id`` and storage adapter,
    connected ones included.

    Raises:
        RaceError: fewer pushes came within ``timeout`` seconds after the first one (those that
            wait raise it), or before the end of the context.
        ValueError: ``n`` is not 1 or more.
    """
    raced = Race(event_store, n, timeout)
    with _entered(raced):
        try:
            yield raced
        finally:
            failed = raced.give_up()
    if failed:
        raise raced.get_error()


@contextmanager
def _entered(raced: Race) -> Generator[None]:
    if not _races:
        _patches.enter_context(patch.object(EventStore, "push_event", _push_raced_event))
        group = staticmethod(_push_raced_group)
        _patches.enter_context(patch.object(EventStore, "push_event_group", group))
    _races.append(raced)
    try:
        yield
    finally:
        _races.remove(raced)
        if not _races:
            _patches.close()


async def _push_raced_event(event_store: EventStore, event: Event, **options: Any) -> Any:
    push = partial(_push_event, event_store, event, **options)
    return await _run([event_store], push)


async def _push_raced_group(*grouped: GroupedEvent | VersionAssertion, **options: Any) -> Any:
    push = partial(_push_event_group, *grouped, **options)
    # Anything else in the group is refused when it is pushed.
    stores = [each.event_store for each in grouped if hasattr(each, "event_store")]
    return await _run(stores, push)


async def _run(event_stores: list[EventStore], push: Callable[[], Awaitable[Any]]) -> Any:
    for each in _races:
        if any(each.concerns(event_store) for event_store in event_stores):
            push = partial(each.run, push)
    return await push()
