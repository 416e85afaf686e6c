"""A database of its own on a server, for each test, and engines on it."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from sql_servers import KINDS, POSTGRES_KINDS, Kind, ServerDatabase, dispose, using_servers


@pytest.fixture
def make_database(
    find_server: Callable[[str], str], request: pytest.FixtureRequest
) -> Iterator[Callable[[str], ServerDatabase]]:
    """Give a function that creates a database on a server, which is dropped after the test."""
    created: list[ServerDatabase] = []
    is_alone = request.node.get_closest_marker("alone") is not None

    def make(server: str) -> ServerDatabase:
        database = ServerDatabase(server, find_server(server))
        database.create()
        created.append(database)
        return database

    with using_servers(alone=is_alone):
        yield make
        for each in created:
            each.drop()


@pytest.fixture(params=POSTGRES_KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Give each kind of engine on a server."""
    return KINDS[request.param]


@pytest.fixture
def database(kind: Kind, make_database: Callable[[str], ServerDatabase]) -> ServerDatabase:
    """Give an empty database on the server of a kind."""
    return make_database(kind.server)


@pytest.fixture
async def engine(kind: Kind, database: ServerDatabase) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine on the database."""
    engine = database.make_engine(kind)
    yield engine
    await dispose(engine)


@pytest.fixture
async def other_engine(kind: Kind, database: ServerDatabase) -> AsyncIterator[Engine | AsyncEngine]:
    """Give another engine on the database."""
    engine = database.make_engine(kind)
    yield engine
    await dispose(engine)


@pytest.fixture
def drop_table(database: ServerDatabase) -> Callable[[], None]:
    """Give a function that drops the table of events."""

    def drop() -> None:
        database.run("DROP TABLE event")

    return drop
