"""Writes come from pages of this visualizer, and from no other site (CSRF)."""

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

COOKIE: Final = "castore_visualizer_csrf"
FIELD: Final = "csrf"


def get_form_token(request: Request) -> str:
    """Return the token that the forms of a page carry: that of the cookie, or a new one."""
    token: str | None = getattr(request.state, "csrf", None)
    if token is None:
        token = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
        request.state.csrf = token
    return token


def keep_form_token(request: Request, response: Response) -> None:
    """Let the browser keep the token of the forms that a response has."""
    token: str | None = getattr(request.state, "csrf", None)
    if token is not None and request.cookies.get(COOKIE) != token:
        response.set_cookie(
            COOKIE,
            token,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


def comes_from_here(request: Request, given: str) -> bool:
    """Tell whether a form was sent by a page of this site, and has the token of its cookie.

    Pages send no referrer, and so their forms have the origin ``null``: the browser itself tells,
    in ``Sec-Fetch-Site``, where they come from. It does so on HTTPS and on this machine only.
    """
    expected = request.cookies.get(COOKIE, "")
    has_token = bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
    return has_token and _is_same_site(request)


def _is_same_site(request: Request) -> bool:
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
