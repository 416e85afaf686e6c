"""Objects that have to be awaited, lest a test that forgot it passes."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_watches: Final[list[list["ToBeAwaited"]]] = []


class ToBeAwaited:
    """Gives a `RuntimeWarning` at its end if it was never settled, as a coroutine does."""

    _settled = True  # nobody can await what was not made

    def __init__(self) -> None:
        self._settled = False
        if _watches:
            _watches[-1].append(self)

    def __del__(self) -> None:
        if not self._settled:
            warnings.warn(f"{self!r} was never awaited", RuntimeWarning, stacklevel=2, source=self)

    def _settle(self) -> bool:
        """Ask for no await any more, and tell whether one was still asked for."""
        was_open, self._settled = not self._settled, True
        return was_open


@contextmanager
def watch() -> Generator[list[ToBeAwaited]]:
    """Find what is made within the context and not settled at its end. It settles it, too."""
    made: list[ToBeAwaited] = []
    unawaited: list[ToBeAwaited] = []
    _watches.append(made)
    try:
        yield unawaited
    finally:
        _watches.pop()
        # users are to see no such method
        unawaited += [each for each in made if each._settle()]  # pyright: ignore[reportPrivateUsage]
