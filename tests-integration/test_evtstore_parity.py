"""The whole public API of EvtStore 12, name by name, in castore: on SQLite and PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStore,
    LogPosition,
    Snapshots,
)
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemorySnapshotStorageAdapter,
)
from castore_projections import (
    EventFailed,
    EventsHandled,
    EventSkipped,
    Projection,
    ProjectionContext,
    ProjectionReport,
)
from castore_sql import SQLSnapshotStorageAdapter
from sql_servers import KINDS, ServerDatabase, dispose, read_log, using_servers
from users_and_posts import (
    Blog,
    CommandError,
    Post,
    PostArchived,
    PostCreated,
    User,
    UserCreated,
    UserDisabled,
    UserEnabled,
    UserEvent,
    execute,
    users,
)

ADA = User("ada", 1, "Ada")
PAGE = Path(__file__).parents[1] / "docs" / "coming-from-evtstore.md"

# What evtstore 12.0.1 exports, with its providers, and the members of what they return.
NAMES = """
createDomain createDomainV1 createDomainV2 createHandler createBookmark createAggregate
createProvidedAggregate createPersistedAggregate createCommands
Domain Provider Event Fold Command CommandHandler Handler CmdBody EventMeta StoreEvent
StreamsHandler Aggregate BaseAggregate DomainHandlerOpts DomainOptions AggregateStore ErrorCallback
HandlerBody HandlerBookmark HandlerHooks ProvidedAggregate StorableAggregate ProviderBookmark
ExecutableAggregate Ext VersionError CommandError MemoryBookmark HandlerOptsV1 HandlerOptions
createProvider migrate migratePool migrateClient cypher Options MigrateOptions MigrateClientOptions
Bookmark provider/memory provider/knex provider/pg provider/postgres provider/mongo provider/neo4j
provider/neo4j-v3
stream create fold version persistAggregate useCache getAggregate toNextAggregate __pv
handle handleStream handlers start stop run runOnce reset getPosition setPosition name hooks preRun
postRun tailStream alwaysTailStream continueOnError
driver onError getEventsFrom getEventsFor getLastEventFor createEvents append limit
aggregateId timestamp position
"""


@pytest.fixture(params=["sqlite", "postgres"])
async def blog(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> AsyncIterator[Blog]:
    """Give a blog on each kind of database."""
    if request.param == "sqlite":
        sqlite = create_engine(f"sqlite:///{tmp_path / 'blog.db'}")
        yield await make_blog(Blog(sqlite))
        sqlite.dispose()
        return
    database = ServerDatabase("postgres", find_server("postgres"))
    with using_servers(alone=False):
        database.create()
        engine = database.make_engine(KINDS["asyncpg"])
        yield await make_blog(Blog(engine))
        await dispose(engine)
        database.drop()


async def make_blog(blog: Blog) -> Blog:
    """Let there be tables and a user."""
    await blog.create_tables()
    await blog.user_commands.run("create", "ada", name="Ada")
    return blog


async def settle(blog: Blog) -> None:
    """Wait until the log shows all events: transactions of other tests may hold it back."""
    await read_log(blog.provider, await blog.count_events())


async def run_once(blog: Blog, handler: Projection[Any]) -> int:
    """Handle all events that are stored."""
    await settle(blog)
    return await handler.run_once()


def no_delay(_attempt: int) -> float:
    """Try again at once."""
    return 0.0


async def write_posts(blog: Blog, *post_ids: str) -> None:
    """Let Ada write posts."""
    for each in post_ids:
        await blog.post_commands.run("create_post", each, user_id="ada", content=f"on {each}")


def make_handler(blog: Blog, bookmark: str = "posts-model", **options: Any) -> Projection[Any]:
    """Return the handler of EvtStore's README, which keeps a table of posts."""
    defaults: dict[str, Any] = {
        "event_stores": [blog.posts],
        "bookmarks": blog.bookmarks,
        "retry_delay": no_delay,
    }
    handler: Projection[Any] = Projection(bookmark, **(defaults | options))

    @handler.on(PostCreated)
    async def insert(event: PostCreated, context: ProjectionContext[Any]) -> None:
        if event.payload["content"] == "on fire":
            raise OSError("the post is on fire")
        await execute(
            context.transaction,
            "INSERT INTO post_model VALUES (:id, :content)",
            id=event.aggregate_id,
            content=event.payload["content"],
        )

    @handler.on(PostArchived)
    async def delete(event: PostArchived, context: ProjectionContext[Any]) -> None:
        await execute(
            context.transaction, "DELETE FROM post_model WHERE id = :id", id=event.aggregate_id
        )

    return handler


def test_page_has_every_name() -> None:
    """The page about EvtStore says what each of its names is here."""
    prose = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    code = " ".join(re.findall(r"`([^`]+)`", prose))
    assert [] == [
        name for name in NAMES.split() if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code)
    ]


class TestAggregates:
    """`createAggregate`, `createProvidedAggregate`, `createDomain`: event stores."""

    async def test_get_aggregate(self, blog: Blog) -> None:
        """`getAggregate` folds the events; before the first there is none."""
        assert ADA == (await blog.users.get_aggregate("ada")).aggregate
        assert None is (await blog.users.get_aggregate("bob")).aggregate

    async def test_to_next_aggregate(self, blog: Blog) -> None:
        """`toNextAggregate` is `build_aggregate`, from a state."""
        disabled = blog.users.build_aggregate([UserDisabled("ada", 2)], ADA)
        assert User("ada", 2, "Ada", enabled=False) == disabled

    async def test_provided(self, blog: Blog) -> None:
        """`createProvidedAggregate` is `using`: one declaration, with another provider."""
        other = users.using(InMemoryEventStorageAdapter())
        await other.push_event(UserCreated("ada", 1, payload={"name": "Another"}))
        assert ADA == (await blog.users.get_aggregate("ada")).aggregate
        assert None is users.storage_adapter

    async def test_event_meta(self, blog: Blog) -> None:
        """`EventMeta` and `StoreEvent` are attributes of the event, and of its entry in the log."""
        (event,) = await blog.users.get_events("ada")
        assert ("created", "ada", 1) == (event.type, event.aggregate_id, event.version)
        assert event.timestamp.tzinfo is not None
        (entry,) = await read_log(blog.provider, 1)
        assert "users" == entry.event_store_id
        assert entry.position == await blog.provider.get_last_position()


class TestSnapshots:
    """`useCache`, `createPersistedAggregate`, `version` and `persistAggregate`: snapshots."""

    async def test_use_cache(self, blog: Blog) -> None:
        """With `useCache`, a load reads the events after the last; it never misses one."""
        cache = Snapshots(InMemorySnapshotStorageAdapter(max_size=1000), every=1)
        cached = users.using(blog.provider, snapshots=cache)
        assert None is (await cached.get_aggregate("ada")).snapshot_version
        await cache.drain()
        await blog.user_commands.run("disable", "ada")
        loaded = await cached.get_aggregate("ada")
        assert User("ada", 2, "Ada", enabled=False) == loaded.aggregate
        assert 1 == loaded.snapshot_version

    async def test_persist_aggregate(self, blog: Blog) -> None:
        """With `persistAggregate`, each push keeps the state, for other processes, too."""
        storage = SQLSnapshotStorageAdapter(blog.engine)
        await storage.create_tables()

        def open_store(version: str) -> tuple[Snapshots, EventStore[UserEvent, User]]:
            snapshots = Snapshots(storage, every=1, reducer_version=version)
            return snapshots, users.using(blog.provider, snapshots=snapshots)

        snapshots, persisted = open_store("1")
        async with snapshots:
            await persisted.push_event(UserDisabled("ada", 2))
        _, again = open_store("1")
        assert 2 == (await again.get_aggregate("ada")).snapshot_version
        _, renewed = open_store("2")
        loaded = await renewed.get_aggregate("ada")
        assert (None, 2) == (loaded.snapshot_version, loaded.events_read)
        assert User("ada", 2, "Ada", enabled=False) == loaded.aggregate


class TestCommands:
    """`createCommands`: aggregate commands."""

    async def test_one_event(self, blog: Blog) -> None:
        """A handler that returns an event gives the aggregate after it."""
        disabled = await blog.user_commands.run("disable", "ada")
        assert User("ada", 2, "Ada", enabled=False) == disabled

    async def test_no_event(self, blog: Blog) -> None:
        """A handler that returns nothing gives the aggregate as it is, and stores nothing."""
        assert await blog.user_commands.run("enable", "ada") == ADA
        assert 1 == len(await blog.users.get_events("ada"))

    async def test_several_events(self, blog: Blog) -> None:
        """Events that are returned together get successive versions, all or none."""
        imported = await blog.post_commands.run("import_post", "p1", user_id="ada", content="on x")
        assert Post("p1", 2, "ada", "on x", archived=True) == imported
        assert [1, 2] == [each.version for each in await blog.posts.get_events("p1")]

    async def test_command_error(self, blog: Blog) -> None:
        """An error of a handler comes out, and nothing is stored."""
        with pytest.raises(CommandError, match="User already exists"):
            await blog.user_commands.run("create", "ada", name="Ada")
        with pytest.raises(CommandError, match="Unauthorized"):
            await blog.post_commands.run("create_post", "p1", user_id="bob", content="on x")
        await write_posts(blog, "p1")
        with pytest.raises(CommandError, match="Not allowed"):
            await blog.post_commands.run("archive_post", "p1", user_id="bob")
        assert 1 == len(await blog.posts.get_events("p1"))

    async def test_version_error(self, blog: Blog) -> None:
        """`VersionError` is `EventAlreadyExistsError`: of a push."""
        with pytest.raises(EventAlreadyExistsError):
            await blog.users.push_event(UserCreated("ada", 1, payload={"name": "Eve"}))

    async def test_concurrent_commands(self, blog: Blog) -> None:
        """A command runs again after a conflict: here both see the other's event, or none."""
        run = blog.user_commands.run
        await asyncio.gather(run("disable", "ada"), run("disable", "ada"))
        assert [UserCreated, UserDisabled] == list(map(type, await blog.users.get_events("ada")))


class TestHandlers:
    """`createHandler`: projections."""

    async def test_handle(self, blog: Blog) -> None:
        """The handlers keep the table; `runOnce` returns how many events were handled."""
        await write_posts(blog, "p1", "p2")
        await blog.post_commands.run("archive_post", "p1", user_id="ada")
        handler = make_handler(blog)
        assert 3 == await run_once(blog, handler)
        assert 0 == await run_once(blog, handler)
        assert {"p2": "on p2"} == await blog.read_posts()

    async def test_several_streams(self, blog: Blog) -> None:
        """Events of all streams come in one order; the context has the rest of `EventMeta`."""
        await write_posts(blog, "p1")
        await blog.user_commands.run("disable", "ada")
        seen: list[tuple[str, str]] = []
        positions: list[LogPosition | None] = []
        handler: Projection[Any] = Projection(
            "audit", event_stores=[blog.users, blog.posts], bookmarks=blog.bookmarks
        )

        @handler.on(UserCreated, UserDisabled, UserEnabled, PostCreated, PostArchived)
        async def note(
            event: UserCreated | UserDisabled | UserEnabled | PostCreated | PostArchived,
            context: ProjectionContext,
        ) -> None:
            seen.append((context.event_store_id, event.type))
            positions.append(context.position)

        await run_once(blog, handler)
        assert [("users", "created"), ("posts", "postCreated"), ("users", "disabled")] == seen
        assert positions == [each.position for each in (await blog.provider.read_events()).entries]

    async def test_bookmark(self, blog: Blog) -> None:
        """A handler goes on where one of its name has stopped; another begins at the start."""
        await write_posts(blog, "p1")
        assert 1 == await run_once(blog, make_handler(blog))
        assert 0 == await run_once(blog, make_handler(blog))
        await blog.post_commands.run("archive_post", "p1", user_id="ada")
        assert 1 == await run_once(blog, make_handler(blog))
        assert 2 == await run_once(blog, make_handler(blog, "another-model"))

    async def test_get_position(self, blog: Blog) -> None:
        """`getPosition` is in the status, which has `name`, too."""
        handler = make_handler(blog)
        await write_posts(blog, "p1")
        await run_once(blog, handler)
        status = await handler.status()
        assert "posts-model" == handler.name == status.name
        assert await blog.provider.get_last_position() == status.partitions[0].position

    async def test_memory_bookmark(self, blog: Blog) -> None:
        """`MemoryBookmark` and `createBookmark` are other storages of bookmarks."""
        await write_posts(blog, "p1")
        bookmarks = InMemoryBookmarkStorageAdapter()
        seen: list[str] = []
        for _ in range(2):
            handler = Projection("memory", event_stores=[blog.posts], bookmarks=bookmarks)

            @handler.on(PostCreated)
            async def note(event: PostCreated, _: ProjectionContext[None]) -> None:
                seen.append(event.aggregate_id)

            await run_once(blog, handler)
        assert ["p1"] == seen

    async def test_tail_stream(self, blog: Blog) -> None:
        """With `tailStream`, the first start of a bookmark passes over what there is."""
        await write_posts(blog, "p1")
        assert 0 == await run_once(blog, make_handler(blog, tail_stream=True))
        await write_posts(blog, "p2")
        assert 1 == await run_once(blog, make_handler(blog, tail_stream=True))
        assert {"p2": "on p2"} == await blog.read_posts()

    async def test_always_tail_stream(self, blog: Blog) -> None:
        """With `alwaysTailStream`, each start does so."""
        handler = make_handler(blog, always_tail_stream=True)
        await write_posts(blog, "p1")
        assert 0 == await run_once(blog, handler)
        await write_posts(blog, "p2")
        assert 1 == await run_once(blog, handler)
        await write_posts(blog, "p3")
        assert 0 == await run_once(blog, make_handler(blog, always_tail_stream=True))
        assert {"p2": "on p2"} == await blog.read_posts()

    async def test_continue_on_error(self, blog: Blog) -> None:
        """With `continueOnError`, an event that fails is reported, as to `onError`, and skipped."""
        reports: list[ProjectionReport] = []
        handler = make_handler(blog, continue_on_error=True, on_report=reports.append)
        await write_posts(blog, "fire", "p2")
        await blog.post_commands.run("archive_post", "fire", user_id="ada")
        await run_once(blog, handler)
        assert {"p2": "on p2"} == await blog.read_posts()
        (skipped,) = [each for each in reports if isinstance(each, EventSkipped)]
        assert ("posts", "fire", 1) == (
            skipped.event_store_id,
            skipped.aggregate_id,
            skipped.version,
        )
        assert isinstance(skipped.error, OSError)
        assert 0 == (await handler.status()).failed

    async def test_errors(self, blog: Blog) -> None:
        """Without it, EvtStore's handler stands still; ours holds back the one aggregate."""
        reports: list[ProjectionReport] = []
        handler = make_handler(blog, on_report=reports.append)
        await write_posts(blog, "fire", "p2")
        await blog.post_commands.run("archive_post", "fire", user_id="ada")
        await run_once(blog, handler)
        assert {"p2": "on p2"} == await blog.read_posts()
        assert 3 == len([each for each in reports if isinstance(each, EventFailed)])
        status = await handler.status()
        assert (1, 1) == (status.failed, status.waiting)

    async def test_hooks(self, blog: Blog) -> None:
        """`postRun` is the report of a batch."""
        reports: list[ProjectionReport] = []
        await write_posts(blog, "p1", "p2")
        await run_once(blog, make_handler(blog, on_report=reports.append))
        assert 2 == sum(each.count for each in reports if isinstance(each, EventsHandled))

    async def test_start_and_stop(self, blog: Blog) -> None:
        """`start` and `stop` are a context."""
        async with make_handler(blog) as handler:
            await write_posts(blog, "p1")
            (event,) = await blog.posts.get_events("p1")
            await handler.wait_for(event)
        await write_posts(blog, "p2")
        assert {"p1": "on p1"} == await blog.read_posts()

    async def test_run(self, blog: Blog) -> None:
        """`run` goes on until `stop`."""
        handler = make_handler(blog)
        await write_posts(blog, "p1")
        running = asyncio.create_task(handler.run())
        (event,) = await blog.posts.get_events("p1")
        await handler.wait_for(event)
        handler.stop()
        await running
        assert {"p1": "on p1"} == await blog.read_posts()

    async def test_reset(self, blog: Blog) -> None:
        """After `reset` all events come again, to a read model that is empty."""

        async def clear(transaction: Any) -> None:
            await execute(transaction, "DELETE FROM post_model")

        handler = make_handler(blog, on_clear=clear)
        await write_posts(blog, "p1", "p2")
        assert 2 == await run_once(blog, handler)
        await handler.reset()
        assert {} == await blog.read_posts()
        assert 2 == await run_once(blog, handler)
        assert {"p1": "on p1", "p2": "on p2"} == await blog.read_posts()


class TestProviders:
    """`createProvider` and the methods of a `Provider`: storage adapters."""

    async def test_append(self, blog: Blog) -> None:
        """`append` is a group: all or nothing."""
        group = blog.users.group_event
        await EventStore.push_event_group(
            group(UserDisabled("ada", 2)), group(UserEnabled("ada", 3))
        )
        with pytest.raises(EventAlreadyExistsError):
            await EventStore.push_event_group(
                group(UserDisabled("ada", 4)), group(UserCreated("ada", 1, payload={"name": "A"}))
            )
        assert [1, 2, 3] == [each.version for each in await blog.users.get_events("ada")]

    async def test_get_events(self, blog: Blog) -> None:
        """`getEventsFor`, `getEventsFrom` and `getLastEventFor`, with a `limit`."""
        await write_posts(blog, "p1", "p2")
        await blog.user_commands.run("disable", "ada")
        assert [2] == [each.version for each in await blog.users.get_events("ada", min_version=2)]
        (last,) = await blog.users.get_events("ada", reverse=True, limit=1)
        assert isinstance(last, UserDisabled)

        await settle(blog)
        read = blog.provider.read_events
        first = await read(["posts"], limit=1)
        assert ["p1"] == [each.record.aggregate_id for each in first.entries]
        rest = await read(["users", "posts"], first.position)
        assert ["p2", "ada"] == [each.record.aggregate_id for each in rest.entries]

    async def test_positions(self, blog: Blog) -> None:
        """`getPosition` and `setPosition` of a bookmark; a move needs its lease."""
        end = await blog.provider.get_last_position()
        lease = await blog.bookmarks.acquire_lease("mine", "me", timedelta(minutes=1))
        assert lease is not None
        async with blog.bookmarks.move_bookmark(lease, end):
            pass
        assert end == (await blog.bookmarks.get_bookmark("mine")).position

    async def test_memory_provider(self) -> None:
        """`createProvider` of `provider/memory` may begin with events."""
        timestamp = UserCreated("ada", 1, payload={"name": "Ada"}).timestamp
        record = EventRecord("ada", 1, "created", timestamp, {"name": "Ada"})
        in_memory = users.using(InMemoryEventStorageAdapter([("users", record)]))
        assert ADA == (await in_memory.get_aggregate("ada")).aggregate
