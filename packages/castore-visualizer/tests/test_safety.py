"""A visualizer is safe unless it is told otherwise."""

import re
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from castore_core import JSONValue
from castore_visualizer import Field, create_app, with_context
from castore_visualizer._assets import FOLDER, get_integrity
from pokemon import PokemonAppeared, catch_pokemon, level_up_pokemon, wild_pokemon_appear

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 of a test
LEVEL_UP = "/command?name=LEVEL_UP_POKEMON"


@pytest.mark.parametrize("path", ["/", "/log", "/nowhere", "/static/visualizer.css", "/rates.json"])
def test_every_response_is_strict(client: TestClient, path: str) -> None:
    """Browsers run no inline scripts, ask no other host, and tell nobody where they came from."""
    headers = client.get(path).headers
    policy = headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert "nosniff" == headers["x-content-type-options"]
    assert "no-referrer" == headers["referrer-policy"]


def test_pages_have_no_inline_scripts_or_styles(client: TestClient) -> None:
    """All scripts and styles are files of the package, with their hashes."""
    for path in ("/", "/log", "/aggregate?store=POKEMONS&id=pikachu", "/correlation"):
        page = client.get(path).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
        files = re.findall(r"<(?:script|link rel=\"stylesheet\")[^>]*>", page)
        assert 8 == len(files)
        assert all('integrity="sha384-' in each for each in files)


def test_payloads_are_text(serve: Any, world: Any) -> None:
    """Markup in ids, payloads and errors is shown, and is no markup of the page."""
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    event = PokemonAppeared(attack, 1, payload={"name": attack, "level": 1})
    world.do(world.pokemons.push_event(event))
    client = serve(commands=[level_up_pokemon])
    for path, query in (
        ("/", {}),
        ("/log", {"id": attack}),
        ("/aggregates", {"store": "POKEMONS", "q": attack}),
        ("/aggregate", {"store": "POKEMONS", "id": attack}),
        ("/diff", {"store": "POKEMONS", "id": attack, "from": "0"}),
        ("/correlation", {"id": attack}),
        ("/search", {"q": attack + "!"}),
        ("/aggregates", {"store": attack}),
        ("/command", {"name": "LEVEL_UP_POKEMON", "pokemon_id": attack}),
    ):
        page = client.get(path, params=query).text
        assert "<script>" not in page
        assert "<img" not in page


def test_only_allowed_hosts_are_served(serve: Any) -> None:
    """A page under another name that leads here (DNS rebinding) gets nothing."""
    for host, status in (
        ("localhost", 200),
        ("127.0.0.1:8765", 200),
        ("[::1]:80", 200),
        ("evil.example", 400),
    ):
        assert status == serve().get("/", headers={"host": host}).status_code
    client = serve(allowed_hosts=["*.shop.example"])
    assert 200 == client.get("/", headers={"host": "events.shop.example"}).status_code
    assert 400 == client.get("/", headers={"host": "shop.example.evil.example"}).status_code


def test_the_token_lets_in(serve: Any) -> None:
    """The token leaves the address at once; a cookie that is no token remembers it."""
    client = serve(token=TOKEN)
    assert 401 == client.get("/log").status_code
    assert 401 == client.get("/static/visualizer.js").status_code
    assert 401 == client.get("/log?token=wrong").status_code

    answer = client.get(f"/log?store=POKEMONS&token={TOKEN}")
    assert (303, "/log?store=POKEMONS") == (answer.status_code, answer.headers["location"])
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert TOKEN not in answer.headers["set-cookie"]
    assert 200 == client.get("/log?store=POKEMONS").status_code


def test_the_token_leads_to_no_other_site(serve: Any) -> None:
    """The address after the token is always one of this host."""
    answer = serve(token=TOKEN).get(f"http://localhost//evil.example/?token={TOKEN}")
    assert "/evil.example/" == answer.headers["location"]


def test_a_token_that_is_too_short_is_refused(world: Any) -> None:
    """It could be guessed."""
    with pytest.raises(ValueError, match="fewer than 16"):
        create_app(world.stores, token="short")  # noqa: S106 of a test


@pytest.mark.parametrize("is_async", [False, True])
def test_the_program_says_who_may_look(serve: Any, is_async: bool) -> None:
    """Its function is asked about each request, and only ``True`` lets one through."""

    def is_admin(request: Request) -> bool:
        return request.headers.get("x-user") == "admin"

    async def is_admin_too(request: Request) -> bool:
        return is_admin(request)

    client = serve(authorize=is_admin_too if is_async else is_admin)
    assert 200 == client.get("/log", headers={"x-user": "admin"}).status_code
    for path in ("/", "/log", "/rates.json", "/static/visualizer.css", "/nowhere"):
        assert 403 == client.get(path).status_code
    assert 403 == serve(authorize=str).get("/").status_code


def test_writes_are_refused_unless_allowed(serve: Any, send: Any, world: Any) -> None:
    """A visualizer that is read-only runs no command for real, whatever it is sent."""
    client = serve(commands=[level_up_pokemon])
    fields = {"name": "LEVEL_UP_POKEMON", 'input.["pokemon_id"]': "pikachu"}
    assert "Run for real" not in send(client, LEVEL_UP, action="rehearse", **fields).text
    assert 403 == send(client, LEVEL_UP, action="run", **fields).status_code
    assert 3 == len(world.do(world.pokemons.get_events("pikachu")))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_forms_of_other_sites_are_refused(
    serve: Any, send: Any, world: Any, headers: dict[str, str]
) -> None:
    """Neither their origin nor what the browser says about it will do."""
    client = serve(commands=[level_up_pokemon], allow_writes=True)
    client.headers.update(headers)
    fields = {"name": "LEVEL_UP_POKEMON", 'input.["pokemon_id"]': "pikachu", "action": "run"}
    assert 403 == send(client, LEVEL_UP, **fields).status_code
    assert 3 == len(world.do(world.pokemons.get_events("pikachu")))


def test_forms_without_the_token_of_the_cookie_are_refused(serve: Any, world: Any) -> None:
    """A form has to come from a page that this browser was given."""
    client = serve(commands=[level_up_pokemon], allow_writes=True)
    fields = {"name": "LEVEL_UP_POKEMON", 'input.["pokemon_id"]': "pikachu", "action": "run"}
    assert 403 == client.post("/command", data=fields).status_code
    client.get(LEVEL_UP)
    for token in ("", "wrong"):
        assert 403 == client.post("/command", data={**fields, "csrf": token}).status_code
    assert 3 == len(world.do(world.pokemons.get_events("pikachu")))


def test_a_huge_form_is_refused(serve: Any) -> None:
    """It is not read to its end."""
    client = serve(commands=[level_up_pokemon])
    assert 413 == client.post("/command", data={"x": "y" * 2_000_000}).status_code


def test_a_mask_decides_what_is_shown(serve: Any) -> None:
    """Masked values appear nowhere: not in events, states, differences or the log."""

    def mask(field: Field, value: JSONValue) -> JSONValue:
        return "•••" if field.path[-1] in {"name", "trainer_id", "trainer_name"} else value

    client = serve(mask=mask, commands=[catch_pokemon])
    for path in (
        "/",
        "/log",
        "/aggregate?store=POKEMONS&id=pikachu&version=1",
        "/aggregate?store=TRAINERS&id=ash",
        "/diff?store=POKEMONS&id=pikachu&from=0&to=3&all=1",
    ):
        page = client.get(path).text
        assert "Pika<" not in page
        assert '"Pika' not in page
        assert "&#34;Pika" not in page
        assert "•••" in page or "\\u2022" in page


def test_outputs_and_errors_of_commands_are_masked(serve: Any, send: Any) -> None:
    """Outputs and errors may hold values, too."""

    def mask(field: Field, value: JSONValue) -> JSONValue:
        return "•••" if field.path[0] in {"output", "error"} else value

    new = with_context(wild_pokemon_appear, generate_id=lambda: "the-new-id")
    client = serve(mask=mask, commands=[catch_pokemon, new])
    fields = {'input.["name"]': "Mew", 'input.["level"]': "7", "action": "rehearse"}
    page = send(client, "/command?name=WILD_POKEMON_APPEAR", name="WILD_POKEMON_APPEAR", **fields)
    assert "&#34;the-new-id&#34;" not in page.text
    fields = {
        'input.["pokemon_id"]': "pikachu",
        'input.["trainer_id"]': "ash",
        "action": "rehearse",
    }
    page = send(client, "/command?name=CATCH_POKEMON", name="CATCH_POKEMON", **fields)
    assert "Refused:" in page.text
    assert "already belongs" not in page.text


def test_a_failing_mask_shows_nothing(serve: Any) -> None:
    """The page is an error, and not the value."""

    def mask(field: Field, value: JSONValue) -> JSONValue:
        raise RuntimeError(f"{field} {value!r:.0}")

    client = TestClient(
        serve(mask=mask).app, base_url="http://localhost", raise_server_exceptions=False
    )
    answer = client.get("/log")
    assert 500 == answer.status_code
    assert "Pika" not in answer.text
    assert "no-store" == answer.headers["cache-control"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_vendored_files_are_those_of_npm() -> None:
    """Nobody has changed them: their hashes are pinned."""
    pinned = {
        "htmx-4.0.1.min.js": (
            "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"
        ),
        "htmx-sse-4.0.1.min.js": (
            "sha384-v8HvucQ+ohQhMg0arboXc5049yNR46QKMjphs7YDch+Wm7zpfK5XVS01f26mQDJV"
        ),
        "pico-2.1.1.classless.min.css": (
            "sha384-NZhm4G1I7BpEGdjDKnzEfy3d78xvy7ECKUwwnKTYi036z42IyF056PbHfpQLIYgL"
        ),
        "uplot-1.6.32.min.css": (
            "sha384-IfV0B7MIOYuO95kO9G5ySKPz/85zqFNOAs8iy4tkK5zd9izhJAB8b7lHrwYqqmYE"
        ),
        "uplot-1.6.32.min.js": (
            "sha384-Gx3t0zdBAuQOuvvmaLZj7HKEiSgWTAs+VdtNY7wt19QDPTDQjFIwAuXDj0zeN00c"
        ),
    }
    folder = FOLDER / "vendor"
    files = {each.name for each in folder.iterdir() if each.suffix != ".LICENSE"}
    assert pinned == {each: get_integrity(f"vendor/{each}") for each in files}
