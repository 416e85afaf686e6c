"""Snapshots of pydantic models: a field that is not written stops them."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from castore_core import Event, EventStore, Snapshots
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from castore_pydantic import PydanticCodec


class Counted(Event, type="COUNTED"):
    """One more."""


class Excluded(BaseModel):
    """It does not write its total, and compares ids."""

    aggregate_id: str
    version: int
    total: int = Field(default=0, exclude=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Excluded) and self.aggregate_id == other.aggregate_id

    def __hash__(self) -> int:
        return hash(self.aggregate_id)


class Whole(BaseModel):
    """It writes all; not all fields are given."""

    aggregate_id: str
    version: int
    total: int = 0
    note: str = ""


@pytest.mark.parametrize(("model", "expected"), [(Excluded, "not_faithful"), (Whole, "written")])
async def test_fields_that_are_not_written(model: type[Any], expected: str) -> None:
    """A model that would lose one has no snapshots. Which fields were given does not count."""

    def reduce(before: Any, event: Counted) -> Any:
        total = (before.total if before else 0) + 1
        return model(aggregate_id=event.aggregate_id, version=event.version, total=total)

    snapshots = Snapshots(
        InMemorySnapshotStorageAdapter(), every=1, reducer_version="1", in_background=False
    )
    store: EventStore[Counted, Any] = EventStore(
        "COUNTS",
        event_types=[Counted],
        reduce=reduce,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=PydanticCodec(model),
        snapshots=snapshots,
    )
    for version in (1, 2, 3):
        await store.push_event(Counted("a", version))
    assert {expected: 3} == snapshots.counts
    assert 3 == (await store.get_existing_aggregate("a")).aggregate.total
