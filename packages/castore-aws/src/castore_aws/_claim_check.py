"""The S3 claim check: bodies that are too large for a message wait in a bucket."""

import asyncio
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from http.client import HTTPException, InvalidURL
from typing import Any, Final, cast
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import BaseHandler, Request, build_opener

from castore_aws._client import AWSClient, Client
from castore_aws._faults import AWS_ERRORS, get_error_code
from castore_aws._retries import RetryPolicy
from castore_core import format_json

_MESSAGE_URL: Final = "messageUrl"
_WEEK: Final = 604_800  # seconds: no presigned URL is valid for longer
_PATIENCE: Final = 60  # seconds without an answer, as with the clients of boto3
_HOST_OF_S3: Final = re.compile(
    r"(.+\.)?s3(express)?(-[a-z0-9-]+)?(\.dualstack)?(\.[a-z]+(-[a-z]+)+-\d+)?(\.vpce)?"
    r"\.amazonaws\.(com|com\.cn|eu)"
)
_FORBIDDEN = frozenset({"AccessDenied", "403"})
_MISSING = frozenset({"NoSuchKey", "404"})


class S3ClaimCheck:
    """Keeps bodies in a bucket, and gives out messages that say where they are, as Castore does.

    Give it to the adapters that publish, and to whoever consumes what they publish. Nothing is
    ever deleted: several consumers may fetch a body, and a replay needs it again. Let a life cycle
    rule of the bucket do that, after the longest time that a message may wait to be handled.

    Args:
        client: a client of boto3 or aioboto3 for ``s3``, which is yours and never closed.
        bucket: the name of the bucket, and not the ARN of an access point.
        prefix: what the keys of the objects begin with, such as ``messages/``.
        expires_in: for how many seconds those who may not read the bucket can fetch a body, 1 to
            604,800 (a week). No longer than the credentials that signed the URL are valid.
        retries: bounds the attempts of each call.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        *,
        prefix: str = "",
        expires_in: int = _WEEK,
        retries: RetryPolicy | None = None,
    ) -> None:
        if not bucket or ":" in bucket:
            raise ValueError(f"not the name of a bucket: {bucket!r}")
        if not 1 <= expires_in <= _WEEK:
            raise ValueError(f"expires_in is not 1 to {_WEEK} seconds: {expires_in}")
        self._aws = AWSClient(client, "s3", retries=retries)
        self._bucket = bucket
        self._prefix = prefix
        self._expires_in = expires_in

    def __repr__(self) -> str:
        return f"S3ClaimCheck({self._bucket!r}, prefix={self._prefix!r})"

    async def check_in(self, text: str) -> str:
        """Put a body into the bucket, and return the text of the one to send in its place.

        The same body is kept once, however often it is published.

        Raises:
            ClientError, BotoCoreError: S3 did not take it.
        """
        content = text.encode()
        place = {
            "Bucket": self._bucket,
            "Key": f"{self._prefix}{sha256(content).hexdigest()}.json",
        }
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
            ValueError: it is not in this bucket, or not any more, or its URL has expired.
            ClientError, BotoCoreError, OSError: S3 did not answer; another attempt may succeed.
        """
        url = str(body[_MESSAGE_URL])
        key = self._find_key(url)
        try:
            return await self._aws.read("get_object", {"Bucket": self._bucket, "Key": key})
        except AWS_ERRORS as error:
            code = get_error_code(error)
            if code in _MISSING:
                raise ValueError(f"its body is not in bucket {self._bucket!r} any more") from error
            if code not in _FORBIDDEN:
                raise
        return await asyncio.to_thread(_download, url, self._check_host)

    def _find_key(self, url: str) -> str:
        """Return the key of a URL, whose host or path begins with the bucket."""
        parts = urlsplit(url)
        path = unquote(parts.path).removeprefix("/")
        if parts.netloc.startswith(f"{self._bucket}."):
            bucket, key = self._bucket, path
        else:
            bucket, _, key = path.partition("/")
        if key and bucket == self._bucket and parts.scheme in {"http", "https"}:
            return key
        raise ValueError(f"its body is not in bucket {self._bucket!r}: {url!r:.100}")

    def _check_host(self, url: str) -> None:
        """Refuse to fetch from elsewhere than S3: whoever sends a message chooses its URL."""
        host = urlsplit(url).hostname or ""
        own = urlsplit(str(self._aws.client.meta.endpoint_url)).hostname
        if host != own and not host.endswith(f".{own}") and not is_host_of_s3(host):
            raise ValueError(f"its body is not in S3: {url!r:.100}")


def is_host_of_s3(host: str) -> bool:
    """Tell whether a host is one of S3, and not of what others run on AWS."""
    return _HOST_OF_S3.fullmatch(host) is not None


class _HostCheck(BaseHandler):
    """Looks at each request, also where S3 redirects it, as it does for new buckets."""

    def __init__(self, check_host: Callable[[str], None]) -> None:
        self._check_host = check_host

    def http_request(self, request: Request) -> Request:
        self._check_host(request.full_url)
        return request

    https_request = ftp_request = http_request


def _download(url: str, check_host: Callable[[str], None]) -> bytes:
    try:
        opener = build_opener(_HostCheck(check_host))
        with opener.open(url, timeout=_PATIENCE) as response:
            return cast("bytes", response.read())
    except HTTPError as error:
        with error:
            if error.code < 500:  # noqa: PLR2004 from here on it is the server's fault
                raise ValueError(f"its body cannot be fetched: {error}") from error
            raise
    except InvalidURL as error:
        raise ValueError(f"its body cannot be fetched: {error}") from error
    except HTTPException as error:  # the answer was cut
        raise ConnectionError(f"its body cannot be fetched: {error!r}") from error
