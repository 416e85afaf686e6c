"""A lock on a file, which ends with its process."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path


def lock_file(path: Path) -> AbstractContextManager[object]:
    """Lock a file, which is made where it is missing, until the context ends.

    Raises:
        BlockingIOError: another process, or another context of this one, has the lock.
    """
    file = path.open("a")
    if sys.platform != "win32":
        import fcntl  # noqa: PLC0415 Windows has none

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            file.close()
            raise
    return file
