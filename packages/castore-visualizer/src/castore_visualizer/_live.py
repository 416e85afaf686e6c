"""Live updates: events as they are pushed, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, cast

from starlette.responses import StreamingResponse
from starlette.types import Send

from castore_core import (
    LOG_START,
    InvalidLogPositionError,
    LogEntry,
    LogPosition,
    ReversibleEventLog,
)
from castore_visualizer._page_tokens import pack
from castore_visualizer._storage_failures import attempt

_POLL_INTERVAL: Final = 5.0  # seconds: then the connection shows that it lives
_PATIENCE: Final = 1.0  # seconds before the others are followed, and this one when it answers
_BATCH: Final = 100
_MOST_MISSED: Final = 500  # events that are made up for, where a browser was away


class LiveResponse(StreamingResponse):
    """A response with messages, which are ended when the browser leaves, however the server tells.

    Some servers tell by an error of the next message. Then nobody else would end them.
    """

    async def stream_response(self, send: Send) -> None:
        """Send the messages."""
        messages = cast("AsyncGenerator[str, None]", self.body_iterator)
        async with aclosing(messages):
            await super().stream_response(send)


async def find_ends(
    logs: Iterable[tuple[ReversibleEventLog, list[str]]],
) -> list[LogPosition | None]:
    """Return the ends of some logs; ``None`` where one does not tell it at once."""
    ends = await asyncio.gather(*(attempt(log.get_last_position(), _PATIENCE) for log, _ in logs))
    return [None if isinstance(each, Exception) else each for each in ends]


async def stream(
    logs: Sequence[tuple[ReversibleEventLog, list[str]]],
    to_html: Callable[[LogEntry], str | None],
    *,
    after: Sequence[LogPosition | None],
    gap: str,
) -> AsyncGenerator[str, None]:
    """Give the events that follow some positions, one for each log, as messages with their HTML.

    ``None`` is the end of a log, and so is a position beyond it. The id of a message tells where a
    stream after it goes on. Where very many events follow, those are left out, and ``gap`` is sent
    instead of them. A storage that fails is asked again, and goes on from its position; one
    without a position begins at its end when it answers.
    """
    queue: asyncio.Queue[_News] = asyncio.Queue(_BATCH)
    followers = [
        _Follower(place, *log, position, queue)
        for place, (log, position) in enumerate(zip(logs, after, strict=True))
    ]
    await asyncio.gather(*(attempt(each.start(), _PATIENCE) for each in followers))
    positions = [each.position for each in followers]
    tasks = [asyncio.create_task(each.run()) for each in followers]
    try:
        yield f"retry: 2000\nid: {pack(positions)}\n\n"
        while True:
            news = await queue.get()
            positions[news.place] = news.position
            html = gap if news.is_gap else news.entry and to_html(news.entry)
            if html or news.entry is None:
                yield f"id: {pack(positions)}\n{_to_data(html) if html else ': still here'}\n\n"
    finally:
        for each in tasks:
            each.cancel()


class _News(NamedTuple):
    """An event of a log, or the sign that the log was read, up to a position."""

    place: int
    position: LogPosition | None
    entry: LogEntry | None = None
    is_gap: bool = False


class _Follower:
    """Follows one log from a position on, or from its end, and puts its events into a queue."""

    def __init__(
        self,
        place: int,
        log: ReversibleEventLog,
        store_ids: list[str],
        position: LogPosition | None,
        queue: asyncio.Queue[_News],
    ) -> None:
        self.position = position
        self._place = place
        self._log = log
        self._store_ids = store_ids
        self._queue = queue
        self._has_started = False
        self._left = _MOST_MISSED  # events, before others are left out

    async def start(self) -> None:
        """Find the position to read from, which is at most the end of the log."""
        end = await self._log.get_last_position()
        self.position = end if self.position is None else min(self.position, end)
        self._has_started = True

    async def run(self) -> None:
        """Put the events into the queue as they come, until this is cancelled."""
        while True:
            try:
                if not self._has_started:
                    await self.start()
                await self._read()
            except InvalidLogPositionError:  # it was one of the address
                self.position, self._has_started = None, False
            except Exception:  # noqa: BLE001 storages are the user's: it is asked again
                await asyncio.sleep(_POLL_INTERVAL)
                await self._put()

    async def _read(self) -> None:
        """Read some events, or wait a while where there are none."""
        found = await self._log.read_events(self._store_ids, self.position or LOG_START, _BATCH)
        if found.entries and self._left <= 0:
            await self._skip()
            return
        is_at_end = found.position == self.position
        for each in found.entries:
            self.position = each.position
            await self._put(each)
        self.position = found.position
        # Also where nobody wants the events: the browser may have left.
        await self._put()
        self._left = self._left - _BATCH if len(found.entries) == _BATCH else _MOST_MISSED
        if is_at_end:
            await self._log.wait_for_events(found.position, _POLL_INTERVAL)

    async def _skip(self) -> None:
        """Go on at the end of the log, and leave out the events before it."""
        self.position = await self._log.get_last_position()
        self._left = _MOST_MISSED
        await self._put(is_gap=True)

    async def _put(self, entry: LogEntry | None = None, *, is_gap: bool = False) -> None:
        await self._queue.put(_News(self._place, self.position, entry, is_gap))


def _to_data(html: str) -> str:
    return "\n".join(f"data: {line}" for line in html.splitlines() if line.strip())
