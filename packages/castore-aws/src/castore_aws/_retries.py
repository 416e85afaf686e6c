"""How often a call is tried, and how long it waits in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Bounds the attempts of a call, on top of those that the client makes by itself.

    The pauses grow exponentially, with full jitter: before attempt n + 1 there is one of random
    length, up to ``base_delay * 2 ** (n - 1)`` seconds or ``max_delay``, whichever is less.

    One attempt may take long by itself: a client of boto3 tries ten times, for some 25 seconds, to
    reach a DynamoDB that is down. ``give_up_after`` keeps that from being multiplied.

    Args:
        max_attempts: how often a call is made at most, 1 or more.
        base_delay: seconds.
        max_delay: seconds.
        give_up_after: seconds since the call began. A later failure is not tried again.
    """

    max_attempts: int = 5
    base_delay: float = 0.05
    max_delay: float = 2.0
    give_up_after: float = 10.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is not 1 or more: {self.max_attempts}")
        if min(self.base_delay, self.max_delay, self.give_up_after) < 0:
            raise ValueError(f"a time is negative: {self}")

    def get_longest_delay(self, attempt: int) -> float:
        """Return the bound of the pause, in seconds, that follows an attempt (the first is 1)."""
        doublings = min(attempt - 1, 60)  # more than any max_delay, and still a float
        return min(self.max_delay, self.base_delay * 2.0**doublings)

    async def run(
        self, attempt: Callable[[], Awaitable[T]], is_retryable: Callable[[Exception], bool]
    ) -> T:
        """Await an attempt until it succeeds, or its error is no retryable one, or the last."""
        deadline = monotonic() + self.give_up_after
        for number in range(1, self.max_attempts):
            try:
                return await attempt()
            except Exception as error:
                if not is_retryable(error) or monotonic() >= deadline:
                    raise
            longest = self.get_longest_delay(number)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 no secret
        return await attempt()
