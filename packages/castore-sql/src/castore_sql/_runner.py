"""Where work on the database runs: in threads, at once, or in greenlets of an event loop."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from castore_sql._connection import Work
from castore_sql._wakeup import Wakeup

T = TypeVar("T")


class Runner(Protocol):
    """Runs work with a connection to the database of the user's engine.

    ``wakeup`` wakes the tasks that wait for a commit of this process. ``can_commit_in_loop``
    tells whether commits may run in the thread of the event loop.
    """

    wakeup: Wakeup
    can_commit_in_loop: bool

    def check_before_write(self) -> Awaitable[None] | None:
        """Return a check that refuses a push which would wait for itself; ``None``: none can."""
        ...

    async def write(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work that may write, ``until`` a time of the event loop's clock.

        A runner whose database answers in any case needs no limit, and keeps to none.

        Raises:
            LostConnectionError: the connection broke meanwhile.
            OutOfTimeError: the time was over.
        """
        ...

    async def read(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work that only reads, in the same way."""
        ...

    def write_at_once(self, work: Work[T]) -> T | None:
        """Run work that may write in this thread, on a connection that is open and not busy.

        Returns ``None`` where there is none, and nothing was written.
        """
        ...

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work that reads a little, where that spares a way to a thread and waits for nobody.

        Returns ``None`` where it does not: `read` then runs the work, or says why it fails.
        """
        ...
