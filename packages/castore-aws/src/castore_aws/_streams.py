"""Bodies that are streamed, as S3 gives them, and how much of one is read."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager
from math import inf
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from botocore.exceptions import ResponseStreamingError

from castore_aws._faults import AWS_ERRORS

CHUNK: Final = 8_192
"""How many bytes are read at a time: the deadline is looked at in between."""


class Bounds(NamedTuple):
    """How many bytes a body may have, and until when it may be read, on the monotonic clock."""

    max_bytes: float = inf
    deadline: float = inf


class Content:
    """The bytes of a body that were read so far."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._content = bytearray()

    def __bytes__(self) -> bytes:
        return bytes(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def expect(self, size: int) -> None:
        """Refuse a body that says that it is too large.

        Raises:
            ValueError: it has more bytes than it may.
        """
        if size > self._bounds.max_bytes:
            raise ValueError(f"its body has more than {self._bounds.max_bytes} bytes")

    def add(self, chunk: bytes) -> bool:
        """Keep a chunk, and tell whether it was one: the end is empty.

        Raises:
            ValueError: the body has more bytes than it may.
            TimeoutError: it is too late.
        """
        self._content += chunk
        self.expect(len(self))
        if monotonic() > self._bounds.deadline:
            raise TimeoutError("its body was not read in time")
        return bool(chunk)


def read_now(request: Callable[[], Any], bounds: Bounds) -> bytes:
    """Make a request of boto3, and read the body that it returns."""
    response = request()
    content = Content(bounds)
    # Entering the body would give the stream below, which checks no length.
    with closing(response["Body"]) as body:
        content.expect(response.get("ContentLength", 0))
        while content.add(_read_now(body)):
            pass
    return bytes(content)


async def read_later(request: Callable[[], Awaitable[Any]], bounds: Bounds) -> bytes:
    """Make a request of aioboto3, and read the body that it returns."""
    response = await request()
    content = Content(bounds)
    body = response["Body"]
    async with body:
        content.expect(response.get("ContentLength", 0))
        while content.add(await _read_later(body)):
            pass
    return bytes(content)


def _read_now(body: Any) -> bytes:
    with _translated():
        return cast("bytes", body.read(CHUNK))


async def _read_later(body: Any) -> bytes:
    with _translated():
        return cast("bytes", await body.read(CHUNK))


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Translate errors of the HTTP library, which botocore's streams let through."""
    try:
        yield
    except AWS_ERRORS:
        raise
    except Exception as error:
        raise ResponseStreamingError(error=error) from error
