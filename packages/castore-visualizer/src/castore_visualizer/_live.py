"""Live updates: events as they are pushed, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, cast

from starlette.responses import StreamingResponse
from starlette.types import Send

from castore_core import LogEntry, LogPosition, ReversibleEventLog
from castore_visualizer._storage_failures import attempt

_POLL_INTERVAL: Final = 5.0  # seconds: then the connection shows that it lives
_PATIENCE: Final = 1.0  # seconds before the others are followed, and this one when it answers
_BATCH: Final = 100


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
    logs: Sequence[tuple[ReversibleEventLog, list[str]]], to_html: Callable[[LogEntry], str | None]
) -> AsyncGenerator[str, None]:
    """Give the events that are pushed from now on, each as a message with its HTML.

    A storage that fails is asked again: where it failed at once, from its end at that time on.
    """
    queue: asyncio.Queue[LogEntry | None] = asyncio.Queue(_BATCH)
    starts = await asyncio.gather(*(_find_end(log) for log, _ in logs))
    tasks = [
        asyncio.create_task(_follow(log, store_ids, start, queue))
        for (log, store_ids), start in zip(logs, starts, strict=True)
    ]
    try:
        yield "retry: 2000\n\n"
        while True:
            entry = await queue.get()
            html = None if entry is None else to_html(entry)
            if html is not None:
                yield _to_message(html)
            elif entry is None:
                yield ": still here\n\n"
    finally:
        for each in tasks:
            each.cancel()


async def _find_end(log: ReversibleEventLog) -> LogPosition | None:
    """Return the end of a log, or ``None`` where it cannot be read now."""
    found = await attempt(log.get_last_position(), _PATIENCE)
    return None if isinstance(found, Exception) else found


async def _follow(
    log: ReversibleEventLog,
    store_ids: list[str],
    position: LogPosition | None,
    queue: "asyncio.Queue[LogEntry | None]",
) -> None:
    while True:
        try:
            if position is None:
                position = await log.get_last_position()
            found = await log.read_events(store_ids, position, _BATCH)
            for each in found.entries:
                await queue.put(each)
            await queue.put(None)  # also where nobody wants the events: the browser may have left
            if found.position == position:
                await log.wait_for_events(position, _POLL_INTERVAL)
            position = found.position
        except Exception:  # noqa: BLE001 storages are the user's: it is asked again
            await asyncio.sleep(_POLL_INTERVAL)
            await queue.put(None)


def _to_message(html: str) -> str:
    return "".join(f"data: {line}\n" for line in html.splitlines() if line.strip()) + "\n"
