"""The driver asyncpg with orjson: what a careful user would write by hand."""

import asyncio
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_sql import SQLEventStorageAdapter
from orders import reduce_row
from postgres_server import SERVER, Schema, asyncpg
from workload import ITEM_ADDED, PLACED, STORE, ItemPayload, make_payload

CONNECTIONS = 16

INSERT = """
INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp)
VALUES ($1, $2, $3, $4, $5, $6)
"""
# As castore does: a version needs the one before it, and what was written can be told later.
INSERT_CHECKED = """
INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp, write_token)
SELECT * FROM (SELECT
  CAST($1 AS TEXT) AS aggregate_name, CAST($2 AS TEXT) AS aggregate_id,
  CAST($3 AS BIGINT) AS version, CAST($4 AS TEXT), CAST($5 AS JSONB),
  CAST($6 AS TIMESTAMPTZ), CAST($7 AS BIGINT)
) AS pushed
WHERE pushed.version = 1 OR EXISTS (
  SELECT FROM event AS stored
  WHERE stored.aggregate_name = pushed.aggregate_name AND stored.aggregate_id = pushed.aggregate_id
    AND stored.version BETWEEN pushed.version - 1 AND pushed.version
)
ON CONFLICT (aggregate_name, aggregate_id, version) DO NOTHING
RETURNING version
"""
SELECT_EVENTS = """
SELECT aggregate_id, version, type, timestamp, data, metadata FROM event
WHERE aggregate_name = $1 AND aggregate_id = $2 ORDER BY version
"""
# Not what a transaction under way may still precede.
SELECT_LOG = """
SELECT tx, id, aggregate_name, aggregate_id, version, type, timestamp, data, metadata FROM event
WHERE (tx, id) > ($1, $2)
  AND tx < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)
ORDER BY tx, id LIMIT $3
"""
SELECT_IDS = """
SELECT aggregate_id, timestamp FROM event
WHERE aggregate_name = $1 AND version = 1
  AND (timestamp, CAST(aggregate_id AS TEXT) COLLATE "C") > ($2, $3)
ORDER BY timestamp, CAST(aggregate_id AS TEXT) COLLATE "C" LIMIT $4
"""
START = (datetime.min.replace(tzinfo=UTC), "")

Row: TypeAlias = tuple[str, str, int, str, str, datetime]


def make_row(aggregate_id: str, version: int, payload: ItemPayload) -> Row:
    """Return the values of `INSERT`."""
    event_type = PLACED if version == 1 else ITEM_ADDED
    data = orjson.dumps(payload).decode()
    return STORE, aggregate_id, version, event_type, data, datetime.now(UTC)


def make_checked_row(aggregate_id: str, version: int, payload: ItemPayload) -> tuple[Any, ...]:
    """Return the values of `INSERT_CHECKED`."""
    return *make_row(aggregate_id, version, payload), secrets.randbits(63)


class Asyncpg:
    """One connection that is held; each push is a commit."""

    name = "asyncpg"
    _connection: Any

    async def open(self, schema: Schema) -> None:
        """Create the table of castore-sql, so that all wait for the same work of the disk."""
        args = schema.get_connect_args("asyncpg")
        engine = create_async_engine(schema.get_url("asyncpg"), connect_args=args)
        await SQLEventStorageAdapter(engine).create_tables()
        await engine.dispose()
        self._connection = await asyncpg.connect(SERVER, **args)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def show(self, setting: str) -> object:
        """Ask the connection."""
        return await self._connection.fetchval(f"SHOW {setting}")

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row."""
        await self._connection.execute(INSERT, *make_row(aggregate_id, version, payload))

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write in one transaction."""
        rows = (
            make_row(aggregate_id, version, make_payload(version))
            for aggregate_id, last in versions.items()
            for version in range(1, last + 1)
        )
        await self._connection.executemany(INSERT, rows)

    async def load(self, aggregate_id: str) -> int:
        """Select the rows, and decode the payloads: there is no state to build."""
        rows = await self._connection.fetch(SELECT_EVENTS, STORE, aggregate_id)
        payloads = [orjson.loads(row[4]) for row in rows]
        return len(payloads)

    async def scan(self, batch: int) -> int:
        """Select by key, and decode the payloads."""
        position, count = (-1, 0), 0
        while rows := await self._connection.fetch(SELECT_LOG, *position, batch):
            payloads = [orjson.loads(row[7]) for row in rows]
            position, count = (rows[-1][0], rows[-1][1]), count + len(payloads)
        return count

    async def seek(self, count: int) -> object:
        """Return the key of the last row that is left out."""
        if count == 0:
            return None
        rows = await self._connection.fetch(SELECT_IDS, STORE, *START, count)
        aggregate_id, timestamp = rows[-1]
        return timestamp, aggregate_id

    async def page(self, cursor: object, limit: int) -> int:
        """Select by key."""
        after = START if cursor is None else cast("tuple[datetime, str]", cursor)
        return len(await self._connection.fetch(SELECT_IDS, STORE, *after, limit))


class AsyncpgReducer(Asyncpg):
    """The same, which builds the state."""

    name = "asyncpg, with the reducer"

    async def load(self, aggregate_id: str) -> int:
        """Select the rows, and reduce them."""
        order = None
        for row in await self._connection.fetch(SELECT_EVENTS, STORE, aggregate_id):
            order = reduce_row(order, row[0], row[1], row[2], orjson.loads(row[4]))
        assert order is not None
        return order.version


class AsyncpgChecked(Asyncpg):
    """One connection that is held, and a statement that checks what castore's does."""

    name = "asyncpg, checked"

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row after the version before it."""
        row = make_checked_row(aggregate_id, version, payload)
        assert await self._connection.fetch(INSERT_CHECKED, *row)


class SQLAlchemyChecked(AsyncpgChecked):
    """The same statement on an async engine with its defaults."""

    name = "SQLAlchemy, checked"
    _engine: AsyncEngine

    async def open(self, schema: Schema) -> None:
        """Make the engine."""
        await super().open(schema)
        args = schema.get_connect_args("asyncpg")
        engine = create_async_engine(schema.get_url("asyncpg"), connect_args=args)
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Dispose of it."""
        await self._engine.dispose()
        await super().close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row on a connection of the pool."""
        row = make_checked_row(aggregate_id, version, payload)
        async with self._engine.connect() as connection:
            result = await connection.exec_driver_sql(INSERT_CHECKED, row)
            assert result.fetchall()


class AsyncpgHeld(Asyncpg):
    """Connections that are held, and shared by a queue."""

    name = f"asyncpg, {CONNECTIONS} held"
    _idle: asyncio.Queue[Any]
    _held: list[Any]

    async def open(self, schema: Schema) -> None:
        """Open them."""
        await super().open(schema)
        self._idle, self._held = asyncio.Queue(), []
        for _ in range(CONNECTIONS):
            connection: Any = await asyncpg.connect(SERVER, **schema.get_connect_args("asyncpg"))
            self._idle.put_nowait(connection)
            self._held.append(connection)

    async def close(self) -> None:
        """Close them."""
        for each in self._held:
            await each.close()
        await super().close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row on the next that is idle."""
        connection = await self._idle.get()
        await connection.execute(INSERT, *make_row(aggregate_id, version, payload))
        self._idle.put_nowait(connection)


class AsyncpgPool(Asyncpg):
    """The pool of the driver."""

    name = f"asyncpg, pool of {CONNECTIONS}"
    _pool: Any

    async def open(self, schema: Schema) -> None:
        """Open the pool."""
        await super().open(schema)
        self._pool = await asyncpg.create_pool(
            SERVER,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            **schema.get_connect_args("asyncpg"),
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()
        await super().close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Insert a row on a connection of the pool."""
        await self._pool.execute(INSERT, *make_row(aggregate_id, version, payload))
