"""An even rate, without a burst at the start or after a pause."""

import asyncio
import math

_LONGEST_BATCH = 0.05  # seconds of a rate that go out together


class RateLimit:
    """Lets so many things through a second, evenly.

    Args:
        per_second: more than 0, also a fraction. ``None`` lets all through at once.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, per_second: float | None) -> None:
        if not (per_second is None or _is_rate(per_second)):
            raise ValueError(f"rate_limit is not a number a second, more than 0: {per_second!r}")
        self._interval = 0.0 if per_second is None else 1 / per_second
        self._next = -math.inf

    def bound_batch(self, batch_size: int) -> int:
        """Return how many things may go together: at least one, and no more than in 50 ms."""
        if not self._interval:
            return batch_size
        return max(1, min(batch_size, int(_LONGEST_BATCH / self._interval)))

    async def wait(self, count: int = 1) -> None:
        """Wait until the next ``count`` things may go."""
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        begin = max(now, self._next)
        self._next = begin + count * self._interval
        await asyncio.sleep(begin - now)


def _is_rate(value: float) -> bool:
    return type(value) in {int, float} and 0 < value < math.inf
