"""The token: whoever has the link with it may look."""

import hashlib
import hmac
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from castore_visualizer._urls import make_path

SHORTEST: Final = 16  # characters


def check_token(token: str) -> None:
    """Refuse a token that could be guessed.

    Raises:
        ValueError: it has fewer than 16 characters.
    """
    if len(token) < SHORTEST:
        raise ValueError(f"the token has fewer than {SHORTEST} characters")


class TokenGate:
    """Lets requests through that have the token in their query once, and then a cookie of it.

    The cookie is no token, and the token does not stay in the address: the first request is sent
    on to the address without it.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._proof = hmac.digest(self._token, b"castore-visualizer", "sha256").hex()
        # Cookies know no ports: two visualizers on one host have two of them.
        name = hashlib.sha256(self._proof.encode()).hexdigest()[:8]
        self._cookie = f"castore_visualizer_{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        answer = self._find_refusal(request)
        await (answer or self._app)(scope, receive, send)

    def _find_refusal(self, request: Request) -> Response | None:
        given = request.query_params.get("token")
        if given is not None and hmac.compare_digest(given.encode(), self._token):
            return self._send_on(request)
        if hmac.compare_digest(_get_cookie(request, self._cookie).encode(), self._proof.encode()):
            return None
        return PlainTextResponse(
            "Open the link with the token, which was printed at the start.\n", 401
        )

    def _send_on(self, request: Request) -> Response:
        rest = urlencode(
            [each for each in request.query_params.multi_items() if each[0] != "token"]
        )
        path = make_path(request)
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(
            self._cookie,
            self._proof,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response


def _get_cookie(request: Request, name: str) -> str:
    return request.cookies.get(name, "")
