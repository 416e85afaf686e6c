"""Checkpoints: where long operations write down how far they have come."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, cast

from castore_core import BookmarkStorageAdapter, JSONValue
from castore_core.workers import finish
from castore_dam._file_lock import lock_file
from castore_dam._held_lease import HeldLease
from castore_dam._replacing import replace_durably
from castore_dam.errors import CheckpointInUseError, InvalidCheckpointError

_LEASE = timedelta(minutes=1)
_LONGEST_CALL = 60.0  # seconds that an operation waits for a write, or to give its lease back


class Checkpoint(Protocol):
    """Keeps the state of one operation, which goes on from it after a crash."""

    @property
    def name(self) -> str:
        """Names it in errors."""
        ...

    def hold(self) -> AbstractAsyncContextManager[object]:
        """Keep others from using it during a block.

        Raises:
            CheckpointInUseError: another operation uses it.
        """
        ...

    async def load(self) -> JSONValue:
        """Return the state, or ``None`` where there is none yet.

        Raises:
            InvalidCheckpointError: it cannot be read.
        """
        ...

    async def save(self, state: JSONValue) -> None:
        """Replace the state, atomically and durably.

        Raises:
            CheckpointInUseError: another operation took it over meanwhile.
        """
        ...


class FileCheckpoint:
    """A checkpoint in a file of JSON. Delete the file to begin anew.

    The file is replaced in one step, and synced. A lock on a second file, ``<path>.lock``, keeps
    other processes out while an operation runs (not on Windows, which has no `fcntl`).

    Args:
        path: the file. It is made by the first save; its directory has to exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        return f"FileCheckpoint({self.name!r})"

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Lock the file for a block.

        Raises:
            CheckpointInUseError: another operation has locked it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(lock_file(self._path.with_name(f"{self._path.name}.lock")))
            except BlockingIOError as error:
                raise CheckpointInUseError(self.name) from error
            yield

    async def load(self) -> JSONValue:
        """Return the state, or ``None`` where the file does not exist.

        Raises:
            InvalidCheckpointError: the file is no JSON.
        """
        return await asyncio.to_thread(self._read)

    async def save(self, state: JSONValue) -> None:
        """Replace the file. A cancellation waits for it, so that nobody else writes meanwhile."""
        await finish(asyncio.to_thread(self._write, json.dumps(state)), within=_LONGEST_CALL)

    def _read(self) -> JSONValue:
        try:
            return _parse(self.name, self._path.read_bytes())
        except FileNotFoundError:
            return None

    def _write(self, text: str) -> None:
        successor = self._path.with_name(f"{self._path.name}.new")
        with successor.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replace_durably(successor, self._path)


class BookmarkCheckpoint:
    """A checkpoint in the bookmark storage of any adapter, so that any machine can go on.

    The lease of the bookmark keeps others out. It is extended three times in its duration, for as
    long as the operation runs. A process that was stopped for longer loses it where another
    operation took over, and else goes on.

    Args:
        bookmarks: keeps the bookmark.
        checkpoint_id: names the bookmark. No projection or relay has it.
        lease_duration: how long after a crash others are kept out.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        checkpoint_id: str,
        *,
        lease_duration: timedelta = _LEASE,
    ) -> None:
        self._bookmarks = bookmarks
        self._id = checkpoint_id
        self._duration = lease_duration
        self._held: HeldLease | None = None

    def __repr__(self) -> str:
        return f"BookmarkCheckpoint({self._bookmarks!r}, {self._id!r})"

    @property
    def name(self) -> str:
        """The id of the bookmark."""
        return self._id

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Hold the lease for a block.

        Raises:
            CheckpointInUseError: another operation holds it.
            TimeoutError: the storage did not answer at the end of the block. The lease runs out.
        """
        if self._held is not None:
            raise CheckpointInUseError(self._id)
        self._held = HeldLease(
            self._bookmarks, self._id, self._duration, longest_call=_LONGEST_CALL
        )
        try:
            async with self._held.keep():
                yield
        finally:
            self._held = None

    async def load(self) -> JSONValue:
        """Return the state, or ``None`` where there is no bookmark.

        Raises:
            InvalidCheckpointError: the bookmark is that of a projection, say.
        """
        position = await self._get_held().read()
        return _parse(self._id, position) if position else None

    async def save(self, state: JSONValue) -> None:
        """Move the bookmark.

        Raises:
            CheckpointInUseError: another operation took the lease meanwhile.
        """
        await self._get_held().move(json.dumps(state))

    def _get_held(self) -> HeldLease:
        assert self._held is not None  # noqa: S101 it is held
        return self._held


def _parse(name: str, text: str | bytes) -> JSONValue:
    try:
        return cast("JSONValue", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidCheckpointError(name, "it is no JSON") from error
