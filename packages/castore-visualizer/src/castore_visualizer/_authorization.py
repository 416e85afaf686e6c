"""Authorization by the program that a visualizer is part of."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Authorize: TypeAlias = Callable[[Request], bool | Awaitable[bool]]
"""A function, plain or ``async``, that tells whether a request may see events.

The request has what your middleware has put into it: its session, its user.
"""


class Authorization:
    """Asks a function of the program about each request, those of static files included."""

    def __init__(self, app: ASGIApp, authorize: Authorize) -> None:
        self._app = app
        self._authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            answer = self._authorize(Request(scope))
            if (await answer if isawaitable(answer) else answer) is not True:
                await PlainTextResponse("You may not see this.\n", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
