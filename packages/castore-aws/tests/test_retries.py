"""Attempts are bounded, and so are the pauses between them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_aws import RetryPolicy

delays = st.floats(0, 1000)


@given(delays, delays, st.integers(1, 10_000))
def test_pauses_grow_up_to_a_bound(base_delay: float, max_delay: float, attempt: int) -> None:
    """Each is at most twice the one before, and never longer than max_delay."""
    policy = RetryPolicy(base_delay=base_delay, max_delay=max_delay)
    longest = [policy.get_longest_delay(attempt), policy.get_longest_delay(attempt + 1)]

    assert 0 <= longest[0] <= longest[1] <= max_delay
    assert longest[1] <= 2 * longest[0]


def test_pauses_double() -> None:
    """The bound of the first one is base_delay."""
    policy = RetryPolicy(base_delay=0.5, max_delay=3)

    assert [0.5, 1, 2, 3, 3] == [policy.get_longest_delay(attempt) for attempt in range(1, 6)]


@pytest.mark.parametrize(("give_up_after", "expected"), [(0.0, 1), (60.0, 3)])
async def test_what_failed_late_is_not_tried_again(give_up_after: float, expected: int) -> None:
    """However many attempts are left: each may have taken long by itself."""
    policy = RetryPolicy(max_attempts=3, base_delay=0, give_up_after=give_up_after)
    attempts: list[int] = []

    async def fail() -> None:
        attempts.append(len(attempts))
        await asyncio.sleep(0)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await policy.run(fail, lambda error: isinstance(error, TimeoutError))

    assert expected == len(attempts)


@pytest.mark.parametrize(
    "options",
    [{"max_attempts": 0}, {"base_delay": -1}, {"max_delay": -1}, {"give_up_after": -1}],
)
def test_a_policy_that_cannot_be_is_refused(options: dict[str, int]) -> None:
    """There is an attempt at least, and no time is negative."""
    with pytest.raises(ValueError, match=f"{next(iter(options.values()))}"):
        RetryPolicy(**options)
