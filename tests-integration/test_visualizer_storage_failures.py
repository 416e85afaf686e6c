"""The visualizer beside a storage that fails: it hides no other one."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.testclient import TestClient

from castore_core import EventStore, JSONValue
from castore_sql import SQLEventStorageAdapter
from castore_visualizer import Field, Mask, create_app
from castore_visualizer._app import build_app
from castore_visualizer._inventory import Inventory
from castore_visualizer._masking import Masking
from castore_visualizer._site import Site
from correlated import OrderPlaced, make_stores, reduce_thing
from pokemon import pokemons, trainers

CLOSED: Final = "postgresql+asyncpg://ash@127.0.0.1:9/x"  # nobody listens there


def open_closed_server(folder: Path) -> SQLEventStorageAdapter:
    """Return a storage whose server is down."""
    del folder
    return SQLEventStorageAdapter(create_async_engine(CLOSED))


def open_empty_database(folder: Path) -> SQLEventStorageAdapter:
    """Return a storage without tables."""
    return SQLEventStorageAdapter(create_engine(f"sqlite:///{folder / 'empty.db'}"))


BROKEN: Final[list[tuple[Callable[[Path], SQLEventStorageAdapter], str]]] = [
    (open_closed_server, "the database cannot be reached"),
    (open_empty_database, "no such table: event"),
]


def to_text(page: str) -> str:
    """Return the text of a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


class Visit:
    """Two stores that can be read, ORDERS and PARCELS, and two that cannot."""

    def __init__(self, broken: SQLEventStorageAdapter, mask: Mask | None = None) -> None:
        app = create_app(
            [pokemons.using(broken), *make_stores(), trainers.using(broken)], mask=mask
        )
        self._client = TestClient(app, base_url="http://localhost", follow_redirects=False)

    def read(self, path: str) -> str:
        """Return the text of a page."""
        answer = self._client.get(path)
        assert 200 == answer.status_code, answer.text[:500]
        return to_text(answer.text)

    def ask(self, path: str) -> Any:
        """Return the answer for a page, as JSON."""
        return self._client.get(path).json()


@pytest.mark.parametrize(("open_broken", "reason"), BROKEN)
def test_stores_are_shown_beside_one_that_fails(
    tmp_path: Path, open_broken: Callable[[Path], SQLEventStorageAdapter], reason: str
) -> None:
    """The first page has the others, their counts and rates; the failing ones say why."""
    visit = Visit(open_broken(tmp_path))

    first, counted = visit.read("/"), visit.read("/counts")
    for text in (first, counted):
        assert f"POKEMONS cannot be read. {reason}" in text
        assert f"TRAINERS cannot be read. {reason}" in text
        assert 2 == text.count("cannot be read")
    assert "ORDERS o1 2 ORDER_PACKED" in first
    assert "ORDER_PACKED 3 just now" in counted
    assert ["ORDERS", "PARCELS"] == [each["name"] for each in visit.ask("/rates.json")["series"]]


@pytest.mark.parametrize(("open_broken", "reason"), BROKEN)
@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/log", "ORDERS o1 2 ORDER_PACKED"),
        ("/log?before=9000-01-01", "ORDERS o1 2 ORDER_PACKED"),
        ("/correlation?id=request-1", "3 events of request-1"),
        ("/correlation?id=request-1&store=POKEMONS&aggregate=x&version=1", "3 events of request-1"),
        ("/search?q=o1", "ORDERS o1 2 events"),
    ],
)
def test_events_are_found_beside_a_storage_that_fails(
    tmp_path: Path,
    open_broken: Callable[[Path], SQLEventStorageAdapter],
    reason: str,
    path: str,
    found: str,
) -> None:
    """The log and the searches have the events of the others, and tell of the failure once."""
    text = Visit(open_broken(tmp_path)).read(path)

    assert found in text
    assert f"POKEMONS, TRAINERS cannot be read. {reason}" in text
    assert 1 == text.count("cannot be read")
    assert "Earlier events" not in text


@pytest.fixture
def silent() -> Iterator[Callable[[str], EventStore[Any, Any]]]:
    """Give a function that opens a store whose server takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def open_store(name: str) -> EventStore[Any, Any]:
            engine = create_async_engine(f"postgresql+asyncpg://ash@127.0.0.1:{port}/x")
            return EventStore(
                name,
                event_types=[OrderPlaced],
                reduce=reduce_thing,
                storage_adapter=SQLEventStorageAdapter(engine),
            )

        yield open_store


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "ORDERS o1 2 ORDER_PACKED"),
        ("/log", "ORDERS o1 2 ORDER_PACKED"),
        ("/log?before=9000-01-01", "ORDERS o1 2 ORDER_PACKED"),
        ("/correlation?id=request-1", "3 events of request-1"),
        ("/search?q=o1", "ORDERS o1 2 events"),
    ],
)
def test_a_server_that_never_answers_is_not_waited_for(
    silent: Callable[[str], EventStore[Any, Any]], path: str, found: str
) -> None:
    """After a while, the others are shown without it; several are waited for at once."""
    inventory = Inventory.collect([*map(silent, "ABCDEFGH"), *make_stores()], (), (), ())
    site = Site(inventory, Masking(None), allow_writes=False, title="castore", patience=0.5)
    app = build_app(site, [])
    began = monotonic()
    text = TestClient(app, base_url="http://localhost").get(path).text

    assert found in to_text(text)
    assert "its storage did not answer within 0.5 s" in text
    assert monotonic() - began < 3.5  # one after the other, they take 4 s and more


def test_a_store_that_is_read_has_no_failure_of_others(tmp_path: Path) -> None:
    """The log of one store tells of its storage only."""
    visit = Visit(open_empty_database(tmp_path))

    assert "cannot be read" not in visit.read("/log?store=ORDERS")
    assert "POKEMONS cannot be read" in visit.read("/log?store=POKEMONS")


def test_a_storage_that_comes_back_is_read(tmp_path: Path) -> None:
    """Nothing is remembered of the failure."""
    broken = open_empty_database(tmp_path)
    visit = Visit(broken)
    assert "cannot be read" in visit.read("/counts")
    asyncio.run(broken.create_tables())
    assert "cannot be read" not in visit.read("/counts")


def test_the_errors_of_storages_are_masked(tmp_path: Path) -> None:
    """The mask is asked for each store, as for other errors."""

    def mask(field: Field, value: JSONValue) -> JSONValue:
        return "•••" if field.path == ("error",) and field.event_store_id == "POKEMONS" else value

    visit = Visit(open_empty_database(tmp_path), mask)
    for path in ("/", "/counts", "/log", "/correlation?id=request-1", "/search?q=o1"):
        text = visit.read(path)
        assert "POKEMONS cannot be read. •••" in text
        assert "TRAINERS cannot be read. no such table" in text
