"""Handlers: which functions a projection takes, and for which events."""

from functools import partial
from typing import Any, cast

import pytest

from accounts import Closed, Deposited, InMemoryWorld, Opened, make_accounts
from castore_core import Event
from castore_projections import Projection, ProjectionContext


class Unheard(Event, type="UNHEARD"):
    """An event of no store."""


@pytest.fixture
def projection() -> Projection[Any]:
    """Return a projection without handlers."""
    world = InMemoryWorld()
    return Projection("p", event_stores=[world.accounts], bookmarks=world.bookmarks)


async def handle(_: Event, __: ProjectionContext) -> None:
    """Do nothing."""


class Handle:
    """A handler that is an object."""

    async def __call__(self, _: Event, __: ProjectionContext) -> None:
        """Do nothing."""


def test_takes_async_functions(projection: Projection[Any]) -> None:
    """A handler comes back as it is; it may be partial, or an object with an async call."""
    assert handle is projection.on(Opened)(handle)
    projection.on(Opened, Deposited, Closed)(partial(handle))
    projection.on(*make_accounts(None).event_types)(Handle())


def test_refuses_plain_functions(projection: Projection[Any]) -> None:
    """A function that is not async would block the event loop."""

    def plain(_: Event, __: ProjectionContext) -> None: ...

    with pytest.raises(TypeError, match="a handler is an async function"):
        projection.on(Opened)(cast("Any", plain))


def test_refuses_foreign_events(projection: Projection[Any]) -> None:
    """A class that no store has would never be handled."""
    with pytest.raises(ValueError, match=r"\(ACCOUNTS\) has <class '.*Unheard'>"):
        projection.on(Opened, Unheard)


@pytest.mark.parametrize("event_types", [(), (handle,), ("OPENED",), (Opened, int)])
def test_names_classes(projection: Projection[Any], event_types: tuple[Any, ...]) -> None:
    """A decorator without classes, such as ``@projection.on``, is refused at once."""
    with pytest.raises(TypeError, match=r"@projection\.on\(PokemonCaught\)"):
        projection.on(*event_types)


def test_a_union_is_no_class(projection: Projection[Any]) -> None:
    """The error says how several classes are given."""
    union: Any = Opened | Unheard

    with pytest.raises(TypeError, match="name each one"):
        projection.on(union)
