"""Projections on PostgreSQL: each event adds 1 to a row of a read model, in the same database."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Protocol
from uuid import UUID

import orjson
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection as EventSourcingsProjection
from eventsourcing.projection import ProjectionRunner
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_projections import Projection, ProjectionContext
from castore_sql import SQLBookmarkStorageAdapter
from postgres_server import OnServer, ReadModel, Schema, ServerContestant
from with_asyncpg import SELECT_LOG, Asyncpg
from with_castore import ItemAdded, OrderEvent, OrderPlaced
from with_castore_postgres import CastoreAsyncpg
from with_eventsourcing import EventSourcingPostgres, Order
from with_node import EvtStoreOnNode

BATCH = 100  # as castore has it by default
NAME = "orders"
UPSERT = (
    "INSERT INTO {table} (order_id, items) VALUES ({order_id}, 1)"
    " ON CONFLICT (order_id) DO UPDATE SET items = read_model.items + 1"
)
UPSERT_ON_ASYNCPG = UPSERT.format(table="read_model", order_id="$1")
UPSERT_ON_PSYCOPG = sql.SQL(UPSERT.format(table="{}.read_model", order_id="%s"))
UPSERT_ON_SQLALCHEMY = text(UPSERT.format(table="read_model", order_id=":order_id"))


class Projecting(OnServer, Protocol):
    """A contestant with a projection."""

    read_model: ReadModel

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write that many events of each aggregate."""
        ...

    async def project(self, count: int) -> float:
        """Handle all events of the log, of which there are ``count``; return the seconds."""
        ...


class ProjectingHere(Projecting, ServerContestant, Protocol):
    """One in this process."""


class AsyncpgProjection(Asyncpg):
    """A loop: a page of events, their statements and the bookmark in one transaction."""

    read_model: ReadModel

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        await super().open(schema)
        self.read_model = ReadModel(schema, "UPDATE bookmark SET tx = -1, id = 0")
        await self.read_model.create()
        await self._connection.execute("CREATE TABLE bookmark (tx BIGINT, id BIGINT)")
        await self._connection.execute("INSERT INTO bookmark VALUES (-1, 0)")

    async def project(self, count: int) -> float:
        """Select by key, decode the payloads, and write."""
        connection, handled, began = self._connection, 0, perf_counter()
        position = await connection.fetchrow("SELECT tx, id FROM bookmark")
        while rows := await connection.fetch(SELECT_LOG, *position, BATCH):
            async with connection.transaction():
                for row in rows:
                    orjson.loads(row["data"])
                    await connection.execute(UPSERT_ON_ASYNCPG, row["aggregate_id"])
                position = rows[-1]["tx"], rows[-1]["id"]
                await connection.execute("UPDATE bookmark SET tx = $1, id = $2", *position)
            handled += len(rows)
        assert handled == count
        return perf_counter() - began


async def count_item(event: OrderEvent, context: ProjectionContext[AsyncConnection]) -> None:
    """Handle an event of castore."""
    await context.transaction.execute(UPSERT_ON_SQLALCHEMY, {"order_id": event.aggregate_id})


class CastoreProjection(CastoreAsyncpg):
    """A `Projection` with its defaults.

    Args:
        batch_size: how many events share a transaction.
    """

    read_model: ReadModel

    def __init__(self, batch_size: int = BATCH) -> None:
        self._batch_size = batch_size

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        await super().open(schema)
        self.bookmarks = SQLBookmarkStorageAdapter(self._engine)
        await self.bookmarks.create_tables()
        self.read_model = ReadModel(schema, "TRUNCATE bookmark, parked_event")
        await self.read_model.create()

    async def project(self, count: int) -> float:
        """Run once."""
        began = perf_counter()
        projection = Projection(
            NAME,
            event_stores=[self.store],
            bookmarks=self.bookmarks,
            batch_size=self._batch_size,
        )
        projection.on(OrderPlaced, ItemAdded)(count_item)
        assert await projection.run_once() == count
        return perf_counter() - began


class OrdersView(PostgresTrackingRecorder):
    """The read model of eventsourcing."""

    handled = 0

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        self._upsert = UPSERT_ON_PSYCOPG.format(sql.Identifier(datastore.schema))

    def count_item(self, order_id: UUID, tracking: Tracking) -> None:
        """Write the row and the position in one transaction, as the documentation does."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._upsert, (str(order_id),), prepare=True)
        self.handled = tracking.notification_id


class OrdersProjection(EventSourcingsProjection[OrdersView]):
    """The projection of eventsourcing."""

    name = NAME

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Handle an event by its class."""

    @process_event.register(Order.Placed)
    @process_event.register(Order.ItemAdded)
    def _(self, domain_event: Order.Placed | Order.ItemAdded, tracking: Tracking) -> None:
        self.view.count_item(domain_event.originator_id, tracking)


class EventSourcingProjection(EventSourcingPostgres):
    """A `ProjectionRunner`, which handles events in a thread."""

    read_model: ReadModel

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        await super().open(schema)
        # The table has another row, which says how the library made it.
        forget = "DELETE FROM orders_tracking WHERE application_name = 'Application'"
        self.read_model = ReadModel(schema, forget)
        await self.read_model.create()
        with self._make_runner():
            pass  # it has created the table of positions

    async def project(self, count: int) -> float:  # noqa: ARG002 positions may have gaps
        """Run until the last event is handled."""
        end = self._application.recorder.max_notification_id() or 0
        began = perf_counter()
        with self._make_runner() as runner:
            while runner.view.handled < end:
                await asyncio.sleep(0.01)
                runner.run_forever(0)  # raises the error that has ended the runner
            return perf_counter() - began

    def _make_runner(self) -> ProjectionRunner[Application[UUID], OrdersView]:
        return ProjectionRunner(
            application_class=Application[UUID],
            projection_class=OrdersProjection,
            view_class=OrdersView,
            env=self._environment,
        )


class EvtStoreProjection(EvtStoreOnNode):
    """A handler of EvtStore on Node. Its row and its bookmark are two transactions."""

    read_model: ReadModel

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        await super().open(schema)
        self.read_model = ReadModel(schema, "TRUNCATE bookmarks")
        await self.read_model.create()

    async def project(self, count: int) -> float:
        """Run once."""
        answer = await self._ask("project")
        assert answer["value"] == count
        seconds: float = answer["seconds"]
        return seconds
