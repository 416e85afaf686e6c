"""Castore 2.4.2 on Node and castore-sql share a table of events on PostgreSQL."""

import asyncio
import fcntl
import json
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    ABSENT,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    VersionGapError,
    format_timestamp,
    parse_timestamp,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase, dispose, read_log, using_servers

SOURCE = Path(__file__).parent / "castore_node"
INSTALLED = Path(__file__).parents[1] / ".services" / "npm" / "castore_postgres"

STORE = "POKEMONS"
ID = "b0000000-0000-4000-8000-000000000001"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)

# What Castore can write: objects. Its numbers are those of JavaScript.
PAYLOADS: dict[str, dict[str, JSONValue]] = {
    "empty": {},
    "nulls": {"a": None, "list": [None]},
    "constants": {"yes": True, "no": False},
    "numbers": {"zero": 0, "negative": -7, "half": 0.5, "least": 5e-324, "safe": 2**53 - 1},
    "nested": {"a": {"b": [1, [2, {"c": []}], {}]}},
    "texts": {
        "": "",
        "unicode": "é 漢 🎉 \u2028",
        "quotes": "it's \"\\ %s :a $1 \n",
        "u": "\\u0000",
    },
    "lookalikes": {"type": 25, "value": "x", "$undefined": True, "date": "2024-01-01T00:00:00Z"},
    "long": {"text": "x" * 100_000},
}


class CastoreError(Exception):
    """An error of Castore, with its fields."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.code = fields.get("code")
        self.place = (fields.get("eventStoreId"), fields.get("aggregateId"), fields.get("version"))


class Castore:
    """Castore in a process of Node, on a table."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method, and return its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *args]).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        if "error" in answer:
            raise CastoreError(answer["error"])
        return answer.get("result")

    async def get(self, aggregate_id: str = ID, **options: Any) -> list[EventRecord]:
        """Return the events of an aggregate."""
        found = await self.call("get", aggregate_id, options)
        return [to_record(each) for each in found["events"]]

    async def list(self) -> list[str]:
        """Return the ids of all aggregates."""
        return [each["aggregateId"] for each in (await self.call("list", {}))["aggregateIds"]]


def to_event(record: EventRecord) -> dict[str, Any]:
    """Return an event as Castore has it."""
    event = {
        "aggregateId": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "timestamp": format_timestamp(record.timestamp),
        "payload": record.payload,
        "metadata": record.metadata,
    }
    return {name: value for name, value in event.items() if value is not ABSENT}


def to_record(event: dict[str, Any]) -> EventRecord:
    """Return an event of Castore's as we have it."""
    return EventRecord(
        event["aggregateId"],
        event["version"],
        event["type"],
        parse_timestamp(event["timestamp"]),
        event.get("payload", ABSENT),
        event.get("metadata", ABSENT),
    )


def make_record(
    version: int = 1, payload: JSONValue | Any = ABSENT, *, aggregate_id: str = ID
) -> EventRecord:
    """Return an event, a second after the one before."""
    moment = NOON + timedelta(seconds=version)
    return EventRecord(aggregate_id, version, "APPEARED", moment, payload, payload)


def make_ids(count: int) -> list[str]:
    """Return ids that a column of UUIDs takes."""
    return [str(UUID(int=number + 1)) for number in range(count)]


@pytest.fixture(scope="session")
def program() -> Path:
    """Install Castore from npm, once for all runs of the tests."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Castore needs Node.js: there is no npm")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        package, installed = SOURCE / "package.json", INSTALLED / "installed.json"
        if not installed.exists() or package.read_text() != installed.read_text():
            shutil.copy(package, INSTALLED)
            npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock")
            if subprocess.run(npm, cwd=INSTALLED, check=False).returncode:
                pytest.skip("Castore could not be installed: npm does not reach its registry")
            shutil.copy(package, installed)
        return Path(shutil.copy(SOURCE / "postgres.mjs", INSTALLED))


@pytest.fixture
def database(
    find_server: Callable[[str], str],
) -> Iterator[ServerDatabase]:
    """Give an empty database."""
    database = ServerDatabase("postgres", find_server("postgres"))
    with using_servers(alone=False):
        database.create()
        yield database
        database.drop()


@pytest.fixture
async def engine(database: ServerDatabase) -> AsyncIterator[AsyncEngine]:
    """Give an engine on the database."""
    engine = database.make_engine(KINDS["asyncpg"])
    assert isinstance(engine, AsyncEngine)
    yield engine
    await dispose(engine)


@pytest.fixture
def adapter(engine: AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter, whose table may not be there yet."""
    return SQLEventStorageAdapter(engine)


@asynccontextmanager
async def run_castore(program: Path, database: ServerDatabase) -> AsyncGenerator[Castore]:
    """Run Castore on the table ``event``."""
    url = database.get_url("postgresql").update_query_dict({"search_path": database.name})
    process = await asyncio.create_subprocess_exec(
        *("node", "--no-warnings", str(program), url.render_as_string(hide_password=False)),
        *("event", STORE),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**24,
    )
    try:
        yield Castore(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@pytest.fixture
async def castore(program: Path, database: ServerDatabase) -> AsyncIterator[Castore]:
    """Give Castore, on a table that may not be there yet."""
    async with run_castore(program, database) as castore:
        yield castore


@pytest.fixture(params=["ours", "castore's", "castore's with options", "castore's, upgraded"])
async def table(
    adapter: SQLEventStorageAdapter, castore: Castore, request: pytest.FixtureRequest
) -> str:
    """Make the table on each side."""
    match request.param:
        case "ours":
            await adapter.create_tables()
        case "castore's with options":
            options = {"idType": "SERIAL", "versionType": "INTEGER"}
            ids = {"aggregateId": {"type": "VARCHAR", "length": 64}}
            await castore.call("createTable", options | ids)
        case _:
            await castore.call("createTable", {})
            if "upgraded" in request.param:
                await adapter.upgrade_tables()
    return request.param


@pytest.fixture
async def shared(table: str, adapter: SQLEventStorageAdapter) -> SQLEventStorageAdapter:
    """Give an adapter on each kind of table."""
    assert table
    return adapter


@pytest.fixture
async def ours(adapter: SQLEventStorageAdapter) -> SQLEventStorageAdapter:
    """Give an adapter on a table of our own."""
    await adapter.create_tables()
    return adapter


@pytest.mark.parametrize("name", PAYLOADS)
async def test_an_event_of_castore_is_read(
    shared: SQLEventStorageAdapter, castore: Castore, name: str
) -> None:
    """Its payload and metadata are what was pushed there."""
    record = make_record(1, PAYLOADS[name])

    await castore.call("push", to_event(record), {})

    assert [record] == await shared.get_events(STORE, ID)
    assert [ID] == [
        each.aggregate_id for each in (await shared.list_aggregate_ids(STORE)).aggregates
    ]


@pytest.mark.parametrize("name", PAYLOADS)
async def test_an_event_of_ours_is_read_by_castore(
    shared: SQLEventStorageAdapter, castore: Castore, name: str
) -> None:
    """Its payload and metadata are what was pushed here."""
    record = make_record(1, PAYLOADS[name])

    await shared.push_event(STORE, record)

    assert [record] == await castore.get()
    assert [ID] == await castore.list()


@pytest.mark.parametrize("value", [True, 1, 1.5, "text", [1, None], [], 10**40, 1e300])
async def test_castore_reads_what_it_does_not_write(
    ours: SQLEventStorageAdapter, castore: Castore, value: JSONValue
) -> None:
    """Other JSON than objects is read there, great integers as the nearest number."""
    await ours.push_event(STORE, make_record(1, value))

    (record,) = await castore.get()
    assert value == record.payload or float(str(value)) == float(str(record.payload))


@pytest.mark.parametrize("value", [None, 0, False, "", ABSENT])
async def test_castore_reads_what_it_takes_for_nothing(
    ours: SQLEventStorageAdapter, castore: Castore, value: JSONValue
) -> None:
    """It drops such a payload on reading; the event is there."""
    await ours.push_event(STORE, make_record(1, value))

    assert [make_record(1)] == await castore.get()
    assert [make_record(1, value)] == await ours.get_events(STORE, ID)


async def test_a_timestamp_of_the_server_is_read(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """An event that is pushed without one gets the time of the server."""
    event = to_event(make_record())
    del event["timestamp"]

    pushed = await castore.call("push", event, {})

    (record,) = await shared.get_events(STORE, ID)
    assert pushed["event"]["timestamp"] == format_timestamp(record.timestamp)


async def test_aggregates_continue_on_either_side(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """Versions of both sides are one series."""
    for version in range(1, 7):
        if version % 2:
            await castore.call("push", to_event(make_record(version, {"by": "them"})), {})
        else:
            await shared.push_event(STORE, make_record(version, {"by": "us"}))

    expected = [make_record(each, {"by": "them" if each % 2 else "us"}) for each in range(1, 7)]
    assert expected == await shared.get_events(STORE, ID)
    assert expected == await castore.get()
    assert expected[:2:-1] == await castore.get(reverse=True, minVersion=4)
    with pytest.raises(VersionGapError):
        await shared.push_event(STORE, make_record(8))


async def test_a_conflict_with_castore_is_one_here(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """A version that Castore wrote is taken, for an event and for a group."""
    other = make_record(aggregate_id=make_ids(1)[0])
    await castore.call("push", to_event(make_record()), {})

    with pytest.raises(EventAlreadyExistsError):
        await shared.push_event(STORE, make_record())
    with pytest.raises(EventAlreadyExistsError) as caught:
        await shared.push_event_group(
            [GroupedRecord(STORE, each, shared) for each in (other, make_record())]
        )
    assert (STORE, ID, 1) == caught.value.args
    assert [ID] == await castore.list()


async def test_a_conflict_with_us_is_one_for_castore(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """Castore tells it by the name of the constraint, for an event and for a group."""
    other = make_record(aggregate_id=make_ids(1)[0])
    await shared.push_event(STORE, make_record())

    for call in (
        castore.call("push", to_event(make_record()), {}),
        castore.call("pushGroup", {}, to_event(other), to_event(make_record())),
    ):
        with pytest.raises(CastoreError) as caught:
            await call
        assert ("EventAlreadyExistsError", (STORE, ID, 1)) == (
            caught.value.code,
            caught.value.place,
        )
    assert [ID] == [
        each.aggregate_id for each in (await shared.list_aggregate_ids(STORE)).aggregates
    ]


async def test_each_side_forces_over_the_other(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """A forced event replaces all of the one that is there."""
    first, second, third = (make_record(1, {"attempt": each}) for each in range(3))
    await shared.push_event(STORE, first)

    await castore.call("push", to_event(second), {"force": True})
    assert [second] == await shared.get_events(STORE, ID)
    await shared.push_event(STORE, third, force=True)
    assert [third] == await castore.get()
    await castore.call("pushGroup", {"force": True}, to_event(first))
    assert [first] == await shared.get_events(STORE, ID)


async def test_groups_of_either_side_are_read(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """A group has two versions of an aggregate, and another aggregate."""
    first, second = make_ids(2)
    theirs = [make_record(1), make_record(2), make_record(1, aggregate_id=first)]
    mine = [make_record(3), make_record(4), make_record(1, aggregate_id=second)]

    await castore.call("pushGroup", {}, *map(to_event, theirs))
    await shared.push_event_group([GroupedRecord(STORE, each, shared) for each in mine])

    assert [*theirs[:2], *mine[:2]] == await shared.get_events(STORE, ID)
    assert [*theirs[:2], *mine[:2]] == await castore.get()
    assert sorted([ID, first, second]) == sorted(await castore.list())


async def test_of_the_same_versions_one_side_wins_each(
    shared: SQLEventStorageAdapter, castore: Castore
) -> None:
    """Each version is pushed by both at once; the other side has a conflict."""
    ids = make_ids(100)

    async def push(record: EventRecord) -> bool:
        try:
            await shared.push_event(STORE, record)
        except EventAlreadyExistsError:
            return False
        return True

    theirs, *mine = await asyncio.gather(
        castore.call(
            "pushAll",
            *(to_event(make_record(1, {"by": "them"}, aggregate_id=each)) for each in ids),
        ),
        *(push(make_record(1, {"by": "us"}, aggregate_id=each)) for each in ids),
    )

    codes = {each["error"]["code"] for each in theirs if "error" in each}
    assert codes <= {"EventAlreadyExistsError"}
    assert [not each for each in mine] == ["result" in each for each in theirs]
    stored = [(await shared.get_events(STORE, each))[0].payload for each in ids]
    assert [{"by": "us" if each else "them"} for each in mine] == stored


async def test_events_of_castore_are_in_the_log(
    ours: SQLEventStorageAdapter, castore: Castore
) -> None:
    """In the order of the commits of both; a forced event keeps its place."""
    first, second = make_ids(2)
    await castore.call("push", to_event(make_record(1)), {})
    await ours.push_event(STORE, make_record(2))
    before = (await read_log(ours, 2))[-1].position
    await castore.call(
        "pushGroup", {}, *map(to_event, (make_record(3), make_record(1, aggregate_id=first)))
    )
    await ours.push_event(STORE, make_record(1, aggregate_id=second))
    await castore.call("push", to_event(make_record(1, {"forced": True})), {"force": True})

    entries = await read_log(ours, 5)
    assert [(ID, 1), (ID, 2), (ID, 3), (first, 1), (second, 1)] == [
        (each.record.aggregate_id, each.record.version) for each in entries
    ]
    assert {"forced": True} == entries[0].record.payload
    assert entries[2:] == (await ours.read_events(after=before)).entries
    assert entries[3].position == await ours.find_position(STORE, first, 1)


async def test_an_id_in_upper_case_is_one_of_its_own_here(
    ours: SQLEventStorageAdapter, castore: Castore
) -> None:
    """Our column holds texts, and a Castore that was used to UUIDs finds what it pushed."""
    await castore.call("push", to_event(make_record(aggregate_id=ID.upper())), {})

    assert [make_record(aggregate_id=ID.upper())] == await castore.get(ID.upper())
    assert [] == await ours.get_events(STORE, ID)
