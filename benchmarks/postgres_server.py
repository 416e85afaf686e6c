"""The PostgreSQL server of the comparison, with a schema for each contestant."""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import uuid4

import orjson
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from contestants import Contestant
from workload import PLACED, STORE, make_payload

asyncpg: Any = import_module("asyncpg")  # which is only in part typed

# Where tests look for it.
SERVER = os.environ.get("CASTORE_TEST_POSTGRES_URL", "postgresql://castore@127.0.0.1:4613/castore")
DURABLE = {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}


@dataclass(frozen=True)
class Schema:
    """A schema of the server."""

    name: str

    def get_url(self, driver: str) -> URL:
        """Return the URL of the server for a driver of SQLAlchemy."""
        return make_url(SERVER).set(drivername=f"postgresql+{driver}")

    def get_connect_args(self, driver: str) -> dict[str, Any]:
        """Return what a driver needs to work in the schema."""
        if driver == "asyncpg":
            return {"server_settings": {"search_path": self.name}}
        return {"options": f"-c search_path={self.name}"}

    def get_node_url(self, connections: int) -> str:
        """Return the URL for Postgres.js, with at most so many connections."""
        return f"{SERVER}?search_path={self.name}&max={connections}"


class OnServer(Protocol):
    """One that works in a schema of the server."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        ...

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...

    async def show(self, setting: str) -> object:
        """Ask a connection like those that write for a setting of the server."""
        ...


class ServerContestant(OnServer, Contestant, Protocol):
    """A contestant on the server, in this process."""


S = TypeVar("S", bound=OnServer)
ServerKinds: TypeAlias = Sequence[Callable[[], S]]


async def describe_server() -> str | None:
    """Return the version of the server, or ``None`` where it does not answer."""
    try:
        connection = await asyncpg.connect(SERVER, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    version: str = await connection.fetchval("SHOW server_version")
    await connection.close()
    return version


@asynccontextmanager
async def opened_schema() -> AsyncGenerator[Schema]:
    """Create a schema, and drop it in the end."""
    schema = Schema(f"castore_bench_{uuid4().hex[:12]}")
    await _execute(f"CREATE SCHEMA {schema.name}")
    try:
        yield schema
    finally:
        await _execute(f"DROP SCHEMA {schema.name} CASCADE")


@asynccontextmanager
async def created_database() -> AsyncGenerator[str]:
    """Create a database, give its URL for asyncpg, and drop it in the end."""
    name = f"castore_bench_{uuid4().hex[:12]}"
    await _execute(f"CREATE DATABASE {name}")
    try:
        url = make_url(SERVER).set(drivername="postgresql+asyncpg", database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        await _execute(f"DROP DATABASE {name}")


@asynccontextmanager
async def opened_on_server(
    kinds: ServerKinds[S], shared: Schema | None = None
) -> AsyncGenerator[list[S]]:
    """Open one contestant of each kind, in a schema of its own, or all in one."""
    async with AsyncExitStack() as stack:
        contestants: list[S] = []
        for kind in kinds:
            schema = shared or await stack.enter_async_context(opened_schema())
            contestant = kind()
            stack.push_async_callback(contestant.close)
            await contestant.open(schema)
            contestants.append(contestant)
        await check_settings(contestants)
        yield contestants


async def check_settings(contestants: Sequence[OnServer]) -> None:
    """Refuse a comparison in which somebody does not wait for the disk."""
    for each in contestants:
        for setting, value in DURABLE.items():
            if (found := await each.show(setting)) != value:
                raise RuntimeError(f"{each.name} has {setting} = {found}")


async def fill_with_ids(schema: Schema, count: int) -> None:
    """Write one event of each of so many aggregates to castore's table, by the server itself."""
    connection = await _connect()
    await connection.execute(
        f"INSERT INTO {schema.name}.event"  # noqa: S608 the name is our own
        " (aggregate_name, aggregate_id, version, type, data, timestamp)"
        " SELECT $1, CAST(gen_random_uuid() AS TEXT), 1, $2, $3,"
        " CURRENT_TIMESTAMP - number * INTERVAL '1 millisecond'"
        " FROM generate_series(1, CAST($4 AS INTEGER)) AS number",
        *(STORE, PLACED, _to_json(make_payload(1)), count),
    )
    await connection.close()


class ReadModel:
    """A table that counts the items of each order, in the schema of a contestant.

    Args:
        schema: where it is.
        forget: moves the contestant's bookmark to the beginning of the log.
    """

    def __init__(self, schema: Schema, forget: str) -> None:
        self._schema = schema
        self._forget = forget

    async def create(self) -> None:
        """Create the table."""
        await self._run("CREATE TABLE read_model (order_id TEXT PRIMARY KEY, items BIGINT)")

    async def reset(self) -> None:
        """Let the projection begin with the first event, and an empty table."""
        await self._run("TRUNCATE read_model")
        await self._run(self._forget)

    async def check(self, aggregates: int, events: int) -> None:
        """Refuse a read model that does not have each event once."""
        found = tuple(
            await self._run("SELECT count(*), CAST(sum(items) AS BIGINT) FROM read_model")
        )
        if found != (aggregates, events):
            raise RuntimeError(f"the read model has (orders, items) = {found}")

    async def _run(self, statement: str) -> Any:
        connection = await asyncpg.connect(SERVER, **self._schema.get_connect_args("asyncpg"))
        try:
            return await connection.fetchrow(statement)
        finally:
            await connection.close()


async def settle() -> None:
    """Leave no work for later to the server: statistics, dead rows, and pages to be written."""
    connection = await _connect()
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname LIKE 'castore\\_bench\\_%'"
    )
    for (table,) in tables:
        await connection.execute(f"VACUUM (ANALYZE) {table}")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _execute(statement: str) -> None:
    connection = await _connect()
    await connection.execute(statement)
    await connection.close()


async def _connect() -> Any:
    return await asyncpg.connect(SERVER)


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()
