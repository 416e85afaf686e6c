"""Take the pictures of docs/visualizer.md with Chromium: `uv run scripts/screenshots.py`."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests" / "support")]

from playwright.async_api import Browser  # noqa: E402

from browsing import (  # noqa: E402 the paths come first
    PHONE,
    WIDE,
    find_chromium,
    open_browser,
    open_page,
    serving,
)
from castore_visualizer import create_app  # noqa: E402
from git_history.git import Repository  # noqa: E402
from showcase import make_pokemon_app, open_git_history, open_shop_app  # noqa: E402

PIKACHU: Final = "/aggregate?store=POKEMONS&id=pikachu&version=9"
LETTERS: Final = "/projections/parked?name=letters"
REQUEST: Final = "/correlation?id=request-003&store=ORDERS&aggregate=order-3&version=1"


async def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with open_browser() as browser:
            await take_pokemons(browser)
            await take_shop(browser, Path(folder))
            async with git_history(Path(folder)) as app, serving(app) as address:
                await take(browser, address, "/", "git-history-dark", color_scheme="dark")


async def take_pokemons(browser: Browser) -> None:
    """Take the pictures of the pokemons."""
    async with serving(await make_pokemon_app(allow_writes=True)) as address:
        await take(browser, address, "/", "stores")
        await take(browser, address, PIKACHU, "aggregate")
        await take(browser, address, PIKACHU, "aggregate-dark", color_scheme="dark")
        await take(browser, address, PIKACHU, "aggregate-phone", viewport=PHONE)
        await take(browser, address, "/log", "log")
        await take_rehearsal(browser, address)


async def take_shop(browser: Browser, folder: Path) -> None:
    """Take the pictures of the shop."""
    shop = open_shop_app(folder / "shop.db", allow_writes=True)
    async with shop as app, serving(app) as address:
        await take(browser, address, REQUEST, "correlation")
        await take(browser, address, "/projections", "projections")
        await take(browser, address, LETTERS, "parked")
        await take(browser, address, "/snapshots?store=PRODUCTS&id=lamp", "snapshots")


@asynccontextmanager
async def git_history(folder: Path) -> AsyncGenerator[Any]:
    """Give a visualizer of the history of this repository."""
    async with open_git_history(Repository.find(ROOT), folder / "history.db") as stores:
        yield create_app(stores, title="git history")


async def take(browser: Browser, address: str, path: str, name: str, **options: Any) -> None:
    """Take a picture of a page."""
    async with open_page(browser, {"viewport": WIDE, **options}) as page:
        await page.goto(address + path)
        await page.wait_for_load_state("load")
        await page.wait_for_timeout(600)  # until charts are drawn
        await page.screenshot(path=FOLDER / f"visualizer-{name}.png")


async def take_rehearsal(browser: Browser, address: str) -> None:
    """Take a picture of what a command would do."""
    async with open_page(browser, {"viewport": WIDE}) as page:
        await page.goto(f"{address}/command?name=LEVEL_UP_POKEMON")
        await page.get_by_label("pokemon_id").fill("pikachu")
        await page.get_by_role("button", name="What if?").click()
        await page.get_by_text("would be written").wait_for()
        await page.screenshot(path=FOLDER / "visualizer-command.png")


if __name__ == "__main__":
    if find_chromium() is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    asyncio.run(main())
