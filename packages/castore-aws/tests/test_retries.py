"""Attempts are bounded, and so are the pauses between them."""

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


@pytest.mark.parametrize("options", [{"max_attempts": 0}, {"base_delay": -1}, {"max_delay": -1}])
def test_a_policy_that_cannot_be_is_refused(options: dict[str, int]) -> None:
    """There is an attempt at least, and no time is negative."""
    with pytest.raises(ValueError, match=f"{next(iter(options.values()))}"):
        RetryPolicy(**options)
