"""`castore tail`: the events of stores, as they are pushed."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Annotated, Final

from cyclopts import Parameter

from castore_cli._addresses import Address
from castore_cli._finding import open_stores
from castore_cli._logs import get_log
from castore_cli._records import to_row
from castore_cli._terminal import Terminal
from castore_cli._texts import Row, format_cell, format_json
from castore_core import LOG_START, EventLog, EventStore, LogEntry

_POLL_INTERVAL: Final = 1.0  # seconds, where a storage cannot tell that an event was pushed
_BATCH_SIZE: Final = 100


async def tail(
    address: Address,
    /,
    *,
    store: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    type_: Annotated[tuple[str, ...], Parameter(name="--type", negative=())] = (),
    from_start: bool = False,
    follow: Annotated[bool, Parameter(negative="--no-follow")] = True,
    terminal: Terminal,
) -> None:
    """Show events as they are pushed, from now on, until Ctrl-C.

    Args:
        address: The event stores. Their storage adapters have logs.
        store: Show the events of this store; it may be given several times.
        type_: Show the events of this type; it may be given several times.
        from_start: Begin with the first event that there is.
        follow: Whether to wait for more at the end.
    """
    async with open_stores(address, store_ids=store) as event_stores:
        logs = _group_by_log(event_stores)
        for each in _find_undeclared(event_stores, type_):
            terminal.say(f"no event store declares the type {each!r}: stored events may have it")
        starts = {log: LOG_START if from_start else await log.get_last_position() for log in logs}
        async with asyncio.TaskGroup() as tasks:
            for log, store_ids in logs.items():
                tail_ = _Tail(terminal, log, store_ids, type_)
                tasks.create_task(tail_.run(starts[log], follows=follow))


class _Tail:
    """Follows one log."""

    def __init__(
        self,
        terminal: Terminal,
        log: EventLog,
        event_store_ids: list[str],
        event_types: Collection[str],
    ) -> None:
        self._terminal = terminal
        self._log = log
        self._event_store_ids = event_store_ids
        self._event_types = event_types

    async def run(self, position: str, *, follows: bool) -> None:
        """Show what follows a position."""
        while True:
            found = await self._log.read_events(self._event_store_ids, position, _BATCH_SIZE)
            self._show(found.entries)
            if found.position == position:
                if not follows:
                    return
                await self._log.wait_for_events(position, _POLL_INTERVAL)
            position = found.position

    def _show(self, entries: Iterable[LogEntry]) -> None:
        for each in entries:
            if not self._event_types or each.record.type in self._event_types:
                row = {"eventStoreId": each.event_store_id, **to_row(each.record)}
                self._terminal.show_text(_format_line(row), row | {"position": each.position})


def _group_by_log(stores: Iterable[EventStore]) -> dict[EventLog, list[str]]:
    logs: dict[EventLog, list[str]] = {}
    for each in stores:
        logs.setdefault(get_log(each), []).append(each.event_store_id)
    return logs


def _find_undeclared(stores: Iterable[EventStore], types: Iterable[str]) -> list[str]:
    """Return the types that no store has: misspelt, or those of old events."""
    declared = {kind.type for each in stores for kind in each.event_types}
    return [each for each in types if each not in declared]


def _format_line(row: Row) -> str:
    names = ("timestamp", "eventStoreId", "aggregateId", "version", "type")
    values = [format_json(row[key]) for key in ("payload", "metadata") if key in row]
    return "  ".join([*(format_cell(row[name]) for name in names), *values])
