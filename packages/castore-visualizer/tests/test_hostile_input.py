"""Addresses, values and storages that were made to break a visualizer."""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from math import inf
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from castore_core import (
    LOG_START,
    ConnectedEventStore,
    Event,
    EventRecord,
    EventStore,
    Failure,
    InvalidLogPositionError,
    JSONValue,
    LogEntry,
    LogSlice,
    NotificationMessageQueue,
    ParkedEvent,
    StorageError,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemoryMessageQueueAdapter
from castore_visualizer import Field, create_app
from castore_visualizer._live import stream
from castore_visualizer._page_tokens import pack, unpack
from pokemon import PokemonLeveledUp

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 of a test
SECRET = "ada@example.com"  # noqa: S105 what masks are to hide


class Noted(Event, type="NOTED"):
    """An event that may hold anything."""

    payload: Any
    metadata: Any


@dataclass(frozen=True)
class Note:
    """The last payload."""

    aggregate_id: str
    version: int
    value: Any


def open_notes(storage_adapter: Any) -> EventStore[Any, Any]:
    """Return a store on a storage."""
    return EventStore(
        "NOTES",
        event_types=[Noted],
        reduce=lambda _, event: Note(event.aggregate_id, event.version, event.payload),
        storage_adapter=storage_adapter,
    )


def make_notes(*events: Noted) -> EventStore[Any, Any]:
    """Return a store with some events."""
    notes = open_notes(InMemoryEventStorageAdapter())

    async def push() -> None:
        for each in events:
            await notes.push_event(each)

    asyncio.run(push())
    return notes


def visit(store: Any, path: str, **options: Any) -> Any:
    """Return the answer for a page of a store."""
    return TestClient(create_app(store, **options), base_url="http://localhost").get(path)


def hide_all(field: Field, value: JSONValue) -> JSONValue:
    """Mask all values."""
    return None if isinstance(value, dict) and field.path == ("metadata",) else "•••"


class FailingStorage:
    """A storage one method of which raises an error that quotes a value, some times or always."""

    def __init__(self, method: str, error: Exception, *, times: float = inf) -> None:
        self._storage = InMemoryEventStorageAdapter()
        self._method = method
        self._error = error
        self._left = times

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        async def fail(*values: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left >= 0:
                raise self._error
            return await method(*values, **options)

        return fail if name == self._method else method


class EndlessLog:
    """A log that has new events whenever it is read."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def get_last_position(self) -> str:
        """Return a place."""
        return "0"

    async def read_events(self, store_ids: Any, position: str, limit: int) -> LogSlice:
        """Return as many events as it has each time."""
        numbers = range(int(position) + 1, int(position) + 1 + min(self._count, limit))
        records = [EventRecord("a", each, "NOTED", datetime.now(UTC)) for each in numbers]
        entries = [LogEntry(str(each.version), store_ids[0], each) for each in records]
        return LogSlice(entries, entries[-1].position)


class FailingFollower:
    """A projection whose status cannot be read, and that has parked events."""

    name = "letters"

    def __init__(self, parked: int = 1) -> None:
        self.walked = 0
        self.was_closed_by_reader = False
        self.parked = [
            ParkedEvent(f"{each:06}", "NOTES", "a", each, "NOTED", datetime.now(UTC), 1, FAILURE)
            for each in range(1, parked + 1)
        ]

    async def status(self) -> Any:
        """Fail."""
        raise RuntimeError(SECRET)

    async def group_parked_events(self) -> Sequence[Any]:
        """Return one group."""
        return [Group(self.parked)] if self.parked else []

    async def iter_parked_events(self, *, after: str = "") -> AsyncGenerator[ParkedEvent]:
        """Walk those that follow a position, which some storages check."""
        if after == "nonsense":
            raise InvalidLogPositionError(after, "it is no number")
        reader = asyncio.current_task()
        try:
            for each in self.parked:
                if each.position > after:
                    self.walked += 1
                    yield each
        finally:
            self.was_closed_by_reader = asyncio.current_task() is reader

    async def retry_parked_events(self, *, kind: str | None = None) -> int:
        """Take all."""
        return await self.drop_parked_events(kind=kind)

    async def drop_parked_events(self, *, kind: str | None = None) -> int:
        """Take all."""
        del kind
        number, self.parked = len(self.parked), []
        return number


FAILURE = Failure("broken", "text")


@dataclass(frozen=True)
class Group:
    """The group of all parked events."""

    events: list[ParkedEvent]
    kind: str = "broken"

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.events)

    @property
    def first(self) -> ParkedEvent:
        """The first one."""
        return self.events[0]

    @property
    def last(self) -> ParkedEvent:
        """The last one."""
        return self.events[-1]


@pytest.mark.parametrize("text", ['["elsewhere"]', '["-5"]', "[" * 20_000])
def test_a_place_of_another_log_is_refused(client: TestClient, text: str) -> None:
    """A token that was made up is the mistake of who made it, and no failure of a storage."""
    token = base64.urlsafe_b64encode(text.encode()).decode()
    assert 400 == client.get(f"/log?page={token}").status_code


@pytest.mark.parametrize("moment", ["0001-01-01T00:00%2B14:00", "9999-12-31T23:59-14:00"])
@pytest.mark.parametrize(
    "path",
    [
        "/log?after=",
        "/log?before=",
        "/aggregates?store=POKEMONS&after=",
        "/aggregate?store=POKEMONS&id=pikachu&at=",
    ],
)
def test_moments_beyond_all_years_are_refused(client: TestClient, path: str, moment: str) -> None:
    """They are none in UTC."""
    assert 400 == client.get(path + moment).status_code


@pytest.mark.parametrize(
    "host", ["[::1]evil.example", "localhost:80:90", "localhost:evil.example", "localhost.", ""]
)
def test_malformed_hosts_are_refused(serve: Any, host: str) -> None:
    """The name of a host is all before its port, and a port is a number."""
    assert 400 == serve().get("/", headers={"host": host}).status_code


@pytest.mark.parametrize("path", ["/log", "/events/log"])
def test_the_token_leaves_the_address_below_a_mount(world: Any, path: str) -> None:
    """Whether or not a server has the mount in the path, the browser has it."""
    app = create_app(world.stores, token=TOKEN)
    client = TestClient(
        app, base_url="http://localhost", root_path="/events", follow_redirects=False
    )
    assert "/events/log" == client.get(f"{path}?token={TOKEN}").headers["location"]


def test_the_first_and_the_last_moment_are_drawn() -> None:
    """Timestamps may be in any year."""
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    store = make_notes(
        Noted("a", 1, timestamp=first, payload=1, metadata=1),
        Noted("a", 2, timestamp=last - timedelta(hours=9), payload=1, metadata=1),
        Noted("a", 3, timestamp=last, payload=1, metadata=1),
        Noted("b", 1, timestamp=last - timedelta(hours=9), payload=1, metadata=1),
        Noted("b", 2, timestamp=last, payload=1, metadata=1),
    )
    for path in ("/aggregate?store=NOTES&id=a", "/aggregate?store=NOTES&id=b", "/", "/rates.json"):
        assert 200 == visit(store, path).status_code


def test_large_numbers_are_exact() -> None:
    """No digit is lost beyond 2 to the power of 53."""
    store = make_notes(Noted("a", 1, payload=2**53 + 1, metadata=None))
    for path in ("/log", "/aggregate?store=NOTES&id=a", "/diff?store=NOTES&id=a&from=0"):
        assert "9007199254740993" in visit(store, path).text


def test_half_characters_of_a_storage_are_shown(world: Any) -> None:
    """A storage may have what no event of castore has, such as a lone surrogate."""
    record = EventRecord(
        "pikachu", 4, "POKEMON_LEVELED_UP", datetime.now(UTC), metadata={"x": "\ud800"}
    )
    world.do(world.adapter.push_event("POKEMONS", record))
    page = visit(world.pokemons, "/aggregate?store=POKEMONS&id=pikachu")
    assert 200 == page.status_code
    assert "\\ud800" in page.text


@pytest.mark.parametrize(
    "path",
    ["/log", "/aggregate?store=NOTES&id=a", "/correlation?id=x"],
)
def test_correlation_ids_are_masked(path: str) -> None:
    """A link does not tell what a mask hides."""
    metadata = {"correlation_id": SECRET, "causation_id": SECRET}
    store = make_notes(Noted("a", 1, payload=1, metadata=metadata))
    page = visit(store, path, mask=hide_all)
    assert 200 == page.status_code
    assert SECRET not in unescape(page.text).replace("%40", "@")


def test_causes_are_masked() -> None:
    """A graph does not tell them either."""
    metadata = {"correlation_id": "x", "causation_id": SECRET}
    store = make_notes(Noted("a", 1, payload=1, metadata=metadata))
    assert SECRET in visit(store, "/correlation?id=x").text
    assert SECRET not in visit(store, "/correlation?id=x", mask=hide_all).text


def test_a_correlation_id_may_end_with_a_space() -> None:
    """The link of its event finds it."""
    store = make_notes(Noted("a", 1, payload=1, metadata={"correlation_id": "x "}))
    page = visit(store, "/aggregate?store=NOTES&id=a").text
    link = re.search(r'href="(/correlation\?[^"]*)"', page)
    assert link is not None
    assert "1 event of" in visit(store, unescape(link[1])).text


def test_errors_of_storages_are_masked() -> None:
    """They may quote values."""
    store = open_notes(FailingStorage("get_events", StorageError(SECRET)))
    page = visit(store, "/aggregate?store=NOTES&id=a", mask=hide_all)
    assert 502 == page.status_code
    assert SECRET not in page.text


def test_errors_of_projections_are_masked() -> None:
    """They may quote values, too."""
    follower: Any = FailingFollower()
    assert SECRET in visit(make_notes(), "/projections", projections=[follower]).text
    page = visit(make_notes(), "/projections", projections=[follower], mask=hide_all)
    assert SECRET not in page.text


def test_no_more_is_dropped_than_a_page_has_shown(serve: Any) -> None:
    """A form that is older than some parked events drops none, and says so."""
    follower: Any = FailingFollower(2)
    client = serve(projections=[follower], allow_writes=True)
    page = client.get("/projections/parked?name=letters").text
    fields: dict[str, str] = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    follower.parked = FailingFollower(3).parked

    answer = client.post("/projections/parked", data={**fields, "action": "drop"})
    assert 409 == answer.status_code
    assert 3 == len(follower.parked)
    fields["seen"] = "3 000003"
    answer = client.post("/projections/parked", data={**fields, "action": "drop"})
    assert (303, 0) == (answer.status_code, len(follower.parked))
    assert "3 were dropped" in client.get(answer.headers["location"]).text


def test_parked_events_are_paged(serve: Any) -> None:
    """A page reads no more events than it lists, and leads to the next one."""
    follower: Any = FailingFollower(250)
    client = serve(projections=[follower])
    path, shown = "/projections/parked?name=letters", list[list[int]]()
    while path:
        page = client.get(path).text
        shown.append([int(each) for each in re.findall(r'<td class="n">(\d+)</td><td class', page)])
        following = re.search(r'href="([^"]*)">Next page<', page)
        path = "" if following is None else unescape(following[1])

    assert [*range(1, 101)] == shown[0]
    assert [*range(1, 251)] == [number for each in shown for number in each]
    assert follower.walked <= 250 + 2  # that there is more is seen by reading one more


def test_a_page_ends_the_walk_that_it_leaves(serve: Any) -> None:
    """A page that needs no more parked events closes their reader, and leaves it to nobody."""
    follower: Any = FailingFollower(250)
    serve(projections=[follower]).get("/projections/parked?name=letters")
    assert follower.was_closed_by_reader


def test_parked_events_of_a_kind_are_searched(serve: Any) -> None:
    """A search for a rare kind ends after some thousand events, and goes on when asked."""
    follower: Any = FailingFollower(4_000)
    follower.parked[-1] = follower.parked[-1]._replace(failure=Failure("rare", "text"))
    client = serve(projections=[follower])
    page = client.get("/projections/parked?name=letters&kind=rare").text
    assert "3,000 that were looked through" in page
    following = re.search(r'href="([^"]*)">Search further<', page)
    assert following is not None
    assert ">4000</td>" in client.get(unescape(following[1])).text


@pytest.mark.parametrize(("after", "status"), [("nonsense", 400), ("~", 200), ("é" * 2_000, 200)])
def test_parked_events_may_be_asked_after_any_position(serve: Any, after: str, status: int) -> None:
    """A position may come from anywhere: one that the storage refuses is a bad request."""
    follower: Any = FailingFollower()
    page = serve(projections=[follower]).get(
        "/projections/parked", params={"name": "letters", "after": after}
    )
    assert status == page.status_code


def test_addresses_put_no_words_into_a_page(serve: Any) -> None:
    """A link cannot say that something was done in words of its own."""
    follower: Any = FailingFollower()
    page = serve(projections=[follower]).get("/projections/parked?name=letters&done=Call+1234")
    assert "Call 1234" not in page.text


def follow(logs: Any, after: str = "") -> AsyncGenerator[str, None]:
    """Give live updates from the id of a message on: the ids of aggregates."""
    return stream(
        logs,
        lambda entry: entry.record.aggregate_id,
        after=unpack(after, len(logs)),
        gap="there are more",
    )


def get_id(message: str) -> str:
    """Return the id of a message."""
    return next(each[4:] for each in message.splitlines() if each.startswith("id: "))


async def test_live_updates_go_on_where_they_ended() -> None:
    """A browser whose page was in the background misses nothing, and gets nothing twice."""
    storage = InMemoryEventStorageAdapter()
    notes = open_notes(storage)
    messages = follow([(storage, ["NOTES"])])
    await anext(messages)
    await anext(messages)
    await notes.push_event(Noted("ada", 1, payload={}, metadata={}))
    last = await anext(messages)
    assert "data: ada" in last
    await messages.aclose()
    await notes.push_event(Noted("bo", 1, payload={}, metadata={}))

    messages = follow([(storage, ["NOTES"])], get_id(last))
    await anext(messages)
    assert "data: bo" in await anext(messages)
    assert "still here" in await anext(messages)
    await messages.aclose()


async def test_live_updates_leave_out_very_many_events() -> None:
    """A browser that was away for long is told so, and gets what is pushed from then on."""
    storage = InMemoryEventStorageAdapter()
    notes = open_notes(storage)
    messages = follow([(storage, ["NOTES"])])
    first = await anext(messages)
    await messages.aclose()
    for version in range(1, 2_001):
        await notes.push_event(Noted("ada", version, payload={}, metadata={}))

    messages = follow([(storage, ["NOTES"])], get_id(first))
    found = [await anext(messages)]
    while "there are more" not in found[-1]:
        found.append(await anext(messages))
    assert 500 == sum("data: ada" in each for each in found)
    await notes.push_event(Noted("bo", 1, payload={}, metadata={}))
    while "data: bo" not in found[-1]:
        found.append(await anext(messages))
    assert 500 == sum("data: ada" in each for each in found)
    await messages.aclose()


async def read_until(messages: AsyncGenerator[str, None], text: str) -> list[str]:
    """Return the messages up to one with a text."""
    found = [await anext(messages)]
    while text not in found[-1]:
        found.append(await anext(messages))
    return found


async def test_live_updates_tell_of_no_gap_where_nothing_is_left_out() -> None:
    """A browser that has missed as many events as are made up for has them all."""
    storage = InMemoryEventStorageAdapter()
    notes = open_notes(storage)
    for version in range(1, 501):
        await notes.push_event(Noted("ada", version, payload={}, metadata={}))

    messages = follow([(storage, ["NOTES"])], pack([LOG_START]))
    found = [await anext(messages) for _ in range(1 + 500 + 5 + 1)]  # each batch ends with a sign
    await notes.push_event(Noted("bo", 1, payload={}, metadata={}))
    found += await asyncio.wait_for(read_until(messages, "data: bo"), 5)
    await messages.aclose()
    assert 500 == sum("data: ada" in each for each in found)
    assert not any("there are more" in each for each in found)


async def test_live_updates_after_a_gap_are_as_many_as_before_it() -> None:
    """Where events come faster than they are shown, some are shown between two gaps."""
    log: Any = EndlessLog(100)
    messages = follow([(log, ["NOTES"])])
    for _ in range(2):
        found = await read_until(messages, "there are more")
        assert 500 == sum("data: a" in each for each in found)
    await messages.aclose()


class HoldingLog(InMemoryEventStorageAdapter):
    """A log that holds back its last event, and shows it to those who read backwards."""

    async def get_last_position(self) -> str:
        """Return the position of the last event but one."""
        _, before, *_ = (await self.read_events_backwards()).entries
        return before.position


def find_seen(page: str) -> list[Any]:
    """Return the positions from which a page is live."""
    found = re.search(r"[?&]seen=([\w-]+)", unescape(page))
    assert found is not None
    return unpack(found[1], 1)


def test_a_page_is_live_from_where_nothing_is_held_back() -> None:
    """An event that is held back may have earlier ones beside it, which the page does not show."""
    log = HoldingLog()
    notes = open_notes(log)
    for version in (1, 2, 3):
        asyncio.run(notes.push_event(Noted("ada", version, payload={}, metadata={})))
    assert [asyncio.run(log.get_last_position())] == find_seen(visit(notes, "/log").text)


def test_a_page_of_one_store_is_live_from_the_end_of_all(world: Any) -> None:
    """A store whose last event is old makes no gap, also where the whole log was searched."""
    world.do(world.pokemons.push_event(PokemonLeveledUp("pikachu", 4)))
    page = visit(world.stores, "/log?store=TRAINERS&whole=1").text
    assert [world.do(world.adapter.get_last_position())] == find_seen(page)


async def test_live_updates_go_on_after_a_storage_was_down() -> None:
    """A position that the storage cannot check at once is kept: nothing is lost after it."""
    storage = FailingStorage("get_last_position", StorageError("down"), times=1)
    await open_notes(storage).push_event(Noted("ada", 1, payload={}, metadata={}))
    messages = follow([(storage, ["NOTES"])], pack([LOG_START]))
    assert [LOG_START] == unpack(get_id(await anext(messages)), 1)
    assert "data: ada" in await anext(messages)
    await messages.aclose()


@pytest.mark.parametrize("position", ["", "9" * 40, "nonsense", "é"])
async def test_live_updates_from_any_position(position: str) -> None:
    """The position of another log, or of one that was lost, is no reason to show nothing."""
    storage = InMemoryEventStorageAdapter()
    messages = follow([(storage, ["NOTES"])], pack([position]))
    await anext(messages)
    await open_notes(storage).push_event(Noted("ada", 1, payload={}, metadata={}))
    found = ""
    while "data: ada" not in found:
        found = await asyncio.wait_for(anext(messages), 5)
    await messages.aclose()


async def test_live_updates_outlast_errors_of_any_kind() -> None:
    """A storage of yours may raise errors of its driver: it is asked again, and nothing is lost."""
    log: Any = FailingStorage("wait_for_events", RuntimeError("a driver"))
    before = asyncio.all_tasks()
    messages = follow([(log, ["NOTES"])])
    assert "retry" in await anext(messages)
    assert "still here" in await anext(messages)
    await asyncio.sleep(0)
    (task,) = asyncio.all_tasks() - before
    assert not task.done()
    await messages.aclose()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_live_updates_go_on_beside_a_storage_that_fails() -> None:
    """If one of several logs fails at once, the others are followed, until nobody listens."""
    before = asyncio.all_tasks()
    storage = InMemoryEventStorageAdapter()
    logs: list[Any] = [
        (FailingStorage("get_last_position", StorageError("down")), ["OTHERS"]),
        (storage, ["NOTES"]),
    ]
    messages = follow(logs)
    assert "retry" in await anext(messages)
    assert "still here" in await anext(messages)
    await open_notes(storage).push_event(Noted("ada", 1, payload={}, metadata={}))
    assert (await anext(messages)).endswith("\ndata: ada\n\n")
    tasks = asyncio.all_tasks() - before
    await messages.aclose()
    await asyncio.wait(tasks, timeout=5)
    assert all(each.cancelled() for each in tasks)


async def test_lines_of_values_are_lines_of_a_message() -> None:
    """Nothing in an id or a value begins a field of its own in a server-sent event."""
    storage = InMemoryEventStorageAdapter()
    notes = open_notes(storage)
    messages = follow([(storage, ["NOTES"])])
    await anext(messages)
    await notes.push_event(Noted("a\revent: b\r\ndata: c\n\nid: d", 1, payload=1, metadata=1))
    texts = [await anext(messages), await anext(messages)]
    message = next(each for each in texts if "still" not in each)
    await messages.aclose()
    assert all(each.startswith(("id: ", "data: ")) for each in message.splitlines() if each)
    assert "\r" not in message


def test_a_store_with_two_channels_shows_both(world: Any) -> None:
    """A connected store may be connected again."""
    queues = [
        NotificationMessageQueue(each, source_event_stores=(world.pokemons,)) for each in "AB"
    ]
    store: Any = world.pokemons
    for each in queues:
        each.message_channel_adapter = InMemoryMessageQueueAdapter(each)
        store = ConnectedEventStore(store, each)
    world.do(store.push_event(PokemonLeveledUp("pikachu", 4)))
    page = visit(store, "/messages").text
    assert 2 == page.count("publishes to it at each push")


async def test_live_updates_end_with_a_browser_that_left(world: Any) -> None:
    """Also where the server tells so by an error of the next message only."""
    app = create_app(world.stores)
    before = asyncio.all_tasks()
    sent: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 2:
            raise OSError("the browser has left")

    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.4"},
        "method": "GET",
        "path": "/log/live",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    with pytest.raises(ClientDisconnect) as error:
        await app(scope, receive, send)
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=5)
    assert all(each.cancelled() for each in left)
    assert error.traceback  # while something holds it, such as a log


async def test_events_that_nobody_wants_show_that_the_browser_is_there() -> None:
    """A message follows each batch, so that a connection that is gone is found out."""
    log: Any = EndlessLog(1)
    messages = stream([(log, ["NOTES"])], lambda _: None, after=[None], gap="")
    assert (await anext(messages)).startswith("retry: 2000\n")
    assert (await asyncio.wait_for(anext(messages), 1)).endswith("\n: still here\n\n")
    await messages.aclose()
