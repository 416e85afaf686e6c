"""Tests of ids that look alike, of which some are as long as a backend takes."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, TypeVar, cast

import pytest

from castore_test_tools._values import IDS

T = TypeVar("T", bound=Callable[..., Any])

_LONGEST: Final = max(len(each) for ids in IDS.values() for each in ids)
_parametrize = pytest.mark.parametrize("ids", IDS.values(), ids=IDS)


def with_any_ids(test: T) -> T:
    """Give an async test ``ids``, of which none is longer than the ``longest_id`` of its suite."""

    @wraps(test)
    async def given_ids(self: Any, *args: Any, ids: Sequence[str], **kwargs: Any) -> None:
        __tracebackhide__ = True
        longest = min(self.longest_id, _LONGEST)
        fitting = fit_ids(ids, longest)
        try:
            await test(self, *args, ids=fitting, **kwargs)
        except Exception as error:
            if longest in map(len, fitting):
                error.add_note(f"An id has {longest} characters: a suite declares `longest_id`.")
            raise

    return cast("T", _parametrize(given_ids))


def fit_ids(ids: Sequence[str], longest: int) -> list[str]:
    """Shorten ids that are too long, each by as much, so that they still look alike."""
    excess = max(0, max(map(len, ids)) - longest)
    return [each[excess:] for each in ids]
