"""The users and posts of EvtStore's README, in castore."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypedDict

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import AggregateCommands, DataclassCodec, Event, EventDraft, EventStore
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter


class CommandError(Exception):
    """A command is not allowed."""


class Named(TypedDict):
    """The name of a user."""

    name: str


class UserCreated(Event, type="created"):
    """A user was created."""

    payload: Named


class UserDisabled(Event, type="disabled"):
    """A user was disabled."""


class UserEnabled(Event, type="enabled"):
    """A user was enabled."""


class Content(TypedDict):
    """The content of a post."""

    userId: str
    content: str


class PostCreated(Event, type="postCreated"):
    """A post was created."""

    payload: Content


class PostArchived(Event, type="postArchived"):
    """A post was archived."""


UserEvent: TypeAlias = UserCreated | UserDisabled | UserEnabled
PostEvent: TypeAlias = PostCreated | PostArchived


@dataclass(frozen=True)
class User:
    """The state of a user."""

    aggregate_id: str
    version: int
    name: str
    enabled: bool = True


@dataclass(frozen=True)
class Post:
    """The state of a post."""

    aggregate_id: str
    version: int
    user_id: str
    content: str
    archived: bool = False


def reduce_user(user: User | None, event: UserEvent) -> User:
    """Compute the state of a user: EvtStore's ``fold``."""
    if isinstance(event, UserCreated):
        return User(event.aggregate_id, event.version, event.payload["name"])
    assert user is not None
    return replace(user, version=event.version, enabled=isinstance(event, UserEnabled))


def reduce_post(post: Post | None, event: PostEvent) -> Post:
    """Compute the state of a post."""
    if isinstance(event, PostCreated):
        payload = event.payload
        return Post(event.aggregate_id, event.version, payload["userId"], payload["content"])
    assert post is not None
    return replace(post, version=event.version, archived=True)


users = EventStore(
    "users",
    event_types=[UserCreated, UserDisabled, UserEnabled],
    reduce=reduce_user,
    aggregate_codec=DataclassCodec(User),
)
posts = EventStore("posts", event_types=[PostCreated, PostArchived], reduce=reduce_post)


class Blog:
    """A domain: users and posts on one database, with their commands and a table of posts."""

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        self.engine = engine
        self.provider = SQLEventStorageAdapter(engine)
        self.bookmarks: SQLBookmarkStorageAdapter[Any] = SQLBookmarkStorageAdapter(engine)
        self.users = users.using(self.provider)
        self.posts = posts.using(self.provider)
        self.user_commands = make_user_commands(self.users)
        self.post_commands = make_post_commands(self.posts, self.users)

    async def create_tables(self) -> None:
        """Create the tables: EvtStore's ``migrate``."""
        for _ in range(2):  # tables that are there stay as they are
            await self.provider.create_tables()
            await self.bookmarks.create_tables()
        await self._run(
            "CREATE TABLE post_model (id VARCHAR(100) PRIMARY KEY, content VARCHAR(100))"
        )

    async def read_posts(self) -> dict[str, str]:
        """Return the read model."""
        return {
            str(key): str(content) for key, content in await self._run("SELECT * FROM post_model")
        }

    async def count_events(self) -> int:
        """Count the events of the database."""
        ((count,),) = await self._run("SELECT count(*) FROM event")
        return int(count)

    async def _run(self, sql: str) -> Sequence[Any]:
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.begin() as connection:
                return await execute(connection, sql)
        with self.engine.begin() as connection:
            return await execute(connection, sql)


async def execute(
    connection: Connection | AsyncConnection, sql: str, **values: Any
) -> Sequence[Any]:
    """Execute a statement on either kind of connection, and return its rows."""
    if isinstance(connection, AsyncConnection):
        result = await connection.execute(text(sql), values)
    else:
        result = connection.execute(text(sql), values)
    return result.all() if result.returns_rows else ()


def make_user_commands(
    user_store: EventStore[UserEvent, User],
) -> AggregateCommands[UserEvent, User]:
    """Return the commands of users: EvtStore's ``createCommands``."""
    commands = AggregateCommands(user_store)

    @commands.handler
    def create(user: User | None, *, name: str) -> EventDraft[UserCreated]:
        if user is not None:
            raise CommandError("User already exists")
        return UserCreated.draft(payload={"name": name})

    @commands.existing_handler
    def disable(user: User) -> EventDraft[UserDisabled] | None:
        return UserDisabled.draft() if user.enabled else None

    @commands.existing_handler
    def enable(user: User) -> EventDraft[UserEnabled] | None:
        return None if user.enabled else UserEnabled.draft()

    return commands


def make_post_commands(
    post_store: EventStore[PostEvent, Post], user_store: EventStore[UserEvent, User]
) -> AggregateCommands[PostEvent, Post]:
    """Return the commands of posts, of which two look at a user first."""
    commands = AggregateCommands(post_store)

    async def check(post: Post | None, user_id: str) -> None:
        if post is not None:
            raise CommandError("Post already exists")
        if (await user_store.get_aggregate(user_id)).aggregate is None:
            raise CommandError("Unauthorized")

    @commands.handler
    async def create_post(
        post: Post | None, *, user_id: str, content: str
    ) -> EventDraft[PostCreated]:
        await check(post, user_id)
        return PostCreated.draft(payload={"userId": user_id, "content": content})

    @commands.handler
    async def import_post(
        post: Post | None, *, user_id: str, content: str
    ) -> list[EventDraft[PostEvent]]:
        await check(post, user_id)
        created = PostCreated.draft(payload={"userId": user_id, "content": content})
        return [created, PostArchived.draft()]

    @commands.existing_handler
    def archive_post(post: Post, *, user_id: str) -> EventDraft[PostArchived] | None:
        if user_id != post.user_id:
            raise CommandError("Not allowed")
        return None if post.archived else PostArchived.draft()

    return commands
