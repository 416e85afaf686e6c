"""Accounts, and a projection that sums what was deposited, on several storages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import DataclassCodec, Event, EventStorageAdapter, EventStore
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from castore_projections import Projection, ProjectionContext
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter


class Amount(TypedDict):
    """An amount of money."""

    amount: int


class Opened(Event, type="OPENED"):
    """An account was opened."""


class Deposited(Event, type="DEPOSITED"):
    """Money came in."""

    payload: Amount


class Closed(Event, type="CLOSED"):
    """An account was closed."""


@dataclass(frozen=True)
class Account:
    """An account."""

    aggregate_id: str
    version: int


def reduce_account(_account: Account | None, event: Opened | Deposited | Closed) -> Account:
    """Count the events of an account."""
    return Account(event.aggregate_id, event.version)


AccountStore = EventStore[Opened | Deposited | Closed, Account]


def make_accounts(adapter: EventStorageAdapter | None, store_id: str = "ACCOUNTS") -> AccountStore:
    """Return a store of accounts."""
    return EventStore(
        store_id,
        event_types=[Opened, Deposited, Closed],
        reduce=reduce_account,
        storage_adapter=adapter,
        aggregate_codec=DataclassCodec(Account),
    )


class World:
    """A storage of events, one of bookmarks, and a read model that counts deposits."""

    accounts: AccountStore
    others: AccountStore
    bookmarks: Any
    is_transactional: bool

    def __init__(self) -> None:
        self.projections: list[Projection[Any]] = []

    async def push(
        self, aggregate_id: str, *amounts: int, store: AccountStore | None = None
    ) -> None:
        """Push deposits, after the opening of an account that is new."""
        store = store or self.accounts
        loaded = await store.get_aggregate(aggregate_id)
        version = loaded.last_event.version if loaded.last_event else 0
        if version == 0:
            await store.push_event(Opened(aggregate_id, 1))
            version = 1
        for number, amount in enumerate(amounts, version + 1):
            await store.push_event(Deposited(aggregate_id, number, payload={"amount": amount}))

    async def add(self, context: ProjectionContext[Any], aggregate_id: str, amount: int) -> None:
        """Add to the read model, in the transaction of the bookmark."""
        raise NotImplementedError

    async def read(self) -> dict[str, int]:
        """Return the sums of all accounts."""
        raise NotImplementedError

    async def clear(self, transaction: Any) -> None:
        """Empty the read model, in a transaction."""
        raise NotImplementedError

    def project(self, name: str = "sums", **options: Any) -> Projection[Any]:
        """Return a projection that sums deposits."""
        given: dict[str, Any] = {
            "event_stores": [self.accounts],
            "bookmarks": self.bookmarks,
            "retry_delay": no_delay,
        }
        projection: Projection[Any] = Projection(name, **{**given, **options})

        @projection.on(Deposited)
        async def add(event: Deposited, context: ProjectionContext[Any]) -> None:
            await self.add(context, event.aggregate_id, event.payload["amount"])

        return projection


def no_delay(_attempt: int) -> float:
    """Try again at once."""
    return 0.0


class InMemoryWorld(World):
    """Everything in memory: what a handler did is not taken back."""

    is_transactional = False

    def __init__(self) -> None:
        super().__init__()
        adapter = InMemoryEventStorageAdapter()
        self.accounts = make_accounts(adapter)
        self.others = make_accounts(adapter, "OTHERS")
        self.bookmarks = InMemoryBookmarkStorageAdapter()
        self.sums: dict[str, int] = {}

    async def add(self, context: ProjectionContext[Any], aggregate_id: str, amount: int) -> None:
        """Add to a dict."""
        assert context.transaction is None
        self.sums[aggregate_id] = self.sums.get(aggregate_id, 0) + amount

    async def read(self) -> dict[str, int]:
        """Return the dict."""
        return dict(self.sums)

    async def clear(self, transaction: Any) -> None:
        """Empty the dict."""
        assert transaction is None
        self.sums.clear()


class SQLWorld(World):
    """Everything in one database."""

    is_transactional = True

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        super().__init__()
        self.engine = engine
        self.events = SQLEventStorageAdapter(engine)
        self.accounts = make_accounts(self.events)
        self.others = make_accounts(self.events, "OTHERS")
        self.bookmarks = SQLBookmarkStorageAdapter(engine)

    @classmethod
    async def make(cls, engine: Engine | AsyncEngine) -> Self:
        """Return a world with its tables."""
        world = cls(engine)
        await world.events.create_tables()
        await world.bookmarks.create_tables()
        await world._run("CREATE TABLE sums (id VARCHAR(100) PRIMARY KEY, amount BIGINT)")
        return world

    async def add(self, context: ProjectionContext[Any], aggregate_id: str, amount: int) -> None:
        """Add to a row."""
        is_mysql = self.engine.dialect.name in ("mysql", "mariadb")
        replace = "DUPLICATE KEY UPDATE" if is_mysql else "CONFLICT (id) DO UPDATE SET"
        await run(
            context.transaction,
            "INSERT INTO sums VALUES (:id, :amount) "  # noqa: S608 no value of others
            f"ON {replace} amount = sums.amount + :amount",
            id=aggregate_id,
            amount=amount,
        )

    async def read(self) -> dict[str, int]:
        """Read the rows."""
        return {str(key): int(amount) for key, amount in await self._run("SELECT * FROM sums")}

    async def clear(self, transaction: Any) -> None:
        """Delete the rows."""
        await run(transaction, "DELETE FROM sums")

    async def _run(self, sql: str) -> Sequence[Any]:
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.begin() as connection:
                return await run(connection, sql)
        with self.engine.begin() as connection:
            return await run(connection, sql)


async def run(connection: Connection | AsyncConnection, sql: str, **values: Any) -> Sequence[Any]:
    """Execute a statement, and return its rows."""
    if isinstance(connection, AsyncConnection):
        result = await connection.execute(text(sql), values)
    else:
        result = connection.execute(text(sql), values)
    return result.all() if result.returns_rows else ()


async def eventually(check: Callable[[], Awaitable[bool]], *, within: float = 10.0) -> None:
    """Wait until a check holds.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 another process may be what changes
            await asyncio.sleep(0.01)
