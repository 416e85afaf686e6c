"""URLs of objects: which ones are of a bucket, and which ones only look like it.

The sender of a message chooses its URL. So a URL is taken apart and compared as a whole, and no
other server and no other bucket is asked for anything.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PORTS: Final = {"http": 80, "https": 443}

# What clients write. urlsplit drops line breaks in silence, and programs differ about backslashes.
_PLAIN: Final = re.compile(r"(?:[\w.~:/?@!$&'()*+,=\[\]-]|%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE)

# https://docs.aws.amazon.com/general/latest/gr/s3.html
_HOST_OF_S3: Final = re.compile(
    r"s3(?:-accelerate(?:\.dualstack)?|-external-1"
    r"|(?:-fips|express-[a-z0-9-]+)?(?:\.dualstack)?[.-]"
    r"(?!website-)(?P<region>[a-z]+(?:-[a-z]+)+-\d+))?"
    r"\.(?P<suffix>amazonaws\.(?:com|com\.cn|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov)"
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, its predecessor,
# and what the SDK of JavaScript adds.
_PARAMETERS: Final = frozenset(
    {
        "awsaccesskeyid",
        "expires",
        "signature",
        "x-amz-algorithm",
        "x-amz-checksum-mode",
        "x-amz-content-sha256",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-region-set",
        "x-amz-s3session-token",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-id",
    }
)

_Partition: TypeAlias = tuple[str, bool]


class _Place(NamedTuple):
    """Where objects are: each of their URLs begins with this."""

    scheme: str
    host: str
    port: int
    path: str


class ObjectURLs:
    """The URLs of the objects of a bucket whose keys begin with a prefix.

    Both styles are known: the bucket in the path, and in the host. Where an endpoint is one of S3
    itself, so are all others of its partition, because they know the same buckets.

    Raises:
        ValueError: an endpoint is not the URL of a server.
    """

    def __init__(self, bucket: str, prefix: str, endpoints: Iterable[str]) -> None:
        self._bucket = bucket
        self._prefix = prefix
        roots = [_parse_endpoint(each) for each in endpoints]
        self._places = [place for root in roots for place in _list_places(root, bucket)]
        self._partitions = {_find_partition(each.host) for each in roots} - {None}

    def find_key(self, url: object) -> str:
        """Return the key of the object that a URL is of.

        Raises:
            ValueError: it is none of these objects.
        """
        parts = _split(url)
        path = self._find_path(parts)
        if path is None:
            host = f"{parts.hostname!r:.100}"
            raise ValueError(f"its body is elsewhere at {host}, and not in bucket {self._bucket!r}")
        key = _unquote(path)
        self._check_key(key)
        return key

    def _find_path(self, parts: SplitResult) -> str | None:
        """Return what follows the bucket, or ``None`` where the URL is of something else."""
        place = _get_place(parts)
        for scheme, host, port, path in (*self._places, *self._list_aws_places(place)):
            if place[:3] == (scheme, host, port) and place.path.startswith(path):
                return place.path.removeprefix(path)
        return None

    def _list_aws_places(self, place: _Place) -> list[_Place]:
        """Return the place of the bucket on a host of S3, if it is one."""
        host = place.host.removeprefix(f"{self._bucket}.")
        if _find_partition(host) not in self._partitions:
            return []
        return _list_places(_Place("https", host, _PORTS["https"], ""), self._bucket)

    def _check_key(self, key: str) -> None:
        if not key.startswith(self._prefix) or key == self._prefix:
            place = f"bucket {self._bucket!r} under the prefix {self._prefix!r}"
            raise ValueError(f"its body is not in {place}")
        rest = key[self._prefix.rfind("/") + 1 :]
        if {".", ".."}.intersection(re.split(r"[/\\]", rest)):
            raise ValueError("its URL has a dot segment, which leads elsewhere")


def _split(url: object) -> SplitResult:
    if not isinstance(url, str) or not _PLAIN.fullmatch(url):
        raise ValueError("its messageUrl is not the URL of an object")
    try:
        parts = urlsplit(url)
        _check_parameters(parts.query)
        _get_place(parts)
    except ValueError:  # it would quote the URL, which is a secret while it is valid
        raise ValueError("its messageUrl is not the presigned URL of an object") from None
    return parts


def _unquote(path: str) -> str:
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("its URL has a key that is not UTF-8") from None


def _check_parameters(query: str) -> None:
    parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    names = [name.lower() for name, _ in parameters]
    if len(names) > len(set(names)) or not _PARAMETERS.issuperset(names):
        raise ValueError("it has other parameters than presigned URLs have")
    if any(name.lower() == "x-id" and value != "GetObject" for name, value in parameters):
        raise ValueError("it is for another operation")


def _get_place(parts: SplitResult) -> _Place:
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("it is not the URL of a server")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return _Place(parts.scheme, parts.hostname, port, parts.path)


def _parse_endpoint(url: str) -> _Place:
    try:
        place = _get_place(urlsplit(url))
    except ValueError:
        raise ValueError(f"not the URL of an endpoint of S3: {url!r:.100}") from None
    return place._replace(path=place.path.rstrip("/"))


def _list_places(root: _Place, bucket: str) -> list[_Place]:
    in_path = root._replace(path=f"{root.path}/{bucket}/")
    return [in_path, root._replace(host=f"{bucket}.{root.host}", path=f"{root.path}/")]


def _find_partition(host: str) -> _Partition | None:
    """Return where the names of buckets on a host are unique, or ``None`` if it is none of S3."""
    found = _HOST_OF_S3.fullmatch(host)
    if found is None:
        return None
    return found["suffix"], (found["region"] or "").startswith("us-gov-")
