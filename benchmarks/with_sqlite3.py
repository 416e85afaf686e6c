"""The standard library's sqlite3 with orjson: what a careful user would write by hand."""

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias, cast

import orjson

from orders import reduce_row
from workload import ITEM_ADDED, PLACED, STORE, ItemPayload, make_payload

# The table of castore-sql, so that all wait for the same work of the disk.
CREATE = """
PRAGMA journal_mode = WAL;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    aggregate_name TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    type TEXT NOT NULL,
    data TEXT,
    metadata TEXT,
    timestamp TEXT NOT NULL,
    UNIQUE (aggregate_name, aggregate_id, version)
);
CREATE INDEX initial_events ON event (aggregate_name, timestamp, aggregate_id) WHERE version = 1;
"""
INSERT = """
INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp)
VALUES (?, ?, ?, ?, ?, ?)
"""
SELECT_EVENTS = """
SELECT aggregate_id, version, type, timestamp, data, metadata FROM event
WHERE aggregate_name = ? AND aggregate_id = ? ORDER BY version
"""
SELECT_LOG = """
SELECT id, aggregate_name, aggregate_id, version, type, timestamp, data, metadata FROM event
WHERE id > ? ORDER BY id LIMIT ?
"""
SELECT_IDS = """
SELECT aggregate_id, timestamp FROM event
WHERE aggregate_name = ? AND version = 1 AND (timestamp, aggregate_id) > (?, ?)
ORDER BY timestamp, aggregate_id LIMIT ?
"""

Row: TypeAlias = tuple[str, str, int, str, str, str]
Waiting: TypeAlias = list[tuple[Row, "asyncio.Future[None]"]]


def make_row(aggregate_id: str, version: int, payload: ItemPayload) -> Row:
    """Return the values of `INSERT`."""
    event_type = PLACED if version == 1 else ITEM_ADDED
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    return STORE, aggregate_id, version, event_type, orjson.dumps(payload).decode(), timestamp


class SQLite3:
    """One connection, used from the event loop; each push is a commit."""

    name = "sqlite3"
    _connection: sqlite3.Connection

    async def open(self, path: Path) -> None:
        """Create the table."""
        self._connection = _connect(path)
        self._connection.executescript(CREATE)

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def read_pragma(self, name: str) -> object:
        """Ask the connection."""
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row."""
        self._connection.execute(INSERT, make_row(aggregate_id, version, payload))

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write in one transaction."""
        rows = (
            make_row(aggregate_id, version, make_payload(version))
            for aggregate_id, last in versions.items()
            for version in range(1, last + 1)
        )
        self._connection.execute("BEGIN")
        self._connection.executemany(INSERT, rows)
        self._connection.execute("COMMIT")

    async def load(self, aggregate_id: str) -> int:
        """Select the rows, and decode the payloads: there is no state to build."""
        rows = self._connection.execute(SELECT_EVENTS, (STORE, aggregate_id)).fetchall()
        payloads = [orjson.loads(row[4]) for row in rows]
        return len(payloads)

    async def scan(self, batch: int) -> int:
        """Select by key, and decode the payloads."""
        position = count = 0
        while rows := self._connection.execute(SELECT_LOG, (position, batch)).fetchall():
            payloads = [orjson.loads(row[6]) for row in rows]
            position, count = rows[-1][0], count + len(payloads)
        return count

    async def seek(self, count: int) -> object:
        """Return the key of the last row that is left out."""
        if count == 0:
            return None
        rows = self._connection.execute(SELECT_IDS, (STORE, "", "", count)).fetchall()
        aggregate_id, timestamp = rows[-1]
        return timestamp, aggregate_id

    async def page(self, cursor: object, limit: int) -> int:
        """Select by key."""
        after = ("", "") if cursor is None else cast("tuple[str, str]", cursor)
        rows = self._connection.execute(SELECT_IDS, (STORE, *after, limit))
        return len(rows.fetchall())


class SQLite3Reducer(SQLite3):
    """The same, which builds the state."""

    name = "sqlite3, with the reducer"

    async def load(self, aggregate_id: str) -> int:
        """Select the rows, and reduce them."""
        order = None
        for row in self._connection.execute(SELECT_EVENTS, (STORE, aggregate_id)).fetchall():
            order = reduce_row(order, row[0], row[1], row[2], orjson.loads(row[4]))
        assert order is not None
        return order.version


class SQLite3GroupCommit(SQLite3):
    """A thread that writes; what is pushed while it commits shares the next commit."""

    name = "sqlite3, group commit"
    _loop: asyncio.AbstractEventLoop
    _queue: "SimpleQueue[Waiting | None]"
    _waiting: Waiting
    _writer: Thread
    _is_writing: bool

    async def open(self, path: Path) -> None:
        """Start the thread."""
        await super().open(path)
        self._loop = asyncio.get_running_loop()
        self._queue, self._waiting, self._is_writing = SimpleQueue(), [], False
        self._writer = Thread(target=self._write_all)
        self._writer.start()

    async def close(self) -> None:
        """End the thread."""
        self._queue.put(None)
        self._writer.join()
        await super().close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Wait until the row is committed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((make_row(aggregate_id, version, payload), future))
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._hand_over)
        await future

    def _hand_over(self) -> None:
        self._is_writing = bool(self._waiting)
        if self._is_writing:
            self._queue.put(self._waiting)
            self._waiting = []

    def _write_all(self) -> None:
        while batch := self._queue.get():
            self._connection.execute("BEGIN IMMEDIATE")
            for row, _ in batch:
                self._connection.execute(INSERT, row)
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._answer, batch)

    def _answer(self, batch: Waiting) -> None:
        for _, future in batch:
            future.set_result(None)
        # Those who were just answered push again before the next batch is closed.
        self._loop.call_soon(self._hand_over)


def _connect(path: Path) -> sqlite3.Connection:
    # Statements commit by themselves; a thread may take the connection over.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
