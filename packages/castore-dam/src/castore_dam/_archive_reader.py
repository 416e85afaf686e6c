"""Reading archives: each line is checked before it is believed."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from castore_core import MessageBody
from castore_dam._archive_format import ArchivedEvent, ArchiveHeader, ArchiveSummary, HashChain
from castore_dam._compression import Compression, find_compression
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._scan import PAGE
from castore_dam.errors import InvalidArchiveError

T = TypeVar("T")
R = TypeVar("R")

_PAGE_SIZE: Final = 4 * 2**20  # bytes of lines


async def read_archive(path: str | os.PathLike[str]) -> AsyncGenerator[ArchivedEvent]:
    """Yield the events of an archive, in its order.

    Each line is checked before its event is yielded. The last line tells whether the archive is
    complete: an archive that was cut off raises after its last event.

    Raises:
        InvalidArchiveError: a line is damaged, or the end is missing.
        OSError: the file cannot be read.
        ValueError: the suffix of the path is none of an archive.
    """
    with closing(await asyncio.to_thread(ArchiveReader, Path(path))) as reader:
        while page := await asyncio.to_thread(reader.read_page):
            for each in page:
                yield each


async def verify_archive(
    path: str | os.PathLike[str], *, on_progress: ProgressHook = report_nothing
) -> ArchiveSummary:
    """Read an archive to its end, and check each line.

    Args:
        path: the file.
        on_progress: is told after each page.

    Raises:
        InvalidArchiveError: a line is damaged, or the end is missing.
        OSError: the file cannot be read.
        ValueError: the suffix of the path is none of an archive.
    """
    with closing(await asyncio.to_thread(ArchiveReader, Path(path))) as reader:
        while await asyncio.to_thread(reader.read_page):
            on_progress(Progress("verifying", reader.count))
        return reader.get_summary()


class ArchiveReader:
    """Reads the events of an archive page by page. Its calls read the file.

    Args:
        path: the file.

    Raises:
        InvalidArchiveError: its first line is damaged, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self._lines = ChainedLines(path, find_compression(path))
        try:
            self.header = self._lines.interpret(ArchiveHeader.from_body, self._read_body())
        except BaseException:
            self._lines.close()
            raise
        self._counts = dict.fromkeys(self.header.event_store_ids, 0)
        self._has_ended = False

    @property
    def count(self) -> int:
        """How many events were read."""
        return sum(self._counts.values())

    def read_page(self) -> Sequence[ArchivedEvent]:
        """Return the next events; none after the last line.

        Raises:
            InvalidArchiveError: a line is damaged, or the end is missing. Events before it in the
                same page are not returned.
        """
        page: list[ArchivedEvent] = []
        end = self._lines.size + _PAGE_SIZE
        while not self._has_ended and len(page) < PAGE and self._lines.size < end:
            body = self._read_body()
            if "eventCount" in body:
                self._finish(body)
            else:
                page.append(self._lines.interpret(self._to_event, body))
        return page

    def get_summary(self) -> ArchiveSummary:
        """Return what was read, after the last line."""
        return ArchiveSummary(self._counts, self.header.exported_at, self._lines.hash)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _read_body(self) -> MessageBody:
        body = self._lines.read()
        if body is None:
            raise self._lines.refuse("the archive ends before its last line")
        return body

    def _to_event(self, body: MessageBody) -> ArchivedEvent:
        event = ArchivedEvent.from_body(body)
        if event.event_store_id not in self._counts:
            raise ValueError(f"the header does not have {event.event_store_id!r:.100}")
        self._counts[event.event_store_id] += 1
        return event

    def _finish(self, body: MessageBody) -> None:
        if body["eventCount"] != self.count:
            raise self._lines.refuse("it counts other events than there are")
        if self._lines.read() is not None:
            raise self._lines.refuse("it follows the last line")
        self._has_ended = True


class ChainedLines:
    """The lines of a file, whose hashes are checked as they are read.

    Attributes:
        size: how many bytes of lines were read.
    """

    def __init__(self, path: Path, compression: Compression) -> None:
        self._path = path
        self._errors = compression.errors
        self._chain = HashChain()
        self._number = 0
        self.size = 0
        self._file = compression.open(path)

    @property
    def hash(self) -> str:
        """That of the last line that was read."""
        return self._chain.hash

    def read(self) -> MessageBody | None:
        """Return the object of the next line; ``None`` at the end of the file.

        Raises:
            InvalidArchiveError: the line is damaged.
        """
        self._number += 1
        try:
            line = self._file.readline()
        except self._errors as error:
            raise self.refuse(f"it cannot be decompressed: {error}") from error
        self.size += len(line)
        return self.interpret(self._chain.read_line, line) if line else None

    def interpret(self, function: Callable[[T], R], value: T) -> R:
        """Return what a function makes of the last line.

        Raises:
            InvalidArchiveError: the function raised a `ValueError`.
        """
        try:
            return function(value)
        except ValueError as error:
            raise self.refuse(str(error)) from error

    def refuse(self, reason: str) -> InvalidArchiveError:
        """Return the error of the last line."""
        return InvalidArchiveError(str(self._path), self._number, reason)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
