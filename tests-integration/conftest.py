"""Databases with events, processes that run a projection on them, and storages of each kind."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import EventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from counting import Counting, Place
from event_storages import MakeStorage, temporary_storage
from pokemon import PokemonStore, TrainerStore, pokemons, trainers
from projection_processes import Processes
from sql_servers import KINDS, ServerDatabase, using_servers


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> Iterator[Place]:
    """Give a database: a file of SQLite, or a schema of PostgreSQL that no other test holds up."""
    if request.param.startswith("sqlite"):
        yield Place(f"{request.param}:///{tmp_path}/events.db", {})
        return
    driver = KINDS[request.param].driver
    database = ServerDatabase("postgres", find_server("postgres"))
    with using_servers(alone=True):
        database.create()
        url = database.get_url(driver).render_as_string(hide_password=False)
        yield Place(url, database.get_connect_args(driver))
        database.drop()


@pytest.fixture
def alone_on_servers() -> Iterator[None]:
    """Keep other tests from holding back the logs of servers."""
    with using_servers(alone=True):
        yield


@pytest.fixture
async def make_storage(
    tmp_path: Path, find_server: Callable[[str], str]
) -> AsyncIterator[MakeStorage]:
    """Give a function that makes empty storages; from one on PostgreSQL on, the test runs alone."""
    with ExitStack() as servers:
        async with AsyncExitStack() as storages:
            is_alone = False

            async def make(kind: str, *, allow_gaps: bool = False) -> EventStorageAdapter:
                nonlocal is_alone
                if kind == "postgres" and not is_alone:
                    servers.enter_context(using_servers(alone=True))
                    is_alone = True
                storage = temporary_storage(kind, tmp_path, find_server, allow_gaps=allow_gaps)
                return await storages.enter_async_context(storage)

            yield make


@pytest.fixture
async def counting(place: Place) -> AsyncIterator[Counting]:
    """Give a database with its tables."""
    counting = Counting(place.create_engine())
    await counting.create_tables()
    yield counting
    await counting.dispose()


@pytest.fixture
def processes(place: Place, counting: Counting) -> Iterator[Processes]:  # noqa: ARG001 it has tables
    """Give a starter of processes."""
    processes = Processes(place)
    yield processes
    processes.close()


@pytest.fixture
async def stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[PokemonStore, TrainerStore]]:
    """Give the stores of pokemons and of trainers, on one database."""
    engine = create_engine(f"sqlite:///{tmp_path / 'pokemon.db'}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    for store in (pokemons, trainers):
        monkeypatch.setattr(store, "storage_adapter", adapter)
    yield pokemons, trainers
    engine.dispose()
