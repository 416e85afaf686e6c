"""Fetching an object by its presigned URL, for those who may not read its bucket."""

from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Final, cast
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
)

from castore_aws._streams import CHUNK, Bounds, Content

_PATIENCE: Final = 60.0  # seconds without an answer, as with the clients of boto3
_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTIONS: Final = 3


def download(url: str, check_url: Callable[[str], object], bounds: Bounds) -> bytes:
    """Fetch what is at a URL.

    S3 redirects for new buckets. ``check_url`` is given each URL to which it does, and raises a
    `ValueError` where that is not followed.

    Raises:
        ValueError: it is refused, or there is none, or it is too large.
        OSError: another attempt may succeed.
    """
    for _ in range(_MOST_REDIRECTIONS + 1):
        try:
            return _fetch(url, bounds)
        except HTTPError as error:
            with error:
                if error.code not in _REDIRECTIONS:
                    raise _translate(error) from error
                url = urljoin(url, error.headers.get("Location", ""))
        check_url(url)
    raise ValueError("its body cannot be fetched: S3 redirects again and again")


def _fetch(url: str, bounds: Bounds) -> bytes:
    patience = min(_PATIENCE, max(bounds.deadline - monotonic(), 0.001))
    try:
        with cast("HTTPResponse", _make_opener().open(url, timeout=patience)) as response:
            return _read(response, bounds)
    except HTTPException as error:  # the answer was cut, or is none of HTTP
        raise ConnectionError(f"its body cannot be fetched: {type(error).__name__}") from error


def _read(response: HTTPResponse, bounds: Bounds) -> bytes:
    content = Content(bounds)
    expected = response.length or 0
    content.expect(expected)
    while content.add(response.read1(CHUNK)):
        pass
    if len(content) < expected:
        raise ConnectionError("its body cannot be fetched: it was cut")
    return bytes(content)


def _translate(error: HTTPError) -> Exception:
    reason = f"its body cannot be fetched: HTTP Error {error.code}"
    return ValueError(reason) if error.code < 500 else ConnectionError(reason)  # noqa: PLR2004 from here on it is the server's fault


def _make_opener() -> OpenerDirector:
    """Return an opener for HTTP URLs that follows no redirects."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPErrorProcessor,
        HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    return opener
