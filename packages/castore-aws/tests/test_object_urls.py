"""Which URLs are of an object in the bucket, and which ones are somebody else's idea of one.

Whoever can send a message to a queue chooses the URL that its consumers see.
"""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_aws._object_urls import ObjectURLs

AWS = "https://s3.eu-west-1.amazonaws.com"
OWN = "http://127.0.0.1:9000"
SIGNED_BY_PYTHON = (
    "AWSAccessKeyId=AKIA&Signature=a%2Bb%3D&x-amz-security-token=t%2F&Expires=1795880772"
)
SIGNED_BY_JAVASCRIPT = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"
    "&X-Amz-Credential=AKIA%2F20220101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20220101T000000Z"
    "&X-Amz-Expires=900&X-Amz-Security-Token=t&X-Amz-Signature=9a&X-Amz-SignedHeaders=host"
    "&x-amz-checksum-mode=ENABLED&x-id=GetObject"
)
KEY_OF_CASTORE = "POKEMONS/pikachu1/2022-01-01T00:00:00.000Z#2"
PATH_OF_CASTORE = "POKEMONS/pikachu1/2022-01-01T00%3A00%3A00.000Z%232"


def find_key(url: object, endpoint: str = AWS, prefix: str = "", bucket: str = "claims") -> str:
    """Return the key of a URL."""
    return ObjectURLs(bucket, prefix, [endpoint]).find_key(url)


@pytest.mark.parametrize(
    ("url", "endpoint", "key"),
    [
        # As Castore for Python and Castore write them
        (f"https://claims.s3.amazonaws.com/9f.json?{SIGNED_BY_PYTHON}", AWS, "9f.json"),
        (
            f"https://claims.s3.eu-west-1.amazonaws.com/{PATH_OF_CASTORE}?{SIGNED_BY_JAVASCRIPT}",
            AWS,
            KEY_OF_CASTORE,
        ),
        (f"{AWS}/claims/{PATH_OF_CASTORE}?{SIGNED_BY_JAVASCRIPT}", AWS, KEY_OF_CASTORE),
        (f"{OWN}/claims/{PATH_OF_CASTORE}?{SIGNED_BY_JAVASCRIPT}", OWN, KEY_OF_CASTORE),
        # Hosts of S3: of any region, as buckets are
        ("https://claims.s3.us-west-2.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3-eu-west-1.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3.dualstack.eu-west-1.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3-fips.dualstack.us-east-1.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3-accelerate.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3-accelerate.dualstack.amazonaws.com/key", AWS, "key"),
        ("https://claims.s3express-use1-az4.us-east-1.amazonaws.com/key", AWS, "key"),
        ("https://s3-external-1.amazonaws.com/claims/key", AWS, "key"),
        ("https://S3.EU-WEST-1.amazonaws.com:443/claims/key", AWS, "key"),
        ("https://claims.s3.eu-west-1.amazonaws.com/key", "https://s3.amazonaws.com", "key"),
        (
            "https://claims.s3.cn-north-1.amazonaws.com.cn/key",
            "https://s3.cn-northwest-1.amazonaws.com.cn",
            "key",
        ),
        (
            "https://claims.s3.us-gov-east-1.amazonaws.com/key",
            "https://s3.us-gov-west-1.amazonaws.com",
            "key",
        ),
        # The endpoint of the client
        (f"{OWN}/claims/key", OWN, "key"),
        ("http://claims.localhost:9000/key", "http://localhost:9000/", "key"),
        ("https://minio.example.com:443/claims/key", "https://minio.example.com", "key"),
        ("http://[::1]:9000/claims/key", "http://[::1]:9000", "key"),
        ("http://minio:9000/base/claims/key", "http://minio:9000/base/", "key"),
        (
            "https://bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com/claims/key",
            "https://bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com",
            "key",
        ),
        # Keys
        (f"{AWS}/claims/a%20b/%C3%BC/claims/c.json", AWS, "a b/\u00fc/claims/c.json"),
        (f"{AWS}/claims/100%2541%2B+", AWS, "100%41++"),
        (f"{AWS}/claims//a//b", AWS, "/a//b"),
        (f"{AWS}/claims/a%2Fb", AWS, "a/b"),
        (f"{AWS}/claims/...", AWS, "..."),
    ],
)
def test_urls_of_the_bucket(url: str, endpoint: str, key: str) -> None:
    """They are read, whoever wrote them."""
    assert key == find_key(url, endpoint)


ELSEWHERE = [
    # Buckets of others, by the host
    "https://evil.s3.eu-west-1.amazonaws.com/claims/x",
    "https://claims.evil.s3.amazonaws.com/x",
    "https://evil.claims.s3.amazonaws.com/x",
    "https://claims2.s3.amazonaws.com/x",
    "https://claims-evil.s3.amazonaws.com/x",
    "https://claims.s3.amazonaws.com.evil.s3.amazonaws.com/x",
    "https://claims.claims.s3.amazonaws.com/x",
    "https://s3.eu-west-1.evil.s3.amazonaws.com/claims/x",
    # Buckets of others, by the path
    "https://s3.eu-west-1.amazonaws.com/evil/claims/x",
    "https://s3.eu-west-1.amazonaws.com/evil%2Fclaims/x",
    "https://s3.eu-west-1.amazonaws.com//claims/x",
    "https://s3.eu-west-1.amazonaws.com/./claims/x",
    "https://s3.eu-west-1.amazonaws.com/claims2/x",
    "https://s3.eu-west-1.amazonaws.com/claims%2Fx",
    "https://s3.eu-west-1.amazonaws.com/%63laims/x",
    "https://s3.eu-west-1.amazonaws.com/CLAIMS/x",
    # The same name where others may have it
    "https://claims.s3.cn-north-1.amazonaws.com.cn/x",
    "https://claims.s3.us-gov-west-1.amazonaws.com/x",
    "https://claims.s3.eusc-de-east-1.amazonaws.eu/x",
    # Servers of others
    "https://claims.example.com/x",
    "https://claims.s3.amazonaws.com.example.com/x",
    "https://claims.s3.amazonaws.com./x",
    "https://claims.s3amazonaws.com/x",
    "https://s3.evil.amazonaws.com/claims/x",
    "https://s3-claims-1.elb.eu-west-1.amazonaws.com/claims/x",
    "https://ec2-192-0-2-1.eu-west-1.compute.amazonaws.com/claims/x",
    "https://claims.execute-api.eu-west-1.amazonaws.com/x",
    "https://claims.s3-website-eu-west-1.amazonaws.com/x",
    "https://claims.s3-website.eu-west-1.amazonaws.com/x",
    "https://claims.s3-accesspoint.eu-west-1.amazonaws.com/x",
    "https://claims.bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com/x",  # its owner says where it is
    "http://169.254.169.254/claims/x",
    "http://metadata/claims/latest",
    # Ports and schemes
    "http://127.0.0.1:8500/claims/admin",
    "https://claims.s3.amazonaws.com:8443/x",
    "http://claims.s3.amazonaws.com/x",
    "http://s3.eu-west-1.amazonaws.com:443/claims/x",
    "https://s3.eu-west-1.amazonaws.com:0/claims/x",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_urls_of_others(url: str) -> None:
    """The error says so, and where the body is thought to be."""
    with pytest.raises(ValueError, match=r"elsewhere at '.*', and not in bucket 'claims'"):
        find_key(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8500/claims/admin",
        "http://127.0.0.1/claims/x",
        "https://127.0.0.1:9000/claims/x",
        "http://127.0.0.2:9000/claims/x",
        "http://0.0.0.0:9000/claims/x",
        "http://localhost:9000/claims/x",
        "http://2130706433:9000/claims/x",
        "http://127.1:9000/claims/x",
        "http://[::ffff:127.0.0.1]:9000/claims/x",
        "http://127.0.0.1.example.com:9000/claims/x",
        "http://127.0.0.1:9000/minio/admin",
        "http://evil.127.0.0.1:9000/claims/x",
        "https://claims.s3.eu-west-1.amazonaws.com/x",  # of who knows whom, on AWS
        f"{AWS}/claims/x",
    ],
)
def test_other_servers_than_the_endpoint(url: str) -> None:
    """Scheme, host and port are those of the client, each as it is."""
    with pytest.raises(ValueError, match="elsewhere at"):
        find_key(url, OWN)


@pytest.mark.parametrize(
    "url",
    [
        # Nothing at all
        None,
        7,
        b"https://claims.s3.amazonaws.com/x",
        {"url": "https://claims.s3.amazonaws.com/x"},
        "",
        "claims/x",
        "//claims.s3.amazonaws.com/x",
        "https:claims.s3.amazonaws.com/x",
        "https:///claims/x",
        "https://[claims/x",
        "https://claims.s3.amazonaws.com:port/x",
        "https://claims.s3.amazonaws.com:443:80/x",
        "https://claims.s3.amazonaws.com:-443/x",
        "https://claims.s3.amazonaws.com:99999/x",
        # Other schemes
        "file:///claims/x",
        "file://claims.s3.amazonaws.com/x",
        "ftp://claims.s3.amazonaws.com/x",
        "gopher://claims.s3.amazonaws.com/x",
        "data:text/plain,{}",
        "s3://claims/x",
        # Users
        "https://claims.s3.amazonaws.com@evil.example.com/x",
        "https://evil@claims.s3.amazonaws.com/x",
        "https://user:password@claims.s3.amazonaws.com/x",
        "https://@claims.s3.amazonaws.com/x",
        # Fragments
        "https://claims.s3.amazonaws.com/x#y",
        "https://claims.s3.amazonaws.com/x#",
        "https://evil.example.com#claims.s3.amazonaws.com/x",
        # What programs read in two ways
        "https://evil.example.com\\claims.s3.amazonaws.com/x",
        "https://claims.s3.amazonaws.com\\@evil.example.com/x",
        "https:\\\\claims.s3.amazonaws.com/x",
        " https://claims.s3.amazonaws.com/x",
        "https://claims.s3.amazonaws.com/x ",
        "https://claims.s3.\tamazonaws.com/x",
        "https://claims.s3.amazonaws.com/x\r\nHost: evil.example.com",
        "https://claims.s3.amazonaws.com/x\x00",
        "https://claims.s3.\uff41mazonaws.com/x",
        "https://claims\u3002s3.amazonaws.com/x",
        "https://claims.s3.amazonaws.com/\u00fc",
        "https://claims.s3.amazonaws.com/100%",
        "https://claims.s3.amazonaws.com/%zz",
        # Other parameters than presigned URLs have
        "http://127.0.0.1:8500/claims/admin?delete=all",
        "https://claims.s3.amazonaws.com/x?delete",
        "https://claims.s3.amazonaws.com/x?delete=all",
        "https://claims.s3.amazonaws.com/x?acl",
        "https://claims.s3.amazonaws.com/x?versionId=1",
        "https://claims.s3.amazonaws.com/x?X-Amz-Date=1&response-content-type=text",
        "https://claims.s3.amazonaws.com/x?X-Amz-Date=1;delete=all",
        "https://claims.s3.amazonaws.com/x?X-Amz-Date=1&x-amz-date=2",
        "https://claims.s3.amazonaws.com/x?x-id=DeleteObject",
        "https://claims.s3.amazonaws.com/x?x-id=getobject",
        "https://claims.s3.amazonaws.com/x?X-Amz-Date=1&",
        "https://claims.s3.amazonaws.com/x?&",
    ],
)
def test_what_is_no_url_of_an_object(url: object) -> None:
    """It is refused before anybody looks where it leads."""
    with pytest.raises(ValueError, match=r"its messageUrl is not the (presigned )?URL"):
        find_key(url)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "other/x",
        "Messages/x",
        "messages",
        "messages/",
        "messages2/x",
        "%2Fmessages/x",
        "/messages/x",
        "x/messages/x",
    ],
)
def test_other_keys_than_those_of_the_prefix(path: str) -> None:
    """What else is in the bucket is no body of a message."""
    with pytest.raises(ValueError, match="not in bucket 'claims' under the prefix 'messages/'"):
        find_key(f"{AWS}/claims/{path}", prefix="messages/")


@pytest.mark.parametrize(
    "path",
    [
        "../secrets/x",
        "./x",
        "a/../../secrets/x",
        "..",
        "a/.",
        "%2e%2e/secrets/x",
        "%2E./secrets/x",
        "..%2Fsecrets/x",
        "a/..%5Csecrets",
        "..%5C..%5Csecrets",
    ],
)
def test_dot_segments_lead_elsewhere(path: str) -> None:
    """A key with a dot segment is refused: a proxy in front of S3 may resolve it."""
    with pytest.raises(ValueError, match="dot segment"):
        find_key(f"{AWS}/claims/messages/{path}", prefix="messages/")


@pytest.mark.parametrize("prefix", ["a/../b/", "./", "messages-", "..."])
def test_a_prefix_is_taken_as_it_is(prefix: str) -> None:
    """A prefix may have dot segments, and is compared as text."""
    assert f"{prefix}x" == find_key(f"{AWS}/claims/{prefix}x", prefix=prefix)


def test_a_prefix_does_not_complete_a_dot_segment() -> None:
    """A key goes on in the last segment of its prefix."""
    with pytest.raises(ValueError, match="dot segment"):
        find_key(f"{AWS}/claims/a/../x", prefix="a/.")


def test_a_key_that_is_not_unicode() -> None:
    """A URL whose key is not UTF-8 is refused."""
    with pytest.raises(ValueError, match="not UTF-8"):
        find_key(f"{AWS}/claims/%ff")


def test_further_endpoints() -> None:
    """Publishers may know S3 by another URL than the consumer."""
    urls = ObjectURLs("claims", "", [OWN, "http://minio:9000"])

    assert "x" == urls.find_key("http://minio:9000/claims/x")
    assert "x" == urls.find_key(f"{OWN}/claims/x")
    with pytest.raises(ValueError, match="elsewhere"):
        urls.find_key("http://minio:9001/claims/x")


@pytest.mark.parametrize("endpoint", ["", "minio:9000", "ftp://minio", "http://u:p@minio", "x://"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    """The error quotes it."""
    with pytest.raises(ValueError, match="not the URL of an endpoint of S3: '"):
        ObjectURLs("claims", "", [endpoint])


@given(st.text(max_size=40), st.sampled_from(["https://", "https://claims.s3.amazonaws.com/", ""]))
def test_any_text_is_a_key_or_an_error(text: str, start: str) -> None:
    """Only a URL of the bucket has a key; any other text raises a `ValueError`."""
    with suppress(ValueError):
        assert find_key(start + text)
        assert "https://claims.s3.amazonaws.com/" == start


@pytest.mark.parametrize(
    "url",
    [
        f"https://claims.s3.amazonaws.com/x?{SIGNED_BY_PYTHON}&hunter2=hunter2",
        "https://hunter2:hunter2@claims.s3.amazonaws.com/x",
        "https://evil.s3.amazonaws.com/hunter2?X-Amz-Signature=hunter2",
        "https://claims.s3.amazonaws.com:hunter2/x",
        "https://claims.s3.amazonaws.com/hunter2/../x",
        "https://[hunter2/x",
    ],
)
def test_a_url_is_not_quoted(url: str) -> None:
    """While it is valid, it is a secret: whoever has it reads the body."""
    with pytest.raises(ValueError, match="its ") as caught:
        find_key(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_long_host_is_cut() -> None:
    """A long host is cut in the text of the error."""
    with pytest.raises(ValueError, match="elsewhere") as caught:
        find_key(f"https://{'x' * 10_000}/claims/x")

    assert len(str(caught.value)) < 200
