"""Bodies wait in S3, and are fetched from there in either of two ways."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import aioboto3
import boto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import RetryPolicy, S3ClaimCheck
from castore_aws._claim_check import is_host_of_s3

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
    """Denies what is asked for in the name of an account, and answers a presigned URL."""

    def __init__(self) -> None:
        self.url = ""
        self.status = "200 OK"
        self.content = TEXT.encode()
        self.length = len(self.content)
        self.locations: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request."""
        head = await reader.readuntil(b"\r\n\r\n")
        status, content, length = self.status, self.content, self.length
        if b"authorization:" in head.lower():
            status, content, length = "403 Forbidden", DENIED, len(DENIED)
        elif self.locations:
            status = f"307 Temporary Redirect\r\nLocation: {self.locations.pop()}"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n" + content)
        await writer.drain()
        writer.close()

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


async def test_a_url_that_is_none(make_client: MakeClient, server: DenyingServer) -> None:
    """It says where the object would be, and cannot be fetched however often it is tried."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")

    with pytest.raises(ValueError, match="cannot be fetched: nonnumeric port"):
        await claim_check.redeem({"messageUrl": "http://127.0.0.1:port/claims/key.json"})


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

    with pytest.raises(OSError, match="IncompleteRead"):
        await claim_check.redeem(server.make_claim())


async def test_nothing_is_fetched_from_elsewhere(
    make_client: MakeClient, server: DenyingServer
) -> None:
    """A message cannot make its consumer ask any host that it likes."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")

    for host in (
        "claims.example.com",
        "169.254.169.254/claims",
        "amazonaws.com.example.com/claims",
        "ec2-192-0-2-1.compute-1.amazonaws.com/claims",
        "s3-claims-1.eu-west-1.elb.amazonaws.com/claims",
        "s3-claims-1.elb.eu-west-1.amazonaws.com/claims",
        "claims.execute-api.eu-west-1.amazonaws.com",
    ):
        with pytest.raises(ValueError, match="not in S3"):
            await claim_check.redeem({"messageUrl": f"http://{host}/key.json"})


async def test_nobody_leads_elsewhere(make_client: MakeClient, server: DenyingServer) -> None:
    """A redirection is followed inside of S3 only, which has some for new buckets."""
    claim_check = S3ClaimCheck(await make_client(server.url), "claims")

    server.locations = [f"{server.url}/claims/elsewhere.json"]
    assert TEXT.encode() == await claim_check.redeem(server.make_claim())

    for url in (server.url.replace("127.0.0.1", "localhost"), "ftp://localhost/key.json"):
        server.locations = [url]
        with pytest.raises(ValueError, match=f"not in S3: '{url}"):
            await claim_check.redeem(server.make_claim())


@pytest.mark.parametrize(
    "host",
    [
        "s3.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "s3-eu-west-1.amazonaws.com",
        "s3.dualstack.eu-west-1.amazonaws.com",
        "s3-fips.dualstack.us-gov-west-1.amazonaws.com",
        "s3-accelerate.dualstack.amazonaws.com",
        "s3express-use1-az4.us-east-1.amazonaws.com",
        "vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
        "s3.cn-north-1.amazonaws.com.cn",
        "s3.eusc-de-east-1.amazonaws.eu",
    ],
)
def test_hosts_of_s3(host: str) -> None:
    """All that it has, of itself and of its buckets."""
    assert is_host_of_s3(host)
    assert is_host_of_s3(f"claims.{host}")
    assert not is_host_of_s3(f"{host}.example.com")


# What URLs say


@pytest.mark.parametrize(
    "place",
    [
        "https://claims.s3.eu-west-1.amazonaws.com/",
        "https://claims.s3.amazonaws.com/",
        "https://claims.s3.dualstack.eu-west-1.amazonaws.com/",
        "https://s3.eu-west-1.amazonaws.com/claims/",
        "http://localhost:9000/claims/",
    ],
)
async def test_urls_of_the_bucket(place: str) -> None:
    """Whether its host or its path begins with the bucket; the key is decoded."""
    client = FakeClient()

    await S3ClaimCheck(client, "claims").redeem({"messageUrl": f"{place}a%20b/claims/c.json?X=Y"})

    assert ["a b/claims/c.json"] == client.keys


@pytest.mark.parametrize(
    "url",
    [
        "https://others.s3.eu-west-1.amazonaws.com/key",
        "https://claims2.s3.eu-west-1.amazonaws.com/key",
        "https://s3.eu-west-1.amazonaws.com/others/claims/key",
        "https://s3.eu-west-1.amazonaws.com/claims",
        "https://s3.eu-west-1.amazonaws.com/claims/",
        "https://claims.s3.eu-west-1.amazonaws.com/",
        "file:///claims/key",
        "claims/key",
        "https://[claims/key",
        "",
        None,
        7,
    ],
)
async def test_what_is_not_in_the_bucket_is_refused(url: Any) -> None:
    """Nothing is asked for."""
    client = FakeClient()

    with pytest.raises(ValueError, match=r"not in bucket 'claims'|Invalid IPv6"):
        await S3ClaimCheck(client, "claims").redeem({"messageUrl": url})

    assert [] == client.keys


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
        ("claims", {"expires_in": 0}),
        ("claims", {"expires_in": 604_801}),
    ],
)
def test_what_cannot_be_a_claim_check(bucket: str, options: dict[str, Any]) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=r"not the name of a bucket|expires_in"):
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
