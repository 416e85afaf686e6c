"""The command `castore visualize`: event stores in the browser."""

import errno
import secrets
import socket
import webbrowser
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import uvicorn
from cyclopts import Parameter
from starlette.types import ASGIApp

from castore_cli import Address, CommandError, Terminal, open_objects, open_stores
from castore_core import AggregateCommand, Command, GroupCommand, MessageChannel
from castore_visualizer._app import create_app
from castore_visualizer._commands import CommandContext
from castore_visualizer._hosts import LOOPBACK_HOSTS
from castore_visualizer._log_followers import LogFollower

PORT: Final = 8765

_COMMANDS: Final = (Command, AggregateCommand, GroupCommand, CommandContext)
_COMMAND: Final = "a command, plain or of with_context"
_PROJECTION: Final = "a projection or a relay"
_CHANNEL: Final = "a message channel"
_GRACE: Final = 1  # seconds for open connections: those of live pages never end by themselves
_MANY: Final = Parameter(negative=())


async def visualize(
    address: Address,
    /,
    *,
    projections: Annotated[tuple[Address, ...], _MANY] = (),
    channels: Annotated[tuple[Address, ...], _MANY] = (),
    commands: Annotated[tuple[Address, ...], _MANY] = (),
    allow_writes: bool = False,
    host: str = "127.0.0.1",
    port: int = PORT,
    allowed_host: Annotated[tuple[str, ...], _MANY] = (),
    open_browser: Annotated[bool, Parameter(name="--open")] = False,
    terminal: Terminal,
) -> None:
    """Show event stores in the browser, until Ctrl-C.

    The link that is printed has a token: nobody gets in without it.

    Args:
        address: The event stores.
        projections: Projections and relays; it may be given several times.
        channels: Message channels; it may be given several times.
        commands: Commands to try; it may be given several times.
        allow_writes: Let commands run for real, and parked events be retried or dropped.
        host: Listen there; by default, for this machine only.
        port: The port; 0 takes a free one.
        allowed_host: A host under which it is reached, beside this machine's own names.
        open_browser: Open it in the browser.
    """
    token = secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(address))
        app = create_app(
            stores,
            projections=await _open_all(stack, projections, _PROJECTION, LogFollower),
            message_channels=await _open_all(stack, channels, _CHANNEL, MessageChannel),
            commands=await _open_all(stack, commands, _COMMAND, *_COMMANDS),
            allow_writes=allow_writes,
            token=token,
            allowed_hosts=(*LOOPBACK_HOSTS, *_list_hosts(host), *allowed_host),
            title=address.partition(":")[0],
        )
        with _listen(host, port) as listener:
            link = _make_link(host, listener, token)
            terminal.show_text(link, {"url": link})
            terminal.say("Ctrl-C ends it")
            if open_browser:
                webbrowser.open(link)
            await _make_server(app).serve(sockets=[listener])


def _make_server(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=_GRACE
    )
    return uvicorn.Server(config)


async def _open_all(
    stack: AsyncExitStack, addresses: tuple[str, ...], wanted: str, *kinds: type[Any]
) -> list[Any]:
    return [
        found
        for each in addresses
        for found in await stack.enter_async_context(open_objects(each, *kinds, wanted=wanted))
    ]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "it is taken; --port 0 takes a free one" if is_taken else str(error)
        raise CommandError(f"cannot listen on {host}:{port}: {reason}") from error


def _list_hosts(host: str) -> tuple[str, ...]:
    return (f"[{host}]" if ":" in host else host,)


def _make_link(host: str, listener: socket.socket, token: str) -> str:
    port: int = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, _list_hosts(host)[0])  # noqa: S104 it is what a browser cannot open
    return f"http://{shown}:{port}/?token={token}"
