"""Whether a codec gave back the same state does not depend on what its class calls equal."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from castore_core import DataclassCodec, EventStore
from castore_core._sameness import is_same
from castore_in_memory import InMemoryEventStorageAdapter
from snapshot_stores import NoteBegun, TextAdded, make_event, make_snapshots


class Entity:
    """It is the one with its id."""

    def __init__(self, name: str, total: Any = 0) -> None:
        self.name = name
        self.total = total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def double(self) -> Any:
        """Twice the total."""
        return self.total * 2


class Slotted:
    """It keeps a number to itself."""

    __slots__ = ("__number", "name")

    def __init__(self, number: int) -> None:
        self.__number = number
        self.name = "a"

    def get_number(self) -> int:
        """Return it."""
        return self.__number


class Text(str):  # noqa: SLOT000 it has attributes
    """A text with attributes."""


def make_ring(number: int = 1) -> list[Any]:
    """Return a list that holds itself."""
    ring: list[Any] = [number]
    ring.append(ring)
    return ring


def use(entity: Entity) -> Entity:
    """Compute what is cached."""
    assert entity.double is not None
    return entity


NOW = datetime(2026, 1, 1, tzinfo=UTC)

SAME: dict[str, Callable[[], Any]] = {
    "scalars": lambda: [
        1,
        "a",
        None,
        1.5,
        True,
        b"a",
        Decimal(1),
        NOW,
        UUID(int=1),
        PurePosixPath("a"),
    ],
    "containers": lambda: (
        {"a": {1, 2}},
        deque([1]),
        MappingProxyType({1: 2}),
        SimpleNamespace(a=1),
    ),
    "entities": lambda: Entity("a", {Entity("b"): 1, "c": frozenset([Entity("d")])}),
    "slots": lambda: Slotted(1),
    "a text": lambda: Text("a"),
    "a ring": make_ring,
}

OTHERS: list[tuple[Any, Any]] = [
    (1, True),
    (1, "1"),
    ([1], (1,)),
    ([1], [1, 2]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ({"a": Entity("a", 1)}, {"a": Entity("a", 2)}),
    ({Entity("a", 1)}, {Entity("a", 2)}),
    (Entity("a", [Entity("b", 1)]), Entity("a", [Entity("b", 2)])),
    (Entity("a", 1), Entity("a", True)),
    (Slotted(1), Slotted(2)),
    (Text("a"), Text("b")),
    (Text("a"), "a"),
    (object(), object()),
    (make_ring(1), make_ring(2)),
]


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_the_same(make: Callable[[], Any]) -> None:
    """Two values of one making are the same."""
    assert is_same(make(), make())


@pytest.mark.parametrize("pair", OTHERS)
def test_others(pair: tuple[Any, Any]) -> None:
    """A difference anywhere is one, if the classes say that they are equal or not."""
    assert not is_same(*pair)
    assert not is_same(*reversed(pair))


def test_what_does_not_count() -> None:
    """So do not: integral floats, the order of keys, cached properties."""
    assert is_same([1.0], [1])
    assert is_same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert is_same(use(Entity("a", 1)), Entity("a", 1))


@dataclass
class Counted:
    """An aggregate with a field that its codec leaves out."""

    aggregate_id: str
    version: int
    total: int = field(init=False, default=0, compare=False)


@dataclass(eq=False)
class Unequal:
    """The same, of which each is equal to itself alone."""

    aggregate_id: str
    version: int
    total: int = field(init=False, default=0)


@pytest.mark.parametrize("aggregate_type", [Counted, Unequal])
async def test_a_field_that_is_lost(aggregate_type: type[Any]) -> None:
    """Nothing is written, and the aggregate is the one without snapshots."""

    def reduce(before: Any, event: NoteBegun | TextAdded) -> Any:
        after = aggregate_type(aggregate_id=event.aggregate_id, version=event.version)
        after.total = (before.total if before else 0) + 1
        return after

    snapshots = make_snapshots()
    store: EventStore[NoteBegun | TextAdded, Any] = EventStore(
        "NOTES",
        event_types=[NoteBegun, TextAdded],
        reduce=reduce,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(aggregate_type),
        snapshots=snapshots,
    )
    for version in range(1, 5):
        await store.push_event(make_event(version))
    assert 4 == (await store.get_existing_aggregate("a1")).aggregate.total
    assert {"not_faithful": 2, "missing": 1} == snapshots.counts
