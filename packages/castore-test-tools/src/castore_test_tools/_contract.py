"""What all contract suites share."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

adapter_fixture: Final = cast("Callable[[Callable[..., object]], Any]", pytest.fixture)
"""Declares a fixture that suites override with whatever makes one, sync or async.

To type checkers it is `Any`, because the fixtures of pytest and pytest-asyncio are of different
types.
"""

properties: Final = settings(
    max_examples=50,
    deadline=None,  # a slow backend is no failure
    suppress_health_check=[
        HealthCheck.differing_executors,  # each suite that inherits a test runs it
        HealthCheck.function_scoped_fixture,  # each example has an aggregate or store of its own
        HealthCheck.too_slow,  # as are slow machines
    ],
)


def overrides_contract(reason: str) -> Callable[[T], T]:
    """Say why a suite replaces a test of its contract: without a reason none may.

    Use it where the backend differs in a way that no capability declares::

        @overrides_contract("the backend cuts timestamps to seconds")
        async def test_a_timestamp_keeps_its_milliseconds(self, adapter): ...

    Raises:
        ValueError: the reason is empty.
    """
    if not reason:
        raise ValueError("a test of the contract is overridden with a reason")

    def mark(test: T) -> T:
        test.__dict__["_overrides_contract"] = reason
        return test

    return mark


def requires(capability: str) -> Callable[[T], T]:
    """Leave a test out of the suites whose class attribute ``capability`` is false."""

    def mark(test: T) -> T:
        test.__dict__["_requires"] = capability
        return test

    return mark


@pytest.mark.asyncio
class ContractTests:
    """The base of the suites.

    Suites are plain classes: pytest passes over an abstract one without a word.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, test in list(vars(cls).items()):
            if name.startswith("test_"):
                _check_override(cls, name, test)
        for name in dir(cls):
            capability = getattr(getattr(cls, name), "_requires", None)
            if name.startswith("test_") and capability and not getattr(cls, capability):
                setattr(cls, name, None)  # pytest collects nothing here


def _check_override(cls: type[ContractTests], name: str, test: object) -> None:
    is_standard = any(name in vars(base) for base in cls.__mro__[1:])
    if is_standard and not hasattr(test, "_overrides_contract"):
        raise TypeError(
            f"{cls.__name__}.{name} replaces a test of the contract: "
            "decorate it with @overrides_contract(reason)"
        )
