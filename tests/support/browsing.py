"""A real browser, and a server for it to visit."""

import asyncio
import shutil
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from playwright.async_api import Browser, Page, async_playwright

WIDE: Final = {"width": 1360, "height": 900}
PHONE: Final = {"width": 390, "height": 844}


def find_chromium() -> str | None:
    """Return the path of Chromium, if the system has it; Playwright downloads none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for each in names if (path := shutil.which(each))), None)


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """Serve an application, and give its address."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def open_browser() -> AsyncGenerator[Browser]:
    """Start Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(browser: Browser, options: Mapping[str, Any]) -> AsyncGenerator[Page]:
    """Open a page that shares no cookies, storage or cache with others of the browser."""
    context = await browser.new_context(**options)
    try:
        yield await context.new_page()
    finally:
        await context.close()
