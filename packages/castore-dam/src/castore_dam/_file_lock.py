"""A lock on a file, which ends with its process."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock_file(path: Path) -> Generator[None]:
    """Lock a file, which is made where it is missing, until the context ends.

    Raises:
        BlockingIOError: another process, or another context of this one, has the lock.
    """
    with path.open("a") as file:
        if sys.platform == "win32":
            yield
            return
        import fcntl  # noqa: PLC0415 Windows has none

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile has it, too
