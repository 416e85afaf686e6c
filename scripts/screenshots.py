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

from browsing import PHONE, WIDE, find_chromium, open_page, serving  # noqa: E402 the paths come first
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
        async with serving(await make_pokemon_app(allow_writes=True)) as address:
            await take(address, "/", "stores")
            await take(address, PIKACHU, "aggregate")
            await take(address, PIKACHU, "aggregate-dark", color_scheme="dark")
            await take(address, PIKACHU, "aggregate-phone", viewport=PHONE)
            await take(address, "/log", "log")
            await take_rehearsal(address)
        shop = open_shop_app(Path(folder) / "shop.db", allow_writes=True)
        async with shop as app, serving(app) as address:
            await take(address, REQUEST, "correlation")
            await take(address, "/projections", "projections")
            await take(address, LETTERS, "parked")
            await take(address, "/snapshots?store=PRODUCTS&id=lamp", "snapshots")
        async with git_history(Path(folder)) as app, serving(app) as address:
            await take(address, "/", "git-history-dark", color_scheme="dark")


@asynccontextmanager
async def git_history(folder: Path) -> AsyncGenerator[Any]:
    """Give a visualizer of the history of this repository."""
    async with open_git_history(Repository.find(ROOT), folder / "history.db") as stores:
        yield create_app(stores, title="git history")


async def take(address: str, path: str, name: str, **options: Any) -> None:
    """Take a picture of a page."""
    async with open_page({"viewport": WIDE, **options}) as page:
        await page.goto(address + path)
        await page.wait_for_load_state("load")
        await page.wait_for_timeout(600)  # until charts are drawn
        await page.screenshot(path=FOLDER / f"visualizer-{name}.png")


async def take_rehearsal(address: str) -> None:
    """Take a picture of what a command would do."""
    async with open_page({"viewport": WIDE}) as page:
        await page.goto(f"{address}/command?name=LEVEL_UP_POKEMON")
        await page.get_by_label("pokemon_id").fill("pikachu")
        await page.get_by_role("button", name="What if?").click()
        await page.get_by_text("would be written").wait_for()
        await page.screenshot(path=FOLDER / "visualizer-command.png")


if __name__ == "__main__":
    if find_chromium() is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    asyncio.run(main())
