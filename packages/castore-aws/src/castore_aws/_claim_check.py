"""The S3 claim check: bodies that are too large for a message wait in a bucket."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Any, Final

from castore_aws._client import AWSClient, Client
from castore_aws._downloads import download
from castore_aws._faults import AWS_ERRORS, get_error_code
from castore_aws._object_urls import ObjectURLs
from castore_aws._retries import RetryPolicy
from castore_aws._streams import Bounds
from castore_aws._threads import Threads
from castore_core import format_json

_MESSAGE_URL: Final = "messageUrl"
_WEEK: Final = 604_800  # seconds: no presigned URL is valid for longer
_MOST_DOWNLOADS: Final = 10  # as many as a client has connections
_NAME_OF_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")
_FORBIDDEN = frozenset({"AccessDenied", "403"})
_MISSING = frozenset({"NoSuchKey", "404"})


class S3ClaimCheck:
    """Keeps bodies in a bucket, and gives out messages that say where they are, as Castore does.

    Give it to the adapters that publish, and to the consumers of their messages. Nothing is ever
    deleted: several consumers may fetch a body, and a replay needs it again. Let a life cycle
    rule of the bucket do that, after the longest time that a message may wait to be handled.

    Args:
        client: a client of boto3 or aioboto3 for ``s3``, which is yours and never closed.
        bucket: the name of the bucket, and not the ARN of an access point.
        prefix: what the keys of the objects begin with, such as ``messages/``. Bodies with other
            keys are not fetched.
        expires_in: for how many seconds those who may not read the bucket can fetch a body, 1 to
            604,800 (a week). No longer than the credentials that signed the URL are valid.
        max_body_bytes: how large a body may be, 1 or more. A larger one is neither kept nor
            fetched.
        timeout: how many seconds S3 has to take a body, or to deliver one, retries included; more
            than 0.
        endpoints: the URLs by which publishers know S3, where they differ from the endpoint of
            ``client``: those of VPC endpoints, say.
        retries: bounds the attempts of each call.

    Raises:
        ValueError: an option is out of its bounds, or ``bucket`` or an endpoint is malformed.
        TypeError: ``client`` is no client for ``s3``.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        *,
        prefix: str = "",
        expires_in: int = _WEEK,
        max_body_bytes: int = 16_777_216,
        timeout: float = 60.0,
        endpoints: Iterable[str] = (),
        retries: RetryPolicy | None = None,
    ) -> None:
        if not _NAME_OF_BUCKET.fullmatch(bucket):
            raise ValueError(f"not the name of a bucket: {bucket!r:.100}")
        if not 1 <= expires_in <= _WEEK:
            raise ValueError(f"expires_in is not 1 to {_WEEK} seconds: {expires_in}")
        if max_body_bytes < 1:
            raise ValueError(f"max_body_bytes is not 1 or more: {max_body_bytes}")
        if not timeout > 0:
            raise ValueError(f"timeout is not more than 0 seconds: {timeout}")
        self._aws = AWSClient(client, "s3", retries=retries)
        self._bucket = bucket
        self._prefix = prefix
        self._expires_in = expires_in
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout
        self._urls = ObjectURLs(bucket, prefix, [client.meta.endpoint_url, *endpoints])
        self._downloads = Threads(_MOST_DOWNLOADS, "castore-aws-download")

    def __repr__(self) -> str:
        return f"S3ClaimCheck({self._bucket!r}, prefix={self._prefix!r})"

    async def check_in(self, text: str) -> str:
        """Put a body into the bucket, and return the text of the one to send in its place.

        The same body is kept once, however often it is published.

        Raises:
            ValueError: it has more bytes than ``max_body_bytes``.
            ClientError, BotoCoreError, TimeoutError: S3 did not take it.
        """
        content = text.encode()
        if len(content) > self._max_body_bytes:
            raise ValueError(
                f"its body has {len(content)} bytes, and the claim check takes "
                f"{self._max_body_bytes}: see max_body_bytes"
            )
        place = {
            "Bucket": self._bucket,
            "Key": f"{self._prefix}{sha256(content).hexdigest()}.json",
        }
        async with self._time_limit("take"):
            return await self._put(place, content)

    async def _put(self, place: Mapping[str, str], content: bytes) -> str:
        request = {**place, "Body": content, "ContentType": "application/json"}
        await self._aws.call("put_object", request)
        url: Any = await self._aws.call(  # a method of the client too, whose response is a text
            "generate_presigned_url",
            {"ClientMethod": "get_object", "Params": place, "ExpiresIn": self._expires_in},
        )
        return format_json({_MESSAGE_URL: url})

    @staticmethod
    def is_claim(body: Mapping[str, Any]) -> bool:
        """Tell whether a body only says where the real one is."""
        return _MESSAGE_URL in body

    async def redeem(self, body: Mapping[str, Any]) -> bytes:
        """Return the text of the body that another one stands for.

        It is fetched from the bucket, and by its URL only where the bucket may not be read: URLs
        are valid for less time than messages.

        Raises:
            ValueError: it is not in this bucket, or not any more, or it is too large, or its URL
                has expired.
            ClientError, BotoCoreError, OSError: S3 did not answer; another attempt may succeed.
        """
        key = self._urls.find_key(body[_MESSAGE_URL])
        bounds = Bounds(self._max_body_bytes, monotonic() + self._timeout)
        async with self._time_limit("deliver"):
            return await self._fetch(key, body[_MESSAGE_URL], bounds)

    async def _fetch(self, key: str, url: str, bounds: Bounds) -> bytes:
        place = {"Bucket": self._bucket, "Key": key}
        try:
            return await self._aws.read("get_object", place, bounds=bounds)
        except AWS_ERRORS as error:
            code = get_error_code(error)
            if code in _MISSING:
                raise ValueError(f"its body is not in bucket {self._bucket!r} any more") from error
            if code not in _FORBIDDEN:
                raise
        check_url = partial(self._check_redirection, key)
        return await self._downloads.run(partial(download, url, check_url, bounds))

    def _check_redirection(self, key: str, url: str) -> None:
        if self._urls.find_key(url) != key:
            raise ValueError("its URL leads to another body")

    @asynccontextmanager
    async def _time_limit(self, verb: str) -> AsyncGenerator[None, None]:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            reason = f"S3 did not {verb} a body within {self._timeout} seconds"
            raise TimeoutError(reason) from error
