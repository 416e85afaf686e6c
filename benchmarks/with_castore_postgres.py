"""castore on PostgreSQL."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_sql import SQLEventStorageAdapter
from postgres_server import Schema
from with_castore import CastoreBase


class CastoreAsyncpg(CastoreBase):
    """castore on an async engine with its defaults, and asyncpg."""

    name = "castore, asyncpg"
    _driver = "asyncpg"
    _engine: AsyncEngine

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        self._engine = create_async_engine(
            schema.get_url(self._driver), connect_args=schema.get_connect_args(self._driver)
        )
        adapter = SQLEventStorageAdapter(self._engine)
        await adapter.create_tables()
        self._use(adapter)

    async def close(self) -> None:
        """Dispose of the engine."""
        await self._engine.dispose()

    async def show(self, setting: str) -> object:
        """Ask a connection of the engine."""
        async with self._engine.connect() as connection:
            return (await connection.execute(text(f"SHOW {setting}"))).scalar()


class CastorePsycopg(CastoreAsyncpg):
    """castore on an async engine with psycopg."""

    name = "castore, psycopg"
    _driver = "psycopg"
