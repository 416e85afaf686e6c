"""The visualizer in a real browser, Chromium: what people see and do, by mouse and by keyboard."""

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from browsing import PHONE, WIDE, find_chromium, open_browser, open_page, serving
from castore_core import LOG_START, Event, EventStore, utc_now
from castore_in_memory import InMemoryEventStorageAdapter
from castore_visualizer import create_app
from castore_visualizer._page_tokens import pack
from git_history.git import Repository
from pokemon import PokemonAppeared, PokemonLeveledUp
from showcase import make_pokemon_app, make_pokemon_stores, open_git_history, open_shop_app

pytestmark = [
    pytest.mark.skipif(
        find_chromium() is None, reason="there is no Chromium: apt-get install chromium"
    ),
    pytest.mark.asyncio(loop_scope="module"),  # that of the browser
]

AXE = Path(__file__).parent / "axe" / "axe-4.14.1.min.js"
ATTACK = "<img src=x onerror=alert(1)><script>alert(2)</script>"

# As a browser does when a person goes to another tab, or comes back.
SHOW = """state => {
  Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
  Object.defineProperty(document, "hidden", {value: state === "hidden", configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Site:
    """A visualizer that is served, its stores, and a page of a browser."""

    def __init__(self, page: Page, address: str, stores: list[Any]) -> None:
        self.page = page
        self.address = address
        self.stores = stores
        self.problems: list[str] = []
        page.on("dialog", self._note_dialog)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note_message)
        page.on("request", self._note_request)

    async def visit(self, path: str) -> None:
        """Open a page of the visualizer."""
        await self.page.goto(self.address + path)
        await self.page.wait_for_load_state("load")

    async def _note_dialog(self, dialog: Any) -> None:
        self.problems.append(f"a script ran: {dialog.message}")
        await dialog.dismiss()

    def _note_message(self, message: Any) -> None:
        is_refusal = "Failed to load resource" in message.text  # of a page that is an error
        if message.type in {"error", "warning"} and not is_refusal:
            self.problems.append(message.text)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.problems.append(f"it asked {request.url}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Browser]:
    """Give a browser; each test has pages of its own in it."""
    async with open_browser() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[str]:
    """Give the address of a shop that may write, for tests that only look."""
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    async with open_shop_app(path, allow_writes=True) as app, serving(app) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="module")
async def site(browser: Browser) -> AsyncGenerator[Site]:
    """Give a visualizer that may write; its pages cause no error, and ask no other host."""
    stores = await make_pokemon_stores(utc_now())
    app = await make_pokemon_app(stores=stores, allow_writes=True)
    async with serving(app) as address, open_page(browser, {"viewport": WIDE}) as page:
        found = Site(page, address, stores)
        yield found
        assert [] == found.problems


async def test_a_person_browses_from_the_stores_to_an_event(site: Site) -> None:
    """Stores are counted, lead to their aggregates, and these to their events."""
    page = site.page
    await site.visit("/")
    row = page.get_by_role("row", name=re.compile("POKEMONS"))
    await expect(row.first.get_by_role("link", name="115")).to_be_visible()
    await expect(page.locator(".chart canvas")).to_be_visible()
    await page.get_by_role("link", name="POKEMONS", exact=True).first.click()
    await expect(page.get_by_role("heading", name="POKEMONS")).to_be_visible()
    await page.wait_for_load_state("load")  # until htmx listens
    await page.get_by_label("Id", exact=True).fill("pikac")
    await expect(page.locator("#found tbody tr")).not_to_have_count(50)
    await page.get_by_role("link", name="pikachu", exact=True).click()
    await expect(page.get_by_role("heading", name="pikachu", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="State after version 25")).to_be_visible()


async def test_a_person_travels_in_time(site: Site) -> None:
    """The slider, the timeline and the list lead to versions, each with an address of its own."""
    page = site.page
    await site.visit("/aggregate?store=POKEMONS&id=pikachu")
    await page.get_by_role("slider", name="Version").focus()
    for _ in range(3):
        await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("heading", name="State after version 22")).to_be_visible()
    await expect(page).to_have_url(re.compile("version=22"))
    await expect(page.locator("#travel-help")).to_have_text("22 of 25")

    await page.locator(".timeline a").nth(8).click()
    await expect(page.get_by_role("heading", name="Event 9")).to_be_visible()
    await expect(page.get_by_role("slider", name="Version")).to_have_value("9")
    await page.go_back()
    await expect(page.get_by_role("heading", name="State after version 22")).to_be_visible()

    await site.visit("/aggregate?store=POKEMONS&id=pikachu&version=9")
    await expect(page.locator("pre").get_by_text('"ash"').first).to_be_visible()


async def test_a_moment_that_is_none_is_told(site: Site) -> None:
    """The page of the error comes, one step from the aggregate."""
    await site.visit("/aggregate?store=POKEMONS&id=pikachu")
    page = site.page
    await page.get_by_label("Moment (UTC)").fill("yesterday")
    await page.get_by_role("button", name="Go there").click()
    await expect(page.get_by_role("heading", name="That cannot be read")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


async def test_a_person_compares_two_versions(site: Site) -> None:
    """The difference names each value that changed, before and after."""
    page = site.page
    await site.visit("/aggregate?store=POKEMONS&id=pikachu&version=9")
    await page.get_by_role("link", name="Compare").click()
    row = page.get_by_role("row", name=re.compile("trainer_id"))
    await expect(row.locator("del")).to_have_text("null")
    await expect(row.locator("ins")).to_have_text("ash")


async def test_the_log_is_live(site: Site) -> None:
    """An event that is pushed appears at its top, and is announced, however late scripts come."""
    page = site.page

    async def delay(route: Route) -> None:
        await asyncio.sleep(0.3)
        await route.continue_()

    await page.route(re.compile("htmx-sse"), delay)
    async with page.expect_response(re.compile("/log/live"), timeout=10_000):
        await site.visit("/log?store=POKEMONS")
    await site.stores[0].push_event(PokemonLeveledUp("pikachu", 26))
    first = page.locator("#live tr").first
    await expect(first).to_contain_text("pikachu")
    await expect(first.locator("td.n")).to_have_text("26")
    await expect(page.get_by_role("status")).to_have_text("live · 1 new")


async def test_a_live_log_misses_nothing(site: Site) -> None:
    """Events appear that came before the page listened, and while it was in the background."""
    page = site.page

    async def push_before(route: Route) -> None:
        await site.stores[0].push_event(PokemonLeveledUp("pikachu", 26))
        await route.continue_()

    await page.route(re.compile("htmx-sse"), push_before)
    versions = page.locator("#live tr.new td.n")
    await site.visit("/log?store=POKEMONS")
    await expect(versions).to_have_text(["26"])

    await page.evaluate(SHOW, "hidden")
    await asyncio.sleep(0.3)
    for version in (27, 28):
        await site.stores[0].push_event(PokemonLeveledUp("pikachu", version))
    await asyncio.sleep(0.3)
    await expect(versions).to_have_text(["26"])
    await page.evaluate(SHOW, "visible")
    await expect(versions).to_have_text(["28", "27", "26"])


async def test_a_live_log_shows_nothing_twice(site: Site) -> None:
    """An event that the page shows already, and that comes again, is neither shown nor counted."""
    page = site.page
    start = pack([LOG_START])

    async def begin_early(route: Route) -> None:
        await site.stores[0].push_event(PokemonLeveledUp("pikachu", 26))
        await route.continue_(url=re.sub("seen=[^&]*", f"seen={start}", route.request.url))

    await page.route(re.compile("/log/live"), begin_early)
    await site.visit("/log?store=POKEMONS&id=pikachu")
    await expect(page.locator("#live tr.new td.n")).to_have_text(["26"])
    await expect(page.locator("#live td.n")).to_have_text([str(26 - each) for each in range(26)])
    await expect(page.get_by_role("status")).to_have_text("live · 1 new")


async def test_a_command_is_rehearsed_and_then_run(site: Site) -> None:
    """Its events and the next state are shown before anything is written."""
    page = site.page
    await site.visit("/commands")
    await page.get_by_role("link", name=re.compile("LEVEL_UP_POKEMON")).click()
    await page.get_by_label("pokemon_id").fill("pikachu")
    await page.get_by_role("button", name="What if?").click()
    await expect(page.get_by_text("1 event would be written")).to_be_visible()
    assert 25 == len(await site.stores[0].get_events("pikachu"))

    await page.get_by_role("button", name="Run for real").click()
    await expect(page.get_by_text("Done: 1 event written.")).to_be_visible()
    assert 26 == len(await site.stores[0].get_events("pikachu"))


async def test_a_conflict_is_shown_as_one(site: Site) -> None:
    """Where somebody else was faster, nothing is written, and the page says what happened."""
    page = site.page
    await site.visit("/command?name=LEVEL_UP_POKEMON")
    await page.get_by_label("pokemon_id").fill("pikachu")
    await page.get_by_role("button", name="What if?").click()
    await expect(page.get_by_text("would be written")).to_be_visible()
    await site.stores[0].push_event(PokemonLeveledUp("pikachu", 26))
    await page.get_by_role("button", name="Run for real").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("pikachu is at version 26 by now")
    assert 26 == len(await site.stores[0].get_events("pikachu"))


async def test_a_write_that_is_not_allowed_does_nothing(browser: Browser) -> None:
    """A read-only visualizer has no button for it, and refuses a form that asks all the same."""
    stores = await make_pokemon_stores(utc_now())
    app = await make_pokemon_app(stores=stores)
    async with serving(app) as address, open_page(browser, {"viewport": WIDE}) as page:
        await page.goto(f"{address}/command?name=LEVEL_UP_POKEMON")
        await expect(page.get_by_text("nothing can be written")).to_be_visible()
        await page.get_by_label("pokemon_id").fill("pikachu")
        await page.eval_on_selector("button[value=rehearse]", "button => button.value = 'run'")
        await page.get_by_role("button", name="What if?").click()
        await expect(page.get_by_role("heading", name="That is not allowed")).to_be_visible()
    assert 25 == len(await stores[0].get_events("pikachu"))


async def test_another_site_cannot_write(browser: Browser) -> None:
    """A page of another origin that sends the form is refused, whatever cookies there are."""
    stores = await make_pokemon_stores(utc_now())
    app = await make_pokemon_app(stores=stores, allow_writes=True)

    async def attack(scope: Any, receive: Any, send: Any) -> None:
        del receive
        form = (
            f"<form method=post action='http://localhost:{port}/command'>"
            "<input name=name value=LEVEL_UP_POKEMON><input name=action value=run>"
            """<input name='input.["pokemon_id"]' value=pikachu><button>Win</button></form>"""
        )
        headers = [(b"content-type", b"text/html")]
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": form.encode()})

    async with (
        serving(app) as address,
        serving(attack) as other,
        open_page(browser, {"viewport": WIDE}) as page,
    ):
        port = address.rpartition(":")[2]
        await page.goto(f"http://localhost:{port}/command?name=LEVEL_UP_POKEMON")
        await page.goto(other)
        await page.get_by_role("button", name="Win").click()
        await expect(page.get_by_text("This form comes from elsewhere")).to_be_visible()
    assert 25 == len(await stores[0].get_events("pikachu"))


async def test_payloads_run_nothing(site: Site) -> None:
    """Markup in ids and payloads is text on every page that shows it."""
    event = PokemonAppeared(ATTACK, 1, payload={"name": ATTACK, "level": 1})
    await site.stores[0].push_event(event)
    page = site.page
    await site.visit("/log")
    await page.get_by_role("link", name=ATTACK).first.click()
    await expect(page.get_by_role("heading", name=ATTACK, exact=True)).to_be_visible()
    await page.get_by_role("link", name="Correlated events").click()
    await expect(page.locator("table").get_by_text(ATTACK).first).to_be_visible()


async def test_a_link_with_the_token_lets_in(browser: Browser) -> None:
    """The token is gone from the address, and the cookie keeps the browser in."""
    stores = await make_pokemon_stores(utc_now())
    app = create_app(stores, token="a-token-that-nobody-guesses")  # noqa: S106 of a test
    async with serving(app) as address, open_page(browser, {"viewport": WIDE}) as page:
        await page.goto(address)
        await expect(page.get_by_text("Open the link with the token")).to_be_visible()
        await page.goto(f"{address}/?token=a-token-that-nobody-guesses")
        await expect(page).to_have_url(f"{address}/")
        await page.get_by_role("link", name="Log", exact=True).click()
        await expect(page.get_by_role("heading", name="Log")).to_be_visible()


async def test_the_keyboard_is_enough(site: Site) -> None:
    """Nothing needs a mouse: the content is one key away, and so is each link and button."""
    page = site.page
    await site.visit("/commands")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("LEVEL_UP_POKEMON"))
    await page.get_by_label("pokemon_id").focus()
    await page.keyboard.type("pikachu")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("would be written")).to_be_visible()


async def test_pages_work_without_scripts(browser: Browser) -> None:
    """Scripts add comfort: links, forms and pages do without."""
    app = await make_pokemon_app()
    options = {"viewport": WIDE, "java_script_enabled": False}
    async with serving(app) as address, open_page(browser, options) as page:
        await page.goto(f"{address}/aggregate?store=POKEMONS&id=pikachu&version=9")
        await page.get_by_role("link", name="Event after").click()
        await expect(page.get_by_role("heading", name="Event 10")).to_be_visible()


PAGES = (
    "/",
    "/aggregates?store=PRODUCTS",
    "/aggregate?store=PRODUCTS&id=lamp&version=3",
    "/diff?store=PRODUCTS&id=lamp&from=1&to=4",
    "/log",
    "/log?type=NOTHING",
    "/correlation?id=request-003",
    "/snapshots?store=PRODUCTS&id=lamp",
    "/projections",
    "/projections/parked?name=letters",
    "/commands",
    "/command?name=ORDERS.pay",
    "/command?name=place_order",
    "/messages",
    "/search?q=nothing",
    "/nowhere",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "phone"])
async def test_pages_are_accessible(browser: Browser, shop: str, scheme: str, size: str) -> None:
    """Axe finds nothing, in light and dark, on a screen and on a phone, which scrolls down only."""
    axe = await asyncio.to_thread(AXE.read_text, "utf-8")
    options = {"viewport": WIDE if size == "wide" else PHONE, "color_scheme": scheme}
    async with open_page(browser, options) as page:
        found = {path: await find_violations(page, shop + path, axe) for path in PAGES}
    assert {} == {path: each for path, each in found.items() if each}


async def find_violations(page: Page, address: str, axe: str) -> list[str]:
    """Return what axe finds on a page, and whether the page is wider than the window."""
    await page.goto(address)
    await page.wait_for_load_state("load")
    await page.evaluate(axe)
    run = "axe.run({ resultTypes: ['violations'] }).then((report) => report.violations)"
    violations = await page.evaluate(run)  # the whole report is long, and slow to hand over
    found = [
        f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for each in violations
        for node in each["nodes"]
    ]
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return found if width <= 0 else [*found, f"it is {width} pixels too wide"]


@dataclass(frozen=True)
class Catch:
    """Something that was caught."""

    aggregate_id: str
    version: int
    payload: dict[str, str]


class CaughtInTheHighGrass(Event, type="CAUGHT_IN_THE_HIGH_GRASS_BY_A_TRAINER_FROM_THE_NEXT_TOWN"):
    """An event whose type has a long name."""

    payload: dict[str, str]


def reduce_catch(catch: Catch | None, event: CaughtInTheHighGrass) -> Catch:
    """Return the state after an event."""
    del catch
    return Catch(event.aggregate_id, event.version, event.payload)


def make_grass() -> EventStore[Any, Any]:
    """Return an empty store."""
    return EventStore(
        "GRASS",
        event_types=[CaughtInTheHighGrass],
        reduce=reduce_catch,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


async def push_large_values(store: EventStore[Any, Any]) -> None:
    """Push an event with long texts and many fields, and one that changes them all."""
    for version, word in ((1, "grass"), (2, "leaf")):
        payload = {
            "lines": f"{word}\n" * 900,
            "words": f"{word} " * 900,
            "more": f"{word} " * 9_000,
        }
        payload |= {f"field-{number}": word for number in range(100)}
        await store.push_event(CaughtInTheHighGrass("large", version, payload=payload))


LARGE = ("/aggregate?store=GRASS&id=large", "/diff?store=GRASS&id=large")


@pytest.mark.parametrize("path", LARGE)
async def test_large_values_are_limited_in_height(browser: Browser, path: str) -> None:
    """Long texts unfold, and long lists scroll, in a page that stays short, without scripts."""
    store = make_grass()
    await push_large_values(store)
    options = {"viewport": WIDE, "java_script_enabled": False}
    async with serving(create_app(store)) as address, open_page(browser, options) as page:
        await page.goto(address + path)
        values = page.get_by_role("region", name="Values")
        await expect(values.get_by_text("Show 20,000 of 45,000 characters")).to_be_visible()
        value = values.locator("tr", has_text="payload.lines").locator("ins")
        await expect(value.locator(".long > .str")).to_be_hidden()
        await value.get_by_text("Show all 4,500 characters").click()
        await expect(value.locator(".long > .str")).to_be_visible()
        await expect(value.get_by_text("Show less")).to_be_visible()
        assert 2_000 > await measure_height(page.locator("body"))


async def measure_height(place: Locator) -> float:
    """Return the height of a part of a page, in pixels."""
    box = await place.bounding_box()
    assert box is not None
    return box["height"]


async def test_large_values_are_accessible(browser: Browser) -> None:
    """Axe finds nothing about them on a phone, where the page is no wider than the screen."""
    axe = await asyncio.to_thread(AXE.read_text, "utf-8")
    store = make_grass()
    await push_large_values(store)
    async with (
        serving(create_app(store)) as address,
        open_page(browser, {"viewport": PHONE}) as page,
    ):
        found = {path: await find_violations(page, address + path, axe) for path in LARGE}
    assert {} == {path: each for path, each in found.items() if each}


async def test_long_names_fit_on_a_phone(browser: Browser) -> None:
    """No page is wider than the screen."""
    store = make_grass()
    name = "pikachu" * 30
    await store.push_event(CaughtInTheHighGrass(name, 1, payload={"note": "x" * 500}))
    place = f"store=GRASS&id={name}"
    app = create_app(store)
    async with serving(app) as address, open_page(browser, {"viewport": PHONE}) as page:
        for path in (
            "/",
            "/log",
            "/aggregates?store=GRASS",
            f"/aggregate?{place}",
            f"/diff?{place}",
        ):
            await page.goto(address + path)
            await page.wait_for_load_state("load")
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_menu_of_a_phone_shows_where_it_is(browser: Browser) -> None:
    """It is wider than the screen, and begins at the page that is open."""
    app = await make_pokemon_app()
    async with serving(app) as address, open_page(browser, {"viewport": PHONE}) as page:
        await page.goto(f"{address}/commands")
        await expect(page.locator(".side nav [aria-current]")).to_be_in_viewport(ratio=0.9)


async def test_stores_fit_on_a_phone(browser: Browser, shop: str) -> None:
    """All of a store is on the screen, and nothing has to be moved aside to be seen."""
    async with open_page(browser, {"viewport": PHONE}) as page:
        await page.goto(shop)
        stores = page.get_by_role("region", name="Event stores")
        await expect(stores.get_by_role("link", name=re.compile(r"^\d+$"))).to_have_count(2)
        boxes = [await each.bounding_box() for each in await stores.locator("th, td").all()]
        seen = [each for each in boxes if each is not None and each["height"] > 1]
        assert len(seen) >= 10
        assert all(each["x"] + each["width"] <= PHONE["width"] for each in seen)
        assert 0 == await stores.evaluate("place => place.scrollWidth - place.clientWidth")


async def test_buttons_and_switches_are_on_one_line(browser: Browser, shop: str) -> None:
    """The switch that leads to dropping stands beside the button, not higher."""
    async with open_page(browser, {"viewport": WIDE}) as page:
        await page.goto(f"{shop}/projections/parked?name=letters")
        button = await page.get_by_role("button", name="Retry 4").bounding_box()
        switch = await page.get_by_text("Drop…").bounding_box()
        assert button is not None
        assert switch is not None
        centers = [each["y"] + each["height"] / 2 for each in (button, switch)]
        assert centers[0] == pytest.approx(centers[1], abs=1)


async def test_a_git_history_is_browsed(
    browser: Browser, tmp_path: Path, make_repository: Callable[[Path], None]
) -> None:
    """Files are aggregates that are named by their paths."""
    folder = tmp_path / "repository"
    await asyncio.to_thread(make_repository, folder)
    async with (
        open_git_history(Repository.find(folder), tmp_path / "history.db") as stores,
        serving(create_app(stores)) as address,
        open_page(browser, {"viewport": WIDE}) as page,
    ):
        await page.goto(address)
        await page.get_by_role("link", name="FILES").first.click()
        await page.get_by_role("link", name="src/main.py").click()
        await expect(page.get_by_role("heading", name="State after version 3")).to_be_visible()
        await expect(page.get_by_role("row", name=re.compile("added"))).to_be_visible()


async def test_parked_events_are_retried(browser: Browser, tmp_path: Path) -> None:
    """They are grouped by their failure, and a button lets them be tried again; each has a link."""
    async with (
        open_shop_app(tmp_path / "shop.db", allow_writes=True) as app,
        serving(app) as address,
        open_page(browser, {"viewport": WIDE}) as page,
    ):
        await page.goto(f"{address}/projections")
        await page.get_by_role("link", name="4 parked events").click()
        await page.get_by_role("button", name="Retry 4").click()
        await expect(page.get_by_text("4 will be tried again")).to_be_visible()
        await expect(page.get_by_text("No failures are left")).to_be_visible()
        await expect(page.get_by_role("cell", name="will be tried again")).to_have_count(4)
        await page.locator("td a.id").first.click()
        await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


async def test_parked_events_are_dropped(browser: Browser, tmp_path: Path) -> None:
    """It takes a second step, and where writing is not allowed, there is neither."""
    async with (
        open_shop_app(tmp_path / "shop.db", allow_writes=True) as app,
        serving(app) as address,
        open_page(browser, {"viewport": WIDE}) as page,
    ):
        await page.goto(f"{address}/projections/parked?name=letters")
        await page.get_by_text("Drop…").click()
        await page.get_by_role("button", name="Drop 4 for good").click()
        await expect(page.get_by_text("4 were dropped")).to_be_visible()
        await expect(page.get_by_text("Nothing is parked")).to_be_visible()


async def test_parked_events_stay_where_nothing_is_written(
    browser: Browser, tmp_path: Path
) -> None:
    """A read-only visualizer shows them, and says why there are no buttons."""
    async with (
        open_shop_app(tmp_path / "shop.db") as app,
        serving(app) as address,
        open_page(browser, {"viewport": WIDE}) as page,
    ):
        await page.goto(f"{address}/projections/parked?name=letters")
        await expect(page.get_by_text("Retry and drop are off")).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Retry|Drop"))).to_have_count(0)


@pytest.fixture
def make_repository() -> Callable[[Path], None]:
    """Give a function that makes a git repository with a file that changed."""

    def git(folder: Path, *words: str) -> None:
        names = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        words = ("git", "-C", str(folder), *names, *words)
        subprocess.run(words, check=True, capture_output=True)

    def make(folder: Path) -> None:
        (folder / "src").mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main")
        for number in range(3):
            (folder / "src" / "main.py").write_text("line\n" * (number + 1))
            git(folder, "add", ".")
            git(folder, "commit", "-q", "-m", f"change {number}")

    return make
