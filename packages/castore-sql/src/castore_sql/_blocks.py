"""Blocks: transactions on the user's engine that the user writes in, and castore ends.

An async connection is the event loop's. A synchronous one is used in the thread of the event loop,
too, which is the thread of the block.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Engine
from sqlalchemy.engine import RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import StorageError
from castore_sql._connection import Work
from castore_sql._database import EngineDatabase
from castore_sql._dialect import Dialect

T = TypeVar("T")


class Block:
    """A transaction that is under way, on a connection that nobody else has.

    Use `open_block` to begin one.
    """

    def __init__(
        self,
        connection: SQLAlchemyConnection | AsyncConnection,
        database: EngineDatabase,
        dialect: Dialect,
    ) -> None:
        self.connection = connection
        self._database = database
        self._dialect = dialect
        self._transaction: RootTransaction | None = None

    async def begin(self) -> None:
        """Begin the transaction, as soon as the database is not busy."""
        await self._database.begin(lambda: _run(self.connection, self._begin))

    async def commit(self, work: Work[bool]) -> bool:
        """Run work at the end of the transaction, and commit if it agrees.

        Raises:
            StorageError: the user has ended the transaction, or the database failed.
        """
        is_committed = await self._database.end(
            lambda: _run(self.connection, lambda each: self._commit(each, work))
        )
        if is_committed:
            self._database.wakeup.wake()  # events may have been pushed in the block
        return is_committed

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke, and the transaction with it."""
        return not self.connection.closed and self.connection.invalidated

    async def roll_back(self) -> None:
        """Undo what the block has written. The end of the connection does what is left of it."""
        with suppress(Exception):  # the error that the block ended with says more
            await _run(self.connection, self._dialect.roll_back_block)

    def _begin(self, connection: SQLAlchemyConnection) -> None:
        self._dialect.begin_block(connection)
        self._transaction = connection.get_transaction()

    def _commit(self, connection: SQLAlchemyConnection, work: Work[bool]) -> bool:
        transaction = connection.get_transaction()
        if transaction is None or transaction is not self._transaction or not transaction.is_active:
            raise StorageError(
                "the block has ended its transaction, which was to be committed with the bookmark: "
                "the bookmark did not move"
            )
        return self._dialect.commit_block(connection, work)


@asynccontextmanager
async def open_block(
    engine: Engine | AsyncEngine, database: EngineDatabase, dialect: Dialect
) -> AsyncGenerator[Block]:
    """Give a transaction on a connection of the engine's pool; roll back what was not committed.

    Raises:
        StorageError: no connection could be had, the database was busy for too long, or the
            connection broke in the block, whose error is the cause.
    """
    async with AsyncExitStack() as stack:
        connection = await database.begin(lambda: _connect(engine, stack))
        block = Block(connection, database, dialect)
        try:
            await block.begin()
            yield block
        except BaseException as error:
            is_lost = block.is_lost
            await block.roll_back()
            if is_lost and isinstance(error, Exception) and not isinstance(error, StorageError):
                text = "the connection of the block broke, and nothing of it was written"
                raise StorageError(text) from error
            raise


async def _connect(
    engine: Engine | AsyncEngine, stack: AsyncExitStack
) -> SQLAlchemyConnection | AsyncConnection:
    if isinstance(engine, AsyncEngine):
        return await stack.enter_async_context(engine.connect())
    return stack.enter_context(engine.connect())


async def _run(
    connection: SQLAlchemyConnection | AsyncConnection,
    function: Callable[[SQLAlchemyConnection], T],
) -> T:
    if isinstance(connection, AsyncConnection):
        return await connection.run_sync(function)
    return function(connection)
