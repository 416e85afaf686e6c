"""Compressions of archives, told by the suffix of the file."""

import gzip
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast


class Compression(NamedTuple):
    """How an archive is compressed: as frames that follow each other, each complete by itself.

    Attributes:
        compress: makes a frame.
        open: opens a file of frames to read what is in them.
        errors: the errors of a damaged frame.
    """

    compress: Callable[[bytes], bytes]
    open: Callable[[Path], IO[bytes]]
    errors: tuple[type[Exception], ...]


def find_compression(path: Path) -> Compression:
    """Return the compression that the suffix of a file tells.

    Raises:
        ValueError: it tells none.
    """
    for suffix, make in _COMPRESSIONS.items():
        if path.name.endswith(suffix):
            return make()
    suffixes = ", ".join(_COMPRESSIONS)
    raise ValueError(f"the name of an archive ends with one of {suffixes}: {os.fspath(path)!r}")


def _make_plain() -> Compression:
    return Compression(bytes, _open_plain, ())


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _make_gzip() -> Compression:
    return Compression(_compress_gzip, _open_gzip, (EOFError, gzip.BadGzipFile, zlib.error))


def _compress_gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def _open_gzip(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path))


def _make_zstd() -> Compression:
    zstd = _import_zstd()
    options = {zstd.CompressionParameter.checksum_flag: 1}

    def compress(data: bytes) -> bytes:
        return cast("bytes", zstd.compress(data, options=options))

    def open_(path: Path) -> IO[bytes]:
        return cast("IO[bytes]", zstd.open(path))

    return Compression(compress, open_, (EOFError, zstd.ZstdError))


def _import_zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 Python may be built without it
    else:
        from backports import zstd  # noqa: PLC0415 only archives of this kind need it
    return zstd


_COMPRESSIONS: Final[dict[str, Callable[[], Compression]]] = {
    ".jsonl": _make_plain,
    ".jsonl.gz": _make_gzip,
    ".jsonl.zst": _make_zstd,
}
