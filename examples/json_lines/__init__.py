"""A storage adapter in one file, on one file: copy it, and put your backend in its place."""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import datetime
from fcntl import LOCK_EX, LOCK_SH, flock
from io import FileIO
from itertools import islice
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from castore_core import (
    ABSENT,
    LOG_START,
    AggregateIdsSlice,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    ListedAggregate,
    LogEntry,
    LogPosition,
    LogSlice,
    StorageError,
    VersionAssertionError,
    VersionGapError,
    check_log_query,
    format_position,
    format_timestamp,
    parse_position,
    parse_timestamp,
)

T = TypeVar("T")

POLL_INTERVAL = 0.01
"""Every so many seconds, a reader that waits looks whether the file has grown."""

_place_in_list = attrgetter("initial_event_timestamp", "aggregate_id")


class JSONLinesEventStorageAdapter:
    """Keeps events in a file, to which each push adds a line.

    It is an event storage and an event log. The file must exist: ``path.touch()`` makes an empty
    one. Any number of processes of one machine can share it; each holds the events in memory too.

    A line is a JSON array of the events of one push or group, and ends with a line feed. So a
    group is all or nothing: a last line without its end, of a process that died while it wrote,
    is not read, and the next push cuts it off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._threads = Lock()
        self._end = 0  # of the lines that are loaded
        self._log: list[LogEntry] = []
        self._aggregates: defaultdict[tuple[str, str], dict[int, LogEntry]] = defaultdict(dict)

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write all the events of a group, or none: they are one line."""
        for each in (*group, *asserted):
            # The core gives a group to adapters of one class only.
            adapter = cast("JSONLinesEventStorageAdapter", each.storage_adapter)
            if adapter._path != self._path:
                raise InvalidEventGroupError("its storage adapters have different files")
        # Nor does it have a version twice, but for adapters that are others on the same file.
        places = {(store_id, each.aggregate_id, each.version) for store_id, each, _ in group}
        if len(places) < len(group):
            raise InvalidEventGroupError("it has two events of one version")
        line = json.dumps([_to_json(each) for each in group]).encode() + b"\n" if group else b""
        await asyncio.to_thread(self._append, line, [] if force else group, asserted)

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[EventRecord]:
        """Read the events of an aggregate in the order of their versions."""

        def read() -> list[EventRecord]:
            entries = self._aggregates.get((event_store_id, aggregate_id), {})
            versions = [
                each
                for each in sorted(entries, reverse=reverse)
                if (min_version is None or each >= min_version)
                and (max_version is None or each <= max_version)
            ]
            return [deepcopy(entries[each].record) for each in versions[:limit]]

        return await asyncio.to_thread(self._read, read)

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List the aggregates that have an event of version 1, ordered by its timestamp and id."""
        last = None
        if cursor is not None:
            last = _place_in_list(ListedAggregate.from_cursor(event_store_id, cursor))

        def follows(each: ListedAggregate) -> bool:
            timestamp, place = each.initial_event_timestamp, _place_in_list(each)
            return (
                (initial_event_after is None or timestamp >= initial_event_after)
                and (initial_event_before is None or timestamp <= initial_event_before)
                and (last is None or (place < last if reverse else place > last))
            )

        def read() -> AggregateIdsSlice:
            listed = [
                ListedAggregate(aggregate_id, entries[1].record.timestamp)
                for (store_id, aggregate_id), entries in self._aggregates.items()
                if store_id == event_store_id and 1 in entries
            ]
            found = sorted(filter(follows, listed), key=_place_in_list, reverse=reverse)
            return AggregateIdsSlice.from_lookahead(found, limit)

        return await asyncio.to_thread(self._read, read)

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that follow a position, at most ``limit``, of some or all stores."""
        check_log_query(event_store_ids, limit)
        start = parse_position(after)

        def read() -> LogSlice:
            wanted = (
                each
                for each in self._log[start:]
                if event_store_ids is None or each.event_store_id in event_store_ids
            )
            found = deepcopy(list(islice(wanted, limit)))
            if len(found) == limit:
                return LogSlice(found, found[-1].position)
            return LogSlice(found, max(after, self._last_position()))

        return await asyncio.to_thread(self._read, read)

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log as of now."""
        return await asyncio.to_thread(self._read, self._last_position)

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, or ``None`` where there is no such event."""

        def read() -> LogPosition | None:
            entry = self._aggregates.get((event_store_id, aggregate_id), {}).get(version)
            return None if entry is None else entry.position

        return await asyncio.to_thread(self._read, read)

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count the events that follow a position, of some or all stores."""
        check_log_query(event_store_ids)
        start = parse_position(after)

        def count() -> int:
            return sum(
                event_store_ids is None or each.event_store_id in event_store_ids
                for each in self._log[start:]
            )

        return await asyncio.to_thread(self._read, count)

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 its end is no error
        """Look now and then whether an event follows, for at most ``timeout`` seconds."""
        parse_position(after)  # or refuse it
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while await self.get_last_position() <= after:  # noqa: ASYNC110 files tell nobody
                    await asyncio.sleep(POLL_INTERVAL)

    def _last_position(self) -> LogPosition:
        return self._log[-1].position if self._log else LOG_START

    def _read(self, read: Callable[[], T]) -> T:
        with self._open(LOCK_SH):
            return read()

    def _append(
        self, line: bytes, new: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion]
    ) -> None:
        with self._open(LOCK_EX) as file:
            for store_id, aggregate_id, version, _ in asserted:
                if max(self._aggregates.get((store_id, aggregate_id), [0])) != version:
                    raise VersionAssertionError(store_id, aggregate_id, version)
            self._refuse_conflicts(new)
            _write(file, self._end, line)

    def _refuse_conflicts(self, new: Sequence[GroupedRecord]) -> None:
        written: set[tuple[str, str, int]] = set()
        for store_id, (aggregate_id, version, *_), _ in new:
            versions = self._aggregates.get((store_id, aggregate_id), {})
            if version in versions:
                raise EventAlreadyExistsError(store_id, aggregate_id, version)
            before = (store_id, aggregate_id, version - 1)
            if version > 1 and version - 1 not in versions and before not in written:
                raise VersionGapError(store_id, aggregate_id, version)
            written.add((store_id, aggregate_id, version))

    @contextmanager
    def _open(self, lock: int) -> Generator[FileIO]:
        """Keep other threads and processes out, and load the lines that they have written."""
        try:
            with self._threads, self._path.open("r+b", buffering=0) as file:
                flock(file, lock)
                if file.seek(0, os.SEEK_END) < self._end:
                    raise StorageError(f"{self._path} has lost lines that were read before")
                file.seek(self._end)
                for line in file.readall().splitlines(keepends=True):
                    if line.endswith(b"\n"):
                        self._load(json.loads(line))
                        self._end += len(line)
                yield file
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise StorageError(f"{self._path} cannot be used: {error}") from error

    def _load(self, group: list[dict[str, Any]]) -> None:
        for each in group:
            event_store_id, record = each["eventStoreId"], _from_json(each)
            entries = self._aggregates[event_store_id, record.aggregate_id]
            replaced = entries.get(record.version)
            number = len(self._log) + 1 if replaced is None else parse_position(replaced.position)
            entry = LogEntry(format_position(number), event_store_id, record)
            self._log[number - 1 : number] = [entry]  # appended, or in the old one's place
            entries[record.version] = entry


def _write(file: FileIO, end: int, line: bytes) -> None:
    """Put a line, and nothing else, after the end, on the disk; or leave the file as it was."""
    file.truncate(end)
    file.seek(end)
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


def _to_json(grouped: GroupedRecord) -> dict[str, JSONValue]:
    record = grouped.record
    value: dict[str, JSONValue] = {
        "eventStoreId": grouped.event_store_id,
        "aggregateId": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "timestamp": format_timestamp(record.timestamp),
    }
    if record.payload is not ABSENT:
        value["payload"] = record.payload
    if record.metadata is not ABSENT:
        value["metadata"] = record.metadata
    return value


def _from_json(value: dict[str, Any]) -> EventRecord:
    return EventRecord(
        value["aggregateId"],
        value["version"],
        value["type"],
        parse_timestamp(value["timestamp"]),
        value.get("payload", ABSENT),
        value.get("metadata", ABSENT),
    )
