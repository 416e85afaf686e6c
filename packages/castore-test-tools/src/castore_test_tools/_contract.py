"""The base of all contract suites: fixtures, capabilities, and overrides with a reason."""

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings

from castore_test_tools._names import check_names
from castore_test_tools._time_limit import with_time_limit

T = TypeVar("T")

adapter_fixture: Final = cast("Callable[[Callable[..., object]], Any]", pytest.fixture)
"""Declares a fixture that suites override with one of their own, sync or async.

To type checkers it is `Any`, because the fixtures of pytest and pytest-asyncio are of different
types.
"""

properties: Final = settings(
    max_examples=50,
    derandomize=True,  # a suite says the same of an adapter in each run
    deadline=None,  # a slow backend is no failure
    report_multiple_bugs=False,  # one plain failure reads better than a group of them
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


def requires(*capabilities: str) -> Callable[[T], T]:
    """Leave a test out of the suites that have a false value for one of these class attributes."""

    def mark(test: T) -> T:
        test.__dict__["_requires"] = capabilities
        return test

    return mark


def unless(capability: str) -> Callable[[T], T]:
    """Leave a test out of the suites whose class attribute ``capability`` is true."""

    def mark(test: T) -> T:
        test.__dict__["_unless"] = capability
        return test

    return mark


@pytest.mark.asyncio
class ContractTests:
    """The base of the suites.

    Suites are plain classes: pytest passes over an abstract one without a word.
    """

    connect_again: Any = None
    """A fixture, for adapters that are given a client (an engine, a connection, a path).

    It returns a function that makes another adapter with the same client, on the same data.
    """

    break_backend: Any = None
    """A fixture, where a backend can be made to fail for a test.

    It returns a function after which the backend fails, whatever is asked of it.
    """

    time_limit: float = 60.0
    """After so many seconds a test fails that has not ended, or an example of a property."""

    longest_id: int = 1000
    """How many characters the ids of stores, aggregates and bookmarks may surely have."""

    other_names: Collection[str] = ()
    """Names of the suite that are meant, though they look like misspelt fixtures or attributes."""

    _patience: float = 10.0
    """After so many seconds a test gives up on something that should come soon."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_names(cls, cls.other_names)
        names = [name for name in dir(cls) if name.startswith("test_")]
        for name in names:
            _check_overrides(cls, name)
            if vars(cls).get(name):
                setattr(cls, name, with_time_limit(vars(cls)[name]))
        for name in names:
            if name not in vars(cls):
                _choose(cls, name)


def _choose(cls: type[ContractTests], name: str) -> None:
    """Inherit a test, unless the class does not have the capabilities that it requires."""
    tests = [vars(base)[name] for base in cls.__mro__ if name in vars(base)]
    test = next(each for each in tests if each is not None)
    required: tuple[str, ...] = getattr(test, "_requires", ())
    excluding: str | None = getattr(test, "_unless", None)
    if required or excluding:
        is_wanted = all(getattr(cls, each) for each in required)
        is_unwanted = excluding is not None and getattr(cls, excluding)
        # pytest collects nothing that is no function.
        setattr(cls, name, test if is_wanted and not is_unwanted else None)


def _check_overrides(cls: type[ContractTests], name: str) -> None:
    bases: tuple[type[object], ...] = cls.__mro__
    *overriders, _ = [base for base in bases if name in vars(base)]
    for base in overriders:
        is_new = base is cls or not issubclass(base, ContractTests)  # others were checked before
        if is_new and not hasattr(vars(base)[name], "_overrides_contract"):
            raise TypeError(
                f"{base.__name__}.{name} replaces a test of the contract: "
                "decorate it with @overrides_contract(reason)"
            )
