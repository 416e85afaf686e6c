"""Bodies wait in S3, and are fetched from there in either of two ways."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from io import BytesIO
from time import monotonic
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import aioboto3
import boto3
import pytest
from aiobotocore.config import AioConfig
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import RetryPolicy, S3ClaimCheck

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "test",  # ministack knows this one, and checks what it signs
    "aws_secret_access_key": "test",
}
TEXT = '{"text":"caf\u00e9 \u26a1"}'
DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
AT_ONCE = RetryPolicy(max_attempts=2, base_delay=0)

MakeClient = Callable[..., Awaitable[Any]]


class FakeClient:
    """A client of boto3 that notes what it is asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.meta = SimpleNamespace(
            service_model=SimpleNamespace(service_name="s3"),
            config=SimpleNamespace(max_pool_connections=10),
            endpoint_url="https://s3.eu-west-1.amazonaws.com",
        )
        self.error = error
        self.keys: list[str] = []

    def _make_api_call(self) -> None:
        if self.error:
            raise self.error

    def get_object(self, **parameters: Any) -> Any:
        """Give a body."""
        assert "claims" == parameters["Bucket"]
        self._make_api_call()
        self.keys.append(parameters["Key"])
        return {"Body": BytesIO(b"{}")}


class DenyingServer:
    """Denies what is asked for in the name of an account, and answers a presigned URL.

    A body may have no length, and come again and again, with pauses.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status = "200 OK"
        self.content = TEXT.encode()
        self.length = len(self.content)
        self.has_length = True
        self.repeats = 1
        self.pause = self.delay = 0.0
        self.is_readable = False
        self.locations: list[str] = []
        self.requests = self.written = 0
        self.is_left = asyncio.Event()
        self.tasks: list[asyncio.Task[Any]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        try:
            await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except OSError:
            self.is_left.set()
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        await asyncio.sleep(self.delay)
        if head.startswith(b"PUT"):
            await self._write(writer, "200 OK", b"", 0)
        elif b"authorization:" in head.lower() and not self.is_readable:
            await self._write(writer, "403 Forbidden", DENIED, len(DENIED))
        else:
            await self._write_body(writer)

    async def _write_body(self, writer: asyncio.StreamWriter) -> None:
        status = self.status
        if self.locations:
            status = f"307 Temporary Redirect\r\nLocation: {self.locations.pop()}"
        length = self.length if self.has_length else None
        await self._write(writer, status, self.content, length)
        for _ in range(self.repeats - 1):
            await asyncio.sleep(self.pause)
            writer.write(self.content)
            await writer.drain()
            self.written += len(self.content)

    async def _write(
        self, writer: asyncio.StreamWriter, status: str, content: bytes, length: int | None
    ) -> None:
        headers = "" if length is None else f"Content-Length: {length}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n".encode())
        writer.write(content)
        await writer.drain()

    def make_claim(self) -> dict[str, str]:
        """Return a claim of an object."""
        return {"messageUrl": f"{self.url}/claims/key.json?X-Amz-Signature=abc"}


@pytest.fixture(params=["moto", "ministack"])
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give the URL of a server, of either kind."""
    return find_server(request.param)


@pytest.fixture(scope="session")
def sessions() -> tuple[boto3.Session, aioboto3.Session]:
    """Give sessions for all tests: each would load the description of S3 anew."""
    return boto3.Session(**ACCOUNT), aioboto3.Session(**ACCOUNT)


@pytest.fixture(params=["boto3", "aioboto3"])
async def make_client(
    request: pytest.FixtureRequest, sessions: tuple[boto3.Session, aioboto3.Session]
) -> AsyncIterator[MakeClient]:
    """Give a function that makes a client of a server, of either kind."""
    async with AsyncExitStack() as stack:

        async def make(url: str) -> Any:
            config = AioConfig(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                signature_version="s3v4",
            )
            if request.param == "boto3":
                client: Any = sessions[0].client("s3", endpoint_url=url, config=config)
                stack.callback(client.close)
                return client
            context = sessions[1].client("s3", endpoint_url=url, config=config)
            return await stack.enter_async_context(context)

        yield make


@pytest.fixture
def make_bucket(sessions: tuple[boto3.Session, aioboto3.Session]) -> Callable[[str], str]:
    """Give a function that makes a bucket on a server, and returns its name."""

    def make(url: str) -> str:
        name = f"claims-{uuid4()}"
        client: Any = sessions[0].client("s3", endpoint_url=url)
        place = {"LocationConstraint": ACCOUNT["region_name"]}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        client.close()
        return name

    return make


@pytest.fixture
def bucket(url: str, make_bucket: Callable[[str], str]) -> str:
    """Give the name of a bucket without objects."""
    return make_bucket(url)


@pytest.fixture
async def server() -> AsyncIterator[DenyingServer]:
    """Give a server where nobody may read."""
    server = DenyingServer()
    listener = await asyncio.start_server(server.answer, "127.0.0.1")
    server.url = "http://{}:{}".format(*listener.sockets[0].getsockname())
    yield server
    listener.close()
    for task in server.tasks:
        task.cancel()
    await asyncio.gather(*server.tasks, return_exceptions=True)


# On servers


async def test_a_body_is_fetched_by_its_claim(
    make_client: MakeClient, url: str, bucket: str
) -> None:
    """It is what was checked in, and others than us can fetch it with a plain request."""
    claim_check = S3ClaimCheck(await make_client(url), bucket)

    claim = json.loads(await claim_check.check_in(TEXT))

    assert ["messageUrl"] == list(claim)
    assert claim_check.is_claim(claim)
    assert TEXT.encode() == await claim_check.redeem(claim)
    assert TEXT.encode() == await asyncio.to_thread(fetch, claim["messageUrl"])


async def test_a_claim_outlives_its_url(
    make_client: MakeClient, find_server: Callable[[str], str], make_bucket: Callable[[str], str]
) -> None:
    """Whoever may read the bucket needs no signature; it is valid for as long as was asked."""
    url = find_server("ministack")  # moto does not look at signatures
    claim_check = S3ClaimCheck(await make_client(url), make_bucket(url), expires_in=1)
    claim = json.loads(await claim_check.check_in(TEXT))

    await asyncio.sleep(2)

    with pytest.raises(HTTPError, match="403") as caught:
        await asyncio.to_thread(fetch, claim["messageUrl"])
    caught.value.close()
    assert TEXT.encode() == await claim_check.redeem(claim)


@pytest.mark.parametrize(
    "prefix",
    ["", "messages/", "messages-", "a b/\u00fc/", "100%41/", "a#b?c&d=e+f/", "//", "a/../b/"],
)
async def test_any_prefix(make_client: MakeClient, url: str, bucket: str, prefix: str) -> None:
    """Keys begin with it as it is, whatever characters it has."""
    client = await make_client(url)
    claim_check = S3ClaimCheck(client, bucket, prefix=prefix)

    claim = json.loads(await claim_check.check_in(TEXT))

    assert TEXT.encode() == await claim_check.redeem(claim)


async def test_a_bucket_of_the_name_of_its_prefix(
    make_client: MakeClient, url: str, bucket: str
) -> None:
    """The two are told apart."""
    claim_check = S3ClaimCheck(await make_client(url), bucket, prefix=f"{bucket}/")

    claim = json.loads(await claim_check.check_in(TEXT))

    assert TEXT.encode() == await claim_check.redeem(claim)


async def test_the_same_body_is_kept_once(make_client: MakeClient, url: str, bucket: str) -> None:
    """Its key follows from it."""
    claim_check = S3ClaimCheck(await make_client(url), bucket)

    texts = [await claim_check.check_in(each) for each in (TEXT, TEXT, "{}")]

    keys = [json.loads(each)["messageUrl"].partition("?")[0] for each in texts]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


async def test_a_body_that_was_deleted(make_client: MakeClient, url: str, bucket: str) -> None:
    """A life cycle rule was faster than the consumer."""
    claim_check = S3ClaimCheck(await make_client(url), bucket, retries=AT_ONCE)
    missing = {"messageUrl": f"{url}/{bucket}/missing.json"}

    with pytest.raises(ValueError, match=f"not in bucket '{bucket}' any more"):
        await claim_check.redeem(missing)


async def test_no_bucket(make_client: MakeClient, url: str) -> None:
    """The error of S3 is raised as it is: the next attempt may find one."""
    claim_check = S3ClaimCheck(await make_client(url), f"claims-{uuid4()}", retries=AT_ONCE)

    with pytest.raises(ClientError, match="NoSuchBucket"):
        await claim_check.check_in(TEXT)


# Where the bucket may not be read


async def test_a_body_is_fetched_by_its_url(make_client: MakeClient, server: DenyingServer) -> None:
    """Whoever may not read the bucket may read what a URL was signed for."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")

    assert TEXT.encode() == await claim_check.redeem(server.make_claim())


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
async def test_a_url_that_has_expired(
    make_client: MakeClient, server: DenyingServer, status: str
) -> None:
    """There is no other way to fetch the body."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.status = status

    with pytest.raises(ValueError, match="cannot be fetched: HTTP Error 40"):
        await claim_check.redeem(server.make_claim())


async def test_s3_fails(make_client: MakeClient, server: DenyingServer) -> None:
    """Another attempt may succeed."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.status = "503 Slow Down"

    with pytest.raises(OSError, match="503"):
        await claim_check.redeem(server.make_claim())


async def test_an_answer_that_was_cut(make_client: MakeClient, server: DenyingServer) -> None:
    """It is no body; another attempt may succeed."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.length += 1

    with pytest.raises(OSError, match="it was cut"):
        await claim_check.redeem(server.make_claim())


async def test_a_redirection_to_the_same_body(
    make_client: MakeClient, server: DenyingServer
) -> None:
    """S3 has some for new buckets; it does not redirect for ever."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    claim = server.make_claim()

    server.locations = ["/claims/key.json?X-Amz-Signature=abc", claim["messageUrl"]]
    assert TEXT.encode() == await claim_check.redeem(claim)

    server.locations = [claim["messageUrl"]] * 9
    with pytest.raises(ValueError, match="redirects again and again"):
        await claim_check.redeem(claim)
    assert 5 == len(server.locations)


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/claims/key.json",
        "http://127.0.0.1:1/claims/key.json",
        "http://127.0.0.1:{port}/evil/key.json",
        "http://127.0.0.1:{port}/claims/other.json",
        "http://127.0.0.1:{port}/claims/admin?delete=all",
        "https://127.0.0.1:{port}/claims/key.json",
        "https://claims.s3.amazonaws.com/key.json",
        "//example.com/claims/key.json",
        "ftp://127.0.0.1:{port}/claims/key.json",
        "file:///claims/key.json",
        "data:text/plain,hunter2",
    ],
)
async def test_nobody_leads_elsewhere(
    make_client: MakeClient, server: DenyingServer, location: str
) -> None:
    """To another server, bucket, body or scheme no redirection is followed."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.locations = [location.format(port=urlsplit(server.url).port)]

    with pytest.raises(ValueError, match=r"its (body|URL|messageUrl) (is|leads)"):
        await claim_check.redeem(server.make_claim())

    assert 2 == server.requests  # the one that was denied, and the one that was redirected


async def test_a_redirection_without_a_place(
    make_client: MakeClient, server: DenyingServer
) -> None:
    """A redirect without a location is not followed, and raises a `ValueError`."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.status = "307 Temporary Redirect"

    with pytest.raises(ValueError, match="redirects again and again"):
        await claim_check.redeem(server.make_claim())


async def test_a_server_that_speaks_no_http(make_client: MakeClient, server: DenyingServer) -> None:
    """Another attempt may succeed."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")
    server.status = "hello"

    with pytest.raises(OSError, match="cannot be fetched"):
        await claim_check.redeem(server.make_claim())


# Sizes and times


@pytest.mark.parametrize("readable", [True, False], ids=["bucket", "URL"])
@pytest.mark.parametrize("has_length", [True, False], ids=["length", "no length"])
async def test_too_large_a_body_is_not_fetched(
    make_client: MakeClient, server: DenyingServer, *, readable: bool, has_length: bool
) -> None:
    """Its length tells, or what was read so far; the limit is inclusive."""
    server.is_readable = readable
    server.has_length = has_length
    client = await make_client(server.url)
    size = len(TEXT.encode())

    whole = await S3ClaimCheck(client, "claims", max_body_bytes=size).redeem(server.make_claim())
    assert TEXT.encode() == whole

    with pytest.raises(ValueError, match=f"its body has more than {size - 1} bytes"):
        await S3ClaimCheck(client, "claims", max_body_bytes=size - 1).redeem(server.make_claim())


@pytest.mark.parametrize("readable", [True, False], ids=["bucket", "URL"])
async def test_an_endless_body(
    make_client: MakeClient, server: DenyingServer, *, readable: bool
) -> None:
    """No more of it is read than a body may have, and a little."""
    server.is_readable, server.has_length = readable, False
    server.repeats = 100_000
    server.content = b"x" * 10_000
    claim_check = S3ClaimCheck(await make_client(server.url), "claims", max_body_bytes=100_000)

    with pytest.raises(ValueError, match="more than 100000 bytes"):
        await claim_check.redeem(server.make_claim())

    await asyncio.wait_for(server.is_left.wait(), 20)
    assert server.written < 50_000_000


@pytest.mark.parametrize("readable", [True, False], ids=["bucket", "URL"])
async def test_a_slow_body(
    make_client: MakeClient, server: DenyingServer, *, readable: bool
) -> None:
    """Another attempt may succeed, and the thread of this one ends."""
    server.is_readable, server.has_length = readable, False
    server.repeats, server.pause, server.content = 200, 0.05, b"x" * 4_000
    claim_check = S3ClaimCheck(await make_client(server.url), "claims", timeout=0.5)

    began = monotonic()
    with pytest.raises(TimeoutError, match=r"S3 did not deliver a body within 0.5 seconds|in time"):
        await claim_check.redeem(server.make_claim())

    assert monotonic() - began < 5
    await asyncio.wait_for(server.is_left.wait(), 20)


async def test_s3_does_not_take_a_body_in_time(
    make_client: MakeClient, server: DenyingServer
) -> None:
    """Whoever publishes is told."""
    server.delay = 2
    claim_check = S3ClaimCheck(await make_client(server.url), "claims", timeout=0.2)

    with pytest.raises(TimeoutError, match=r"S3 did not take a body within 0.2 seconds"):
        await claim_check.check_in(TEXT)


async def test_a_body_that_nobody_would_fetch_is_not_kept() -> None:
    """Whoever publishes is told, and not whoever consumes."""
    claim_check = S3ClaimCheck(FakeClient(), "claims", max_body_bytes=3)

    with pytest.raises(ValueError, match="its body has 4 bytes, and the claim check takes 3"):
        await claim_check.check_in('"\u00fc"')


async def test_slow_bodies_hold_up_no_calls(sessions: Any, server: DenyingServer) -> None:
    """They have threads of their own, also where the client has but one connection."""
    server.is_readable, server.has_length = True, False
    server.repeats, server.pause, server.content = 200, 0.05, b"x" * 4_000
    config = Config(max_pool_connections=1, s3={"addressing_style": "path"})
    client: Any = sessions[0].client("s3", endpoint_url=server.url, config=config)
    claim_check = S3ClaimCheck(client, "claims", timeout=3)
    slow = asyncio.create_task(claim_check.redeem(server.make_claim()))
    await asyncio.sleep(0.3)

    began = monotonic()
    await claim_check.check_in(TEXT)

    assert monotonic() - began < 2
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    await asyncio.wait_for(server.is_left.wait(), 20)
    client.close()


# What URLs say


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.s3.eu-west-1.amazonaws.com/claims/x",
        "https://claims.evil.s3.amazonaws.com/x",
        "http://127.0.0.1:8500/claims/admin?delete=all",
        "https://claims.s3.amazonaws.com/other/x",
        None,
    ],
)
async def test_nothing_is_fetched_from_elsewhere(url: Any) -> None:
    """Nothing is asked for: not from the bucket, and not by the URL."""
    client = FakeClient()

    with pytest.raises(ValueError, match=r"its (body|messageUrl) is"):
        await S3ClaimCheck(client, "claims", prefix="m/").redeem({"messageUrl": url})

    assert [] == client.keys


async def test_a_body_is_asked_for_by_its_key() -> None:
    """In the bucket of the claim check, whatever style its URL has."""
    client = FakeClient()
    claim_check = S3ClaimCheck(client, "claims", prefix="m/", endpoints=["http://minio:9000"])

    for place in ("https://claims.s3.amazonaws.com", "http://minio:9000/claims"):
        await claim_check.redeem({"messageUrl": f"{place}/m/a%20b?X-Amz-Expires=1"})

    assert ["m/a b", "m/a b"] == client.keys


async def test_s3_does_not_answer() -> None:
    """The error is the one of the client."""
    client = FakeClient(EndpointConnectionError(endpoint_url="https://s3"))
    claim = {"messageUrl": "https://claims.s3.amazonaws.com/key"}

    with pytest.raises(EndpointConnectionError):
        await S3ClaimCheck(client, "claims", retries=AT_ONCE).redeem(claim)


@pytest.mark.parametrize(
    ("bucket", "options"),
    [
        ("", {}),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/claims", {}),
        ("a/b", {}),
        ("claims?", {}),
        ("claims", {"expires_in": 0}),
        ("claims", {"expires_in": 604_801}),
        ("claims", {"max_body_bytes": 0}),
        ("claims", {"timeout": 0}),
        ("claims", {"endpoints": ["minio:9000"]}),
    ],
)
def test_what_cannot_be_a_claim_check(bucket: str, options: dict[str, Any]) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=next(iter(options), "not the name of a bucket")[:8]):
        S3ClaimCheck(FakeClient(), bucket, **options)


def test_it_says_where_it_keeps_bodies() -> None:
    """The repr has the bucket and the prefix."""
    assert "S3ClaimCheck('claims', prefix='m/')" == repr(
        S3ClaimCheck(FakeClient(), "claims", prefix="m/")
    )


def fetch(url: str) -> bytes:
    """Fetch a URL, as Castore's consumers do."""
    with urlopen(url) as response:  # noqa: S310 a server of ours
        content: bytes = response.read()
        return content
