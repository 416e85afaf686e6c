"""Showing the history in the browser, also while it is imported."""

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from castore_visualizer import create_app
from git_history.history import History


@asynccontextmanager
async def serving(history: History, port: int) -> AsyncGenerator[tuple[str, asyncio.Task[None]]]:
    """Serve the event stores to this machine; give the link, and what ends when Ctrl-C ends it.

    Raises:
        OSError: the port is taken.
    """
    token = secrets.token_urlsafe(24)
    stores: list[Any] = [history.files, history.commits]
    app = create_app(stores, token=token, title="git history")
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}", task
        finally:
            server.should_exit = True
            await task
