"""Writing the file of an archive: a part under another name, until it is whole."""

import errno
import os
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Self

from castore_core import format_timestamp, parse_timestamp
from castore_dam._archive_format import (
    ArchivedEvent,
    ArchiveHeader,
    ArchiveSummary,
    HashChain,
    make_event_line,
)
from castore_dam._archive_reader import ChainedLines
from castore_dam._compression import Compression
from castore_dam._file_lock import lock_file
from castore_dam._replacing import replace_durably
from castore_dam.errors import InvalidArchiveError

_FRAME: Final = 2**20  # bytes of lines that are compressed, and synced, together


class ArchiveWriter:
    """Writes the lines of an archive to its part, frame by frame. Its calls write the file.

    Attributes:
        counts: how many events of each store were added.

    Args:
        path: the part.
        compression: how it is compressed.
        exported_at: when the export began.
    """

    def __init__(self, path: Path, compression: Compression, exported_at: datetime) -> None:
        self._path = path
        self._compression = compression
        self._exported_at = exported_at
        self._chain = HashChain()
        self._lines: list[bytes] = []
        self._pending = 0
        self._size = 0
        self._file = _open_to_change(path)
        self.counts: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many events were added."""
        return self.counts.total()

    @property
    def is_frame_full(self) -> bool:
        """Whether it is time to `flush`."""
        return self._pending >= _FRAME

    def begin(self, event_store_ids: Sequence[str]) -> None:
        """Empty the part, and add the first line."""
        self._file.truncate(0)
        self.counts.update(dict.fromkeys(event_store_ids, 0))
        header = ArchiveHeader(tuple(event_store_ids), self._exported_at)
        self._add(self._chain.make_line(header.to_body()))

    @classmethod
    def resume(cls, path: Path, compression: Compression, state: Mapping[str, Any]) -> Self:
        """Return a writer that goes on where another one made a state, and cut off what follows.

        Raises:
            InvalidArchiveError: the part is not the one that the other has written.
        """
        writer = cls(path, compression, parse_timestamp(state["exported at"]))
        try:
            writer._resume(state)
        except BaseException:
            writer.close()
            raise
        return writer

    def add(self, events: Sequence[ArchivedEvent]) -> None:
        """Add the lines of events.

        Raises:
            NotJSONError: an event cannot be written as JSON.
        """
        for each in events:
            self._add(make_event_line(self._chain, each))
            self.counts[each.event_store_id] += 1

    def flush(self) -> Mapping[str, Any]:
        """Write and sync what was added, and return the state to go on from."""
        if self._lines:
            self._size += self._file.write(self._compression.compress(b"".join(self._lines)))
            self._lines, self._pending = [], 0
        self._file.flush()
        os.fsync(self._file.fileno())
        return {
            "size": self._size,
            "hash": self._chain.hash,
            "event counts": dict(self.counts),
            "exported at": format_timestamp(self._exported_at),
        }

    def finish(self) -> ArchiveSummary:
        """Add the last line."""
        self._add(self._chain.make_line({"eventCount": self.count}))
        return ArchiveSummary(dict(self.counts), self._exported_at, self._chain.hash)

    def close(self) -> None:
        """Close the part."""
        self._file.close()

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._pending += len(line)

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._size = state["size"]
        if self._file.seek(0, os.SEEK_END) < self._size:
            raise InvalidArchiveError(str(self._path), 1, "it is shorter than the checkpoint says")
        self._file.truncate(self._size)
        self._file.seek(self._size)
        if _read_hash(self._path, self._compression) != state["hash"]:
            raise InvalidArchiveError(str(self._path), 1, "the checkpoint is that of another file")
        self._chain = HashChain(state["hash"])
        self.counts.update(state["event counts"])


@contextmanager
def hold_part(path: Path) -> Generator[Path]:
    """Give the path of the part of an archive, which no other process may write meanwhile.

    Raises:
        FileExistsError: another export writes the part.
    """
    part = path.with_name(f"{path.name}.part")
    with ExitStack() as stack:
        if sys.platform != "win32":  # it renames no open file
            try:
                stack.enter_context(lock_file(part))
            except BlockingIOError:
                reason = "another export writes it"
                raise FileExistsError(errno.EEXIST, reason, os.fspath(part)) from None
        yield part


def publish_part(part: Path, path: Path) -> None:
    """Give a whole part its name, durably.

    Raises:
        FileExistsError: another file has the name by now.
    """
    refuse_existing(path)
    replace_durably(part, path)


def refuse_existing(path: Path) -> None:
    """Refuse the name of a file that exists.

    Raises:
        FileExistsError: it does.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))


def _open_to_change(path: Path) -> IO[bytes]:
    path.touch()
    return path.open("r+b")


def _read_hash(path: Path, compression: Compression) -> str:
    lines = ChainedLines(path, compression)
    try:
        while lines.read() is not None:
            pass
        return lines.hash
    finally:
        lines.close()
