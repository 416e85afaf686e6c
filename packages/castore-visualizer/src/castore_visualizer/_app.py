"""The application."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from castore_core import CastoreError, EventStore, MessageChannel
from castore_visualizer._assets import FOLDER
from castore_visualizer._authorization import Authorization, Authorize
from castore_visualizer._commands import AnyCommand
from castore_visualizer._headers import SecurityHeaders, add_security_headers
from castore_visualizer._hosts import LOOPBACK_HOSTS, HostCheck
from castore_visualizer._inventory import Inventory
from castore_visualizer._log_followers import LogFollower
from castore_visualizer._masking import Mask, Masking
from castore_visualizer._missing_aggregate import MissingAggregateError
from castore_visualizer._pages import (
    aggregate,
    aggregates,
    commands,
    correlation,
    log,
    messages,
    projections,
    snapshots,
    stores,
)
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site
from castore_visualizer._token import TokenGate, check_token
from castore_visualizer._urls import PATHS


def create_app(
    event_stores: Iterable[EventStore] | EventStore,
    *,
    projections: Iterable[LogFollower] = (),
    message_channels: Iterable[MessageChannel[Any]] = (),
    commands: Iterable[AnyCommand] = (),
    allow_writes: bool = False,
    token: str | None = None,
    authorize: Authorize | None = None,
    allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
    mask: Mask | None = None,
    title: str = "castore",
) -> Starlette:
    """Return an ASGI application that shows event stores, to serve or to mount at any path.

    It has no login of its own, and without ``token`` and ``authorize`` it lets everybody in who
    reaches it: it is for you to mount it where only those come who may see all events. ::

        app = FastAPI()
        app.mount("/events", create_app(stores, authorize=is_admin, allowed_hosts=["shop.example"]))

    It needs no lifespan, takes your stores as they are, and closes nothing.

    Args:
        event_stores: the stores, with their storage adapters.
        projections: projections and relays of castore-projections.
        message_channels: channels, beside those of connected stores, which are found.
        commands: commands to try, and to run where it may write: see `with_context`.
        allow_writes: whether commands may run for real, and parked events be retried or dropped.
        token: lets those in who have it in their first address, as ``?token=...``; a cookie
            remembers it. It has at least 16 characters.
        authorize: asked about each request, which has what your middleware has put into it. Only
            ``True`` lets it through.
        allowed_hosts: the hosts under which it is reached, without ports: ``*.example.com`` stands
            for all below, and ``*`` for any. By default, only this machine.
        mask: is given each value before it is shown, and returns what is shown instead.
        title: names the program, in the head of each page.

    Raises:
        ValueError: there is no store, two have one id, or the token is too short.
        TypeError: a store is none.
    """
    inventory = Inventory.collect(event_stores, projections, message_channels, commands)
    site = Site(inventory, Masking(mask), allow_writes=allow_writes, title=title)
    return build_app(site, _list_middleware(token, authorize, allowed_hosts))


def build_app(site: Site, middleware: Sequence[Middleware]) -> Starlette:
    """Return an application that shows a site behind some middleware."""
    app = Starlette(
        routes=_ROUTES,
        middleware=middleware,
        exception_handlers={
            HTTPException: _show_error,
            CastoreError: _show_castore_error,
            Exception: _show_failure,
        },
    )
    app.state.site = site
    return app


def _list_middleware(
    token: str | None, authorize: Authorize | None, allowed_hosts: Sequence[str]
) -> list[Middleware]:
    if isinstance(allowed_hosts, str):
        raise TypeError("allowed_hosts is a list of hosts")
    stack = [Middleware(SecurityHeaders), Middleware(HostCheck, allowed_hosts=allowed_hosts)]
    if token is not None:
        check_token(token)
        stack.append(Middleware(TokenGate, token=token))
    if authorize is not None:
        stack.append(Middleware(Authorization, authorize=authorize))
    return stack


async def _show_error(request: Request, error: Exception) -> Response:
    status, text = 500, str(error)
    if isinstance(error, HTTPException):
        status = error.status_code
        text = "There is no such page." if error.detail == "Not Found" else error.detail
    missing = error if isinstance(error, MissingAggregateError) else None
    return _render_error(request, status, text, missing)


async def _show_castore_error(request: Request, error: Exception) -> Response:
    """Show an error of a storage: no page of this application raises others of castore."""
    text = get_site(request).masking.apply_to_text("", "error", str(error))
    return _render_error(request, 502, f"{text}.")


def _render_error(
    request: Request, status: int, text: str, missing: MissingAggregateError | None = None
) -> Response:
    return render(
        request, "error.html", status=status, status_code=status, text=text, missing=missing
    )


async def _show_failure(request: Request, error: Exception) -> Response:
    """Tell nothing of an error, which is raised again: nobody may have been let in yet."""
    del request, error
    response = PlainTextResponse("This page failed: the log of the program says why.\n", 500)
    add_security_headers(response.headers)
    return response


_ROUTES: Final = [
    Route(PATHS["stores"], stores.show_stores),
    Route(PATHS["counts"], stores.show_counts),
    Route(PATHS["rates"], stores.get_rates),
    Route(PATHS["search"], stores.search),
    Route(PATHS["aggregates"], aggregates.show_aggregates),
    Route(PATHS["aggregate"], aggregate.show_aggregate),
    Route(PATHS["diff"], aggregate.show_diff),
    Route(PATHS["log"], log.show_log),
    Route(PATHS["live"], log.stream_log),
    Route(PATHS["correlation"], correlation.show_correlation),
    Route(PATHS["snapshots"], snapshots.show_snapshots),
    Route(PATHS["projections"], projections.show_projections),
    Route(PATHS["lags"], projections.get_lags),
    Route(PATHS["parked"], projections.show_parked, methods=["GET"]),
    Route(PATHS["parked"], projections.change_parked, methods=["POST"]),
    Route(PATHS["messages"], messages.show_messages),
    Route(PATHS["commands"], commands.list_commands),
    Route(PATHS["command"], commands.show_command, methods=["GET"]),
    Route(PATHS["command"], commands.run_command, methods=["POST"]),
    Mount("/static", StaticFiles(directory=FOLDER), name="static"),
]
