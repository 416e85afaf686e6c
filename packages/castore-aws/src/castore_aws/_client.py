"""The seam to AWS: one way to call a client of boto3 and one of aioboto3."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Protocol, cast

from botocore.exceptions import ResponseStreamingError

from castore_aws._faults import AWS_ERRORS, is_retryable
from castore_aws._retries import RetryPolicy
from castore_aws._threads import get_threads, run_in_thread


class Client(Protocol):
    """A client of boto3, aioboto3 or aiobotocore, as far as type checkers can tell one."""

    @property
    def meta(self) -> Any:
        """What the client is made of."""
        ...


class AWSClient:
    """Calls a client that the user owns, and retries what is worth it.

    A client of aioboto3 is awaited, and belongs to the event loop in which it was made. One of
    boto3 is called in threads of its own, as many as it has connections (``max_pool_connections``
    of its configuration). They are shared by all that use the client, and begin when they are
    needed. The client is never closed.

    Args:
        client: a client of boto3 or aioboto3.
        service: the service that it has to be of, as boto3 names it: ``dynamodb``.
        retries: what comes on top of the retries of the client itself.

    Raises:
        TypeError: it is no client, or one of another service.
    """

    def __init__(self, client: Client, service: str, *, retries: RetryPolicy | None = None) -> None:
        _check_client(client, service)
        self._client = client
        self._retries = RetryPolicy() if retries is None else retries
        self._is_async = iscoroutinefunction(cast("Any", client)._make_api_call)

    def __repr__(self) -> str:
        return f"AWSClient({self._client!r})"

    @property
    def client(self) -> Client:
        """The user's client."""
        return self._client

    async def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        is_retryable: Callable[[Exception], bool] = is_retryable,
    ) -> dict[str, Any]:
        """Call an operation by the name of its method (``put_item``), and return the response.

        ``is_retryable`` decides which errors are worth another attempt. A call may be carried out
        several times: by these attempts, and by those that the client makes by itself.

        Raises:
            ClientError, BotoCoreError: the last attempt's.
        """
        request = partial(getattr(self._client, operation), **parameters)
        return cast(
            "dict[str, Any]",
            await self._retries.run(partial(self._attempt, request), is_retryable),
        )

    async def read(self, operation: str, parameters: Mapping[str, Any]) -> bytes:
        """Call an operation that streams a ``Body`` (``get_object``), and return that as a whole.

        Raises:
            ClientError, BotoCoreError: the last attempt's.
        """
        request = partial(getattr(self._client, operation), **parameters)
        read = _read_later if self._is_async else _read_now
        return cast(
            "bytes",
            await self._retries.run(partial(self._attempt, partial(read, request)), is_retryable),
        )

    async def _attempt(self, request: Callable[[], Any]) -> object:
        if self._is_async:
            return await request()
        return await run_in_thread(get_threads(self._client), request)


def _read_now(request: Callable[[], Any]) -> bytes:
    body = request()["Body"]  # entering it would give the stream below, which checks no length
    with closing(body), _translated():
        return cast("bytes", body.read())


async def _read_later(request: Callable[[], Any]) -> bytes:
    body = (await request())["Body"]
    async with body:
        with _translated():
            return cast("bytes", await body.read())


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Raise as an error of botocore what its streams let through of the library below."""
    try:
        yield
    except AWS_ERRORS:
        raise
    except Exception as error:
        raise ResponseStreamingError(error=error) from error


def _check_client(client: object, service: str) -> None:
    if not hasattr(client, "_make_api_call"):
        raise TypeError(
            f"not a client of boto3 or aioboto3: {client!r}. Make one with "
            f"boto3.client({service!r}), or async with aioboto3.Session().client({service!r})"
        )
    actual = cast("Client", client).meta.service_model.service_name
    if actual != service:
        raise TypeError(f"a client of {service!r} is needed, and this is one of {actual!r}")
