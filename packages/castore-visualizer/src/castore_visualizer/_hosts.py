"""The check of the host: a page of another site cannot reach a visualizer under its own name.

Without it, a site that lets its name lead to 127.0.0.1 (DNS rebinding) could read all pages.
"""

import re
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
"""The names of the machine itself."""

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]*)?")


class HostCheck:
    """Refuses requests whose header ``Host`` names another host than the allowed ones."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed = tuple(each.lower() for each in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and not self._allows(Request(scope).headers.get("host", "")):
            refusal = PlainTextResponse(
                "This host is not allowed: name it in allowed_hosts, or with --allowed-host.\n", 400
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allows(self, host: str) -> bool:
        if "*" in self._allowed:
            return True
        name = _drop_port(host.lower())
        return name != "" and any(name == each or _is_below(name, each) for each in self._allowed)


def _drop_port(host: str) -> str:
    """Return the name of a host without its port, or an empty one where it is malformed."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found["name"]


def _is_below(name: str, pattern: str) -> bool:
    return pattern.startswith("*.") and name.endswith(pattern[1:])
