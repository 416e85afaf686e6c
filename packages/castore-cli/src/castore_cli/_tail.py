"""`castore tail`: the events of stores, as they are pushed."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import merge
from typing import Annotated, Final, NamedTuple

from cyclopts import Parameter

from castore_cli._addresses import Address
from castore_cli._finding import open_stores
from castore_cli._limits import Limit
from castore_cli._logs import find_last_entries, find_position_before, get_log
from castore_cli._moments import Moment
from castore_cli._records import to_row
from castore_cli._terminal import Terminal
from castore_cli._texts import Row, format_cell, format_json
from castore_cli.errors import UsageError
from castore_core import LOG_START, EventLog, EventStore, LogEntry

_POLL_INTERVAL: Final = 1.0  # seconds, where a storage cannot tell that an event was pushed
_BATCH_SIZE: Final = 100


async def tail(
    address: Address,
    /,
    *,
    store: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    type_: Annotated[tuple[str, ...], Parameter(name="--type", negative=())] = (),
    last: Annotated[Limit | None, Parameter(name=("--last", "-n"))] = None,
    since: Moment | None = None,
    from_start: bool = False,
    follow: Annotated[bool, Parameter(negative="--no-follow")] = True,
    terminal: Terminal,
) -> None:
    """Show events as they are pushed, from now on, until Ctrl-C.

    Args:
        address: The event stores. Their storage adapters have logs.
        store: Show the events of this store; it may be given several times.
        type_: Show the events of this type; it may be given several times.
        last: Begin with so many of the last events that there are.
        since: Begin with the events of this moment, and leave out earlier ones. It looks back until
            10,000 events in a row are earlier; with --from-start, it reads the whole log.
        from_start: Begin with the first event that there is.
        follow: Whether to wait for more at the end.
    """
    if last is not None and (from_start or since is not None):
        raise UsageError("--last excludes --from-start and --since")
    async with open_stores(address, store_ids=store) as event_stores:
        wanted = _Wanted(type_, since)
        tails = [
            _Tail(terminal, log, store_ids, wanted)
            for log, store_ids in _group_by_log(event_stores).items()
        ]
        for name in _find_undeclared(event_stores, type_):
            terminal.say(f"no event store declares the type {name!r}: stored events may have it")
        starts = [await each.find_start(from_start=from_start) for each in tails]
        if last is not None:
            await _show_last(last, tails, starts)
        async with asyncio.TaskGroup() as tasks:
            for each, start in zip(tails, starts, strict=True):
                tasks.create_task(each.run(start, follows=follow))


class _Wanted(NamedTuple):
    """The events that are shown: of some types, or all, and since a moment."""

    event_types: Collection[str]
    since: datetime | None

    def accepts(self, entry: LogEntry) -> bool:
        """Tell whether an event is one of them."""
        record = entry.record
        return (not self.event_types or record.type in self.event_types) and (
            self.since is None or record.timestamp >= self.since
        )


class _Tail:
    """Follows one log."""

    def __init__(
        self, terminal: Terminal, log: EventLog, event_store_ids: list[str], wanted: _Wanted
    ) -> None:
        self._terminal = terminal
        self._log = log
        self._event_store_ids = event_store_ids
        self._wanted = wanted

    async def find_start(self, *, from_start: bool) -> str:
        """Return the position after which it begins."""
        if from_start:
            return LOG_START
        end = await self._log.get_last_position()
        if self._wanted.since is None:
            return end
        return await find_position_before(self._wanted.since, self._log, self._event_store_ids, end)

    async def find_last(self, count: int, end: str) -> Sequence[LogEntry]:
        """Return the last events up to a position."""
        return await find_last_entries(
            count, self._log, self._event_store_ids, end, self._wanted.accepts
        )

    async def run(self, position: str, *, follows: bool) -> None:
        """Show what follows a position."""
        while True:
            found = await self._log.read_events(self._event_store_ids, position, _BATCH_SIZE)
            self.show(found.entries)
            if found.position == position:
                if not follows:
                    return
                await self._log.wait_for_events(position, _POLL_INTERVAL)
            position = found.position

    def show(self, entries: Iterable[LogEntry]) -> None:
        """Show those of some events that are wanted."""
        for each in filter(self._wanted.accepts, entries):
            row = {"eventStoreId": each.event_store_id, **to_row(each.record)}
            self._terminal.show_text(_format_line(row), row | {"position": each.position})


async def _show_last(count: int, tails: Sequence[_Tail], ends: Sequence[str]) -> None:
    """Show the last events of all logs together, by timestamp; those of a log keep its order."""
    found = [await each.find_last(count, end) for each, end in zip(tails, ends, strict=True)]
    entries = merge(*found, key=lambda each: each.record.timestamp)
    tails[0].show([*entries][-count:])


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
