"""All events of one correlation, of all stores."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from castore_core import LOG_START, LogEntry, LogPosition, ReversibleEventLog
from castore_visualizer._events import find_correlation_id
from castore_visualizer._storage_failures import StorageFailure, attempt

MOST_LOOKED_AT: Final = 2_000
"""How many events are looked at on either side of a place in the log."""

_BATCH: Final = 500


class Correlated(NamedTuple):
    """The events that were found, in the order of their timestamps, and how many were read.

    ``failures`` are the errors of logs that could not be read.
    """

    entries: Sequence[LogEntry]
    looked_at: int
    failures: Sequence[StorageFailure]


class Place(NamedTuple):
    """An event, near which the others of its correlation are."""

    event_store_id: str
    aggregate_id: str
    version: int


async def find_correlated(
    logs: Sequence[tuple[ReversibleEventLog, list[str]]],
    correlation_id: str,
    near: Place | None,
    most: int,
    patience: float,
) -> Correlated:
    """Find the events of a correlation near a place of the log, or among the latest ones.

    Storages have no index of metadata: at most ``most`` events are read on either side.
    Each storage has ``patience`` seconds to answer, or any time where more was asked for.
    """
    found: dict[tuple[int, LogPosition], LogEntry] = {}
    failures: list[StorageFailure] = []
    looked_at = 0
    limit = patience if most <= MOST_LOOKED_AT else None
    readings = (attempt(_read_around(*each, near, most), limit) for each in logs)
    for number, entries in enumerate(await asyncio.gather(*readings)):
        if isinstance(entries, Exception):
            failures.append(StorageFailure(logs[number][1], entries))
            continue
        looked_at += len(entries)
        for each in entries:
            own_id = find_correlation_id(each.event_store_id, each.record)
            if own_id.strip() == correlation_id:
                found[number, each.position] = each
    ordered = sorted(found.values(), key=lambda each: (each.record.timestamp, each.position))
    return Correlated(ordered, looked_at, failures)


async def _read_around(
    log: ReversibleEventLog, store_ids: list[str], near: Place | None, most: int
) -> list[LogEntry]:
    position = await _find_position(log, store_ids, near)
    entries = await _read_before(log, store_ids, position, most)
    if position is not None:
        entries += await _read_from(log, store_ids, position, most)
    return entries


async def _find_position(
    log: ReversibleEventLog, store_ids: list[str], near: Place | None
) -> LogPosition | None:
    if near is None or near.event_store_id not in store_ids:
        return None
    return await log.find_position(*near)


async def _read_before(
    log: ReversibleEventLog, store_ids: list[str], before: LogPosition | None, most: int
) -> list[LogEntry]:
    entries: list[LogEntry] = []
    position = before
    while len(entries) < most and position != LOG_START:
        found = await log.read_events_backwards(store_ids, position, _BATCH)
        entries += found.entries
        position = found.position
    return entries


async def _read_from(
    log: ReversibleEventLog, store_ids: list[str], position: LogPosition, most: int
) -> list[LogEntry]:
    """Read the event of a position, which reading backwards has left out, and what follows."""
    entries: list[LogEntry] = []
    before = await log.read_events_backwards(None, position, 1)
    position = before.entries[0].position if before.entries else LOG_START
    while len(entries) < most:
        found = await log.read_events(store_ids, position, _BATCH)
        entries += found.entries
        if found.position == position:
            break
        position = found.position
    return entries
