"""The seam to AWS: one way to call a client of boto3 and one of aioboto3."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Protocol, cast

from castore_aws._faults import is_retryable
from castore_aws._retries import RetryPolicy
from castore_aws._streams import Bounds, read_later, read_now
from castore_aws._threads import CALLS, READS, get_threads


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
    needed. A call that hangs does not keep the process from ending. The client is never closed.

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

    async def read(
        self, operation: str, parameters: Mapping[str, Any], *, bounds: Bounds | None = None
    ) -> bytes:
        """Call an operation that streams a ``Body`` (``get_object``), and return that as a whole.

        A client of boto3 is read in threads apart from those of `call`: a body that takes long
        holds up nothing else.

        Raises:
            ClientError, BotoCoreError: the last attempt's.
            ValueError: the body has more bytes than ``bounds`` allow.
            TimeoutError: the deadline of ``bounds`` has passed.
        """
        request = partial(getattr(self._client, operation), **parameters)
        read = read_later if self._is_async else read_now
        attempt = partial(read, request, Bounds() if bounds is None else bounds)
        return cast(
            "bytes", await self._retries.run(partial(self._attempt, attempt, READS), is_retryable)
        )

    async def _attempt(self, request: Callable[[], Any], purpose: str = CALLS) -> object:
        if self._is_async:
            return await request()
        return await get_threads(self._client, purpose).run(request)


def _check_client(client: object, service: str) -> None:
    if isinstance(client, type) or not hasattr(client, "_make_api_call"):
        raise TypeError(
            f"not a client of boto3 or aioboto3: {_describe(client)}. Make one with "
            f"boto3.client({service!r}), or async with aioboto3.Session().client({service!r})"
        )
    actual = cast("Client", client).meta.service_model.service_name
    if actual != service:
        raise TypeError(f"a client of {service!r} is needed, and this is one of {actual!r}")


def _describe(client: object) -> str:
    return f"the class {client.__name__}" if isinstance(client, type) else f"{client!r:.100}"
