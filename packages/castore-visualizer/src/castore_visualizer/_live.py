"""Live updates: events as they are pushed, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, cast

from starlette.responses import StreamingResponse
from starlette.types import Send

from castore_core import InvalidLogPositionError, LogEntry, LogPosition, ReversibleEventLog
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


async def stream(
    logs: Sequence[tuple[ReversibleEventLog, list[str]]],
    to_html: Callable[[LogEntry], str | None],
    *,
    after: Sequence[LogPosition | None],
    gap: str,
) -> AsyncGenerator[str, None]:
    """Give the events that follow some positions, one for each log, as messages with their HTML.

    ``None`` is the end of a log. The id of a message tells where a stream after it goes on. Where
    very many events follow, those are left out, and ``gap`` is sent instead of them. A storage
    that fails is asked again: where it failed at once, from its end at that time on.
    """
    queue: asyncio.Queue[_News] = asyncio.Queue(_BATCH)
    positions = await asyncio.gather(
        *(_find_start(log, position) for (log, _), position in zip(logs, after, strict=True))
    )
    tasks = [
        asyncio.create_task(_follow(log, store_ids, positions[place], place, queue))
        for place, (log, store_ids) in enumerate(logs)
    ]
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


async def _find_start(log: ReversibleEventLog, position: LogPosition | None) -> LogPosition | None:
    """Return a position, at most the end of the log, or ``None`` where it cannot be read now."""
    end = await attempt(log.get_last_position(), _PATIENCE)
    if isinstance(end, Exception):
        return None
    return end if position is None else min(position, end)


async def _follow(
    log: ReversibleEventLog,
    store_ids: list[str],
    position: LogPosition | None,
    place: int,
    queue: asyncio.Queue[_News],
) -> None:
    left = _MOST_MISSED
    while True:
        try:
            if position is None or left <= 0:
                position = await log.get_last_position()
                await queue.put(_News(place, position, is_gap=left <= 0))
            found = await log.read_events(store_ids, position, _BATCH)
            for each in found.entries:
                await queue.put(_News(place, each.position, each))
            # Also where nobody wants the events: the browser may have left.
            await queue.put(_News(place, found.position))
            left = left - _BATCH if len(found.entries) == _BATCH else _MOST_MISSED
            if found.position == position:
                await log.wait_for_events(position, _POLL_INTERVAL)
            position = found.position
        except InvalidLogPositionError:
            position = None  # it was one of the address
        except Exception:  # noqa: BLE001 storages are the user's: it is asked again
            await asyncio.sleep(_POLL_INTERVAL)
            await queue.put(_News(place, position))


def _to_data(html: str) -> str:
    return "\n".join(f"data: {line}" for line in html.splitlines() if line.strip())
