"""Pages show what the stores have."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from castore_core import (
    ConnectedEventStore,
    EventRecord,
    NotificationMessageQueue,
    Snapshots,
    utc_now,
)
from castore_in_memory import InMemoryMessageQueueAdapter, InMemorySnapshotStorageAdapter
from castore_visualizer import create_app
from correlated import make_stores
from pokemon import PokemonAppeared, PokemonLeveledUp

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def read(client: TestClient, path: str, status: int = 200) -> str:
    """Return the text of a page, without its tags."""
    answer = client.get(path)
    assert status == answer.status_code, answer.text[:500]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_stores_are_listed_with_their_types(client: TestClient) -> None:
    """The first page has each store, and the latest events of all."""
    text = read(client, "/")

    assert "POKEMONS POKEMON_APPEARED POKEMON_CAUGHT POKEMON_LEVELED_UP" in text
    assert "2 stores" in text
    assert "2026-01-07 09:00:00 POKEMONS pikachu 3 POKEMON_LEVELED_UP" in text


def test_stores_are_counted_by_a_second_request(client: TestClient, world: Any) -> None:
    """The first page asks for the counts; later ones count only what came since."""
    assert 'hx-get="/counts"' in client.get("/").text
    assert "POKEMON_LEVELED_UP 3 " in read(client, "/counts")
    assert 'hx-get="/counts"' not in client.get("/").text

    world.do(world.pokemons.push_event(PokemonLeveledUp("pikachu", 4)))
    assert "POKEMON_LEVELED_UP 4 just now" in read(client, "/counts")


def test_rates_are_counted_by_store(client: TestClient) -> None:
    """The chart has the numbers of events of each store, in equal steps of time."""
    rates = client.get("/rates.json").json()

    assert ["POKEMONS", "TRAINERS"] == [each["name"] for each in rates["series"]]
    assert [3, 1] == [sum(each["values"]) for each in rates["series"]]
    assert {rates["step"]} == {
        later - earlier
        for earlier, later in zip(rates["starts"], rates["starts"][1:], strict=False)
    }


def test_an_id_leads_to_its_aggregate(client: TestClient) -> None:
    """The search goes straight to the one aggregate of an id, and says where there is none."""
    assert (
        "/aggregate?store=POKEMONS&id=pikachu"
        == client.get("/search?q=pikachu").headers["location"]
    )
    assert "No store has an aggregate of this id" in read(client, "/search?q=nobody")


def test_aggregates_are_paged_by_the_server(client: TestClient, world: Any) -> None:
    """A page has 50 aggregates, and its token leads to the next ones."""

    async def push_many() -> None:
        for each in range(60):
            event = PokemonAppeared(f"wild-{each:02}", 1, payload={"name": "x", "level": 1})
            await world.pokemons.push_event(event)

    world.do(push_many())
    first = client.get("/aggregates?store=POKEMONS").text
    following = re.search(r'href="(/aggregates\?[^"]*page=[^"]+)"', first)
    assert following is not None
    second = client.get(unescape(following[1])).text

    shown = [set(re.findall(r"id=(wild-\d\d|pikachu)", each)) for each in (first, second)]
    assert [50, 11] == [len(each) for each in shown]
    assert not shown[0] & shown[1]


@pytest.mark.parametrize(("text", "is_found"), [("KACH", True), ("pikachu", True), ("zz", False)])
def test_aggregates_are_found_by_a_part_of_their_id(
    client: TestClient, text: str, is_found: bool
) -> None:
    """The search of a store looks for a part of an id, in any case of letters."""
    page = client.get(f"/aggregates?store=POKEMONS&q={text}").text

    assert is_found == ("id=pikachu" in page)


def test_a_damaged_page_token_is_refused(client: TestClient) -> None:
    """A token that was tampered with is a bad request, and so are other broken queries."""
    for path in (
        "/aggregates?store=POKEMONS&page=nonsense",
        "/aggregates?store=POKEMONS&after=yesterday",
        "/aggregate?store=POKEMONS&id=pikachu&version=-1",
        "/log?page=nonsense",
        "/aggregate?store=POKEMONS&id=a%00b",
        "/correlation?id=x&store=POKEMONS&aggregate=%00&version=1",
    ):
        assert "400" in read(client, path, 400)


def test_an_aggregate_is_shown_as_it_is(client: TestClient) -> None:
    """Without a version, the last event and the state after it are shown."""
    text = read(client, "/aggregate?store=POKEMONS&id=pikachu")

    assert "State after version 3" in text
    assert "level changed 5 6" in text
    assert "trainer_id ash" in text


def test_an_aggregate_is_shown_as_it_was(client: TestClient) -> None:
    """A version shows its event, and what it changed; 0 is before the first one."""
    text = read(client, "/aggregate?store=POKEMONS&id=pikachu&version=2")
    assert 'Payload { "trainer_id" : "ash" }' in text
    assert 'Metadata { "ball" : "great" }' in text
    assert "trainer_id changed null ash" in text

    assert "Nothing had happened" in read(client, "/aggregate?store=POKEMONS&id=pikachu&version=0")


def test_an_aggregate_is_shown_at_a_moment(client: TestClient) -> None:
    """A moment shows the state that held then."""
    text = read(client, "/aggregate?store=POKEMONS&id=pikachu&at=2026-01-06T12:00")

    assert "State at 2026-01-06 12:00:00" in text
    assert "2 of 3" in text


def test_an_event_that_the_store_cannot_read_is_shown(client: TestClient, world: Any) -> None:
    """It is shown as it is stored, and the state says why it cannot be computed."""
    record = EventRecord("pikachu", 4, "POKEMON_EVOLVED", utc_now(), {"into": "Raichu"})
    world.do(world.adapter.push_event("POKEMONS", record))
    text = read(client, "/aggregate?store=POKEMONS&id=pikachu")

    assert '"into" : "Raichu"' in text
    assert "The state cannot be computed." in text
    assert "POKEMON_EVOLVED" in read(client, "/log")


def test_a_large_payload_and_state_are_cut(client: TestClient, world: Any) -> None:
    """A page stays small, whatever an event holds."""
    payload: Any = {"name": "x" * 1_000_000, "level": 1, "more": [*range(5_000)]}
    world.do(world.pokemons.push_event(PokemonAppeared("huge", 1, payload=payload)))
    for path in ("/log", "/aggregate?store=POKEMONS&id=huge"):
        assert len(client.get(path).text) < 500_000
    assert "the rest is left out" in read(client, "/aggregate?store=POKEMONS&id=huge")


def test_a_long_history_is_shown_in_windows(client: TestClient, world: Any) -> None:
    """An aggregate of many events shows the hundred around the version, and leads to others."""

    async def push_many() -> None:
        for version in range(4, 251):
            await world.pokemons.push_event(PokemonLeveledUp("pikachu", version))

    world.do(push_many())
    page = client.get("/aggregate?store=POKEMONS&id=pikachu&version=150").text

    assert 100 == page.count("<circle")
    assert "version=100" in page
    assert "version=201" in page


def test_two_versions_are_compared(client: TestClient) -> None:
    """The differences are listed value by value; the same ones on demand."""
    text = read(client, "/diff?store=POKEMONS&id=pikachu&from=1&to=3")
    assert "level changed 5 6" in text
    assert "name Pika" not in text
    assert "name Pika" in read(client, "/diff?store=POKEMONS&id=pikachu&from=1&to=3&all=1")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("store=TRAINERS", 1),
        ("type=POKEMON_CAUGHT", 1),
        ("id=pikachu", 3),
        ("after=2026-01-06", 2),
        ("before=2026-01-06", 2),
        ("store=POKEMONS&after=2026-01-06&before=2026-01-06T10:00", 1),
        ("type=NONE", 0),
    ],
)
def test_the_log_is_filtered(client: TestClient, query: str, count: int) -> None:
    """Filters of store, type, aggregate and time choose events."""
    page = client.get(f"/log?{query}").text

    assert count == page.count('<td class="where">')


def test_the_log_has_the_latest_events_first(client: TestClient, world: Any) -> None:
    """Pages lead back to the first event, and none is skipped or repeated."""

    async def push_many() -> None:
        for version in range(4, 124):
            await world.pokemons.push_event(PokemonLeveledUp("pikachu", version))

    world.do(push_many())
    path = "/log?store=POKEMONS"
    versions: list[int] = []
    while path:
        page = client.get(path).text
        versions += map(int, re.findall(r'class="n">(\d+)<', page))
        match = re.search(r'role="button" href="([^"]+)"', page)
        path = unescape(match[1]) if match else ""

    assert [*range(123, 0, -1)] == versions


def test_a_moment_of_the_log_is_found_at_once(client: TestClient, world: Any) -> None:
    """However many events came later, those up to the moment are on the first page."""

    async def push_many() -> None:
        for each in range(4_000):
            event = PokemonAppeared(
                f"wild-{each}",
                1,
                timestamp=START + timedelta(days=10, seconds=each),
                payload={"name": "x", "level": 1},
            )
            await world.pokemons.push_event(event)

    world.do(push_many())
    page = client.get("/log?before=2026-01-08").text
    assert 4 == page.count('<td class="where">')
    assert "Begin at the end" in page


def test_a_rare_store_is_searched_on_demand(client: TestClient, world: Any) -> None:
    """A page looks at some thousand events, and then asks whether to go on."""

    async def push_many() -> None:
        for version in range(4, 4_000):
            await world.pokemons.push_event(PokemonLeveledUp("pikachu", version))

    world.do(push_many())
    page = client.get("/log?store=TRAINERS").text
    assert "Looked through 3,000 events" in page
    whole = re.search(r'href="([^"]*whole=1[^"]*)"', page)
    assert whole is not None
    assert "GAME_STARTED</a>" in client.get(unescape(whole[1])).text


async def test_live_updates_have_what_is_pushed(world: Any) -> None:
    """A row is sent for each event that is pushed while a page is open."""
    app = create_app(world.stores)
    rows: asyncio.Queue[str] = asyncio.Queue()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/log/live",
        "query_string": b"type=POKEMON_LEVELED_UP",
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "scheme": "http",
        "http_version": "1.1",
    }

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await rows.put(message["body"].decode())

    task = asyncio.create_task(app(scope, receive, send))
    assert "retry" in await rows.get()
    assert ": still here" in await rows.get()
    await world.pokemons.push_event(PokemonLeveledUp("pikachu", 4))
    row = await asyncio.wait_for(rows.get(), 5)
    task.cancel()

    assert 'class="n">4</td>' in row.replace("data: ", "")


def test_correlated_events_are_found_across_stores(serve: Any) -> None:
    """The events of a correlation are a graph of causes, wherever they are."""
    client = serve(stores=make_stores())
    page = client.get("/correlation?id=request-1&store=ORDERS&aggregate=o1&version=1").text

    assert 3 == page.count('<rect class="box')
    assert 2 == page.count('<path class="link"')
    assert "No event with this id" in read(client, "/correlation?id=nothing")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/snapshots", "No snapshots"),
        ("/projections", "No projections"),
        ("/messages", "name them with --channels"),
        ("/commands", "No commands"),
        ("/search", "Enter an id"),
    ],
)
def test_pages_without_content_say_so(serve: Any, path: str, text: str) -> None:
    """They have no form, and no chart, that could show nothing."""
    page = serve().get(path).text
    assert text in page
    assert "Load an aggregate" not in page
    assert "data-follow" not in page


def test_snapshots_tell_why_a_load_used_none(serve: Any, world: Any) -> None:
    """A load is a hit or a miss, with its reason, and writes no snapshot."""
    storage = InMemorySnapshotStorageAdapter()
    world.pokemons.snapshots = Snapshots(storage, every=2, in_background=False)
    client = serve()
    assert "miss No snapshot was used" in read(client, "/snapshots?store=POKEMONS&id=pikachu")
    assert [] == world.do(storage.get_reducer_versions("POKEMONS", "pikachu"))

    world.do(world.pokemons.push_event(PokemonLeveledUp("pikachu", 4)))
    text = read(client, "/snapshots?store=POKEMONS&id=pikachu")
    assert "hit The load went on from the snapshot of version 4" in text


def test_channels_of_connected_stores_are_shown(serve: Any, world: Any) -> None:
    """The messages that wait in the process are listed."""
    queue = NotificationMessageQueue("POKEMON_NEWS", source_event_stores=(world.pokemons,))
    queue.message_channel_adapter = InMemoryMessageQueueAdapter(queue)
    connected = ConnectedEventStore(world.pokemons, queue)
    world.do(connected.push_event(PokemonLeveledUp("pikachu", 4)))
    text = read(serve(stores=[connected]), "/messages")

    assert "POKEMON_NEWS NotificationMessageQueue InMemoryMessageQueueAdapter" in text
    assert "Pending 1" in text
    assert "POKEMON_LEVELED_UP POKEMONS pikachu 4" in text


def test_ids_may_have_any_characters(serve: Any, world: Any) -> None:
    """Ids are data, also in addresses."""
    odd = "a/b?c#d&e=f g%20'\"<>é😀"
    world.do(world.pokemons.push_event(PokemonAppeared(odd, 1, payload={"name": "x", "level": 1})))
    client = serve()
    page = client.get("/aggregates?store=POKEMONS").text
    links = [unescape(each) for each in re.findall(r'href="(/aggregate\?[^"]+)"', page)]

    assert any(odd in read(client, each) for each in links)


def test_it_is_mounted_at_a_path(world: Any) -> None:
    """All addresses lead to below the path, and none to the host's own pages."""
    app = Starlette(routes=[Mount("/inner/events", create_app(world.stores))])
    client = TestClient(app, base_url="http://localhost")
    for path in ("/", "/log", "/aggregate?store=POKEMONS&id=pikachu", "/aggregates?store=POKEMONS"):
        page = client.get(f"/inner/events{path}")
        assert 200 == page.status_code
        links = re.findall(r'(?:href|src|hx-get|connect)="(/[^"]*)"', page.text)
        assert {"/inner/events"} == {each[:13] for each in links}
        for each in links:
            # One never ends, and the other gets its query from a form.
            if "/log/live" not in each and not each.endswith(("/aggregate", "/aggregates")):
                assert client.get(unescape(each)).status_code in {200, 303}


def test_stores_without_a_log_are_browsed(serve: Any, world: Any) -> None:
    """A storage without a log has aggregates and states; the log says what it lacks."""

    class Plain:
        get_events = world.adapter.get_events
        list_aggregate_ids = world.adapter.list_aggregate_ids
        push_event = world.adapter.push_event
        push_event_group = world.adapter.push_event_group

    client = serve(stores=[world.pokemons.using(Plain())])
    assert "This storage has no log" in client.get("/").text
    assert "State after version 3" in read(client, "/aggregate?store=POKEMONS&id=pikachu")
    assert "cannot be read backwards: POKEMONS" in read(client, "/log")


def test_unknown_pages_stores_and_aggregates_are_not_found(client: TestClient) -> None:
    """Each answer says which of them there is not."""
    assert "There is no such page" in read(client, "/nowhere", 404)
    assert "There is no event store 'NONE'" in read(client, "/aggregates?store=NONE", 404)
    assert "has no aggregate 'nobody'" in read(client, "/aggregate?store=POKEMONS&id=nobody", 404)


@pytest.mark.parametrize("page", ["aggregate", "diff"])
def test_an_aggregate_that_is_not_there_leads_to_those_that_are(
    client: TestClient, page: str
) -> None:
    """The answer has a link to the search of its store, with the id filled in."""
    answer = client.get(f"/{page}?store=POKEMONS&id=kach").text
    link = re.search(r'href="(/aggregates[^"]*)" role="button">Search POKEMONS<', answer)
    assert link is not None
    found = client.get(unescape(link[1])).text
    assert 'name="q" value="kach"' in found
    assert "id=pikachu" in found


def test_two_stores_of_one_id_are_refused(world: Any) -> None:
    """An address could lead to either."""
    with pytest.raises(ValueError, match="two event stores have the name 'POKEMONS'"):
        create_app([world.pokemons, world.pokemons])
    with pytest.raises(ValueError, match="at least one"):
        create_app([])
