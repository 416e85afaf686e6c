"""Writes: what one push hands to the database."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from castore_core import InvalidEventGroupError


class Insert(NamedTuple):
    """One event to insert: the parameters begin with its store, its aggregate and its version."""

    table: str
    sql: str
    parameters: tuple[Any, ...]


class Assertion(NamedTuple):
    """A query for the last version of an aggregate, and the version that it has to find.

    The parameters are the store and the aggregate.
    """

    table: str
    sql: str
    parameters: tuple[Any, ...]
    version: int


Write: TypeAlias = Sequence[Insert | Assertion]
"""The steps of one push: all of them are taken, or none."""


def check_write(write: Write) -> None:
    """Refuse a group in which two adapters of one table contradict each other.

    The core refuses what contradicts itself through one adapter, and does not know of tables.

    Raises:
        InvalidEventGroupError: two events have one version, or an asserted aggregate is written.
    """
    versions: set[tuple[Any, ...]] = set()
    aggregates: set[tuple[Any, ...]] = set()
    for insert in (each for each in write if isinstance(each, Insert)):
        event_store_id, aggregate_id, version = insert.parameters[:3]
        aggregate = (insert.table, event_store_id, aggregate_id)
        if (aggregate, version) in versions:
            raise InvalidEventGroupError(
                f"it has two events of version {version} of {aggregate_id!r}"
            )
        versions.add((aggregate, version))
        aggregates.add(aggregate)
    for assertion in (each for each in write if isinstance(each, Assertion)):
        event_store_id, aggregate_id = assertion.parameters
        if (assertion.table, event_store_id, aggregate_id) in aggregates:
            raise InvalidEventGroupError(
                f"it asserts the version of {aggregate_id!r}, and writes it"
            )
