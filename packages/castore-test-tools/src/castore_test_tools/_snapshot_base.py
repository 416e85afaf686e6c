"""The parts of the snapshot contract share this: the fixture, and snapshots to keep."""

from castore_core import JSONValue, Snapshot, SnapshotStorageAdapter
from castore_test_tools._contract import adapter_fixture
from castore_test_tools._json_contract import JSONContract
from castore_test_tools._values import STORE


def make_snapshot(
    version: int = 1,
    aggregate: JSONValue = "state",
    *,
    event_store_id: str = STORE,
    aggregate_id: str = "a1",
    reducer_version: str = "1",
) -> Snapshot:
    """Return a snapshot to keep."""
    return Snapshot(event_store_id, aggregate_id, version, reducer_version, aggregate)


class SnapshotContract(JSONContract):
    """The fixture and the capabilities of `SnapshotStorageAdapterTests`."""

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    works_in_several_event_loops_at_once: bool = True
    """One adapter can be used in several event loops at the same time, each of a thread."""

    @adapter_fixture
    def adapter(self) -> SnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        raise NotImplementedError("override the fixture `adapter`: return an empty storage")

    async def get(
        self,
        adapter: SnapshotStorageAdapter,
        *,
        reducer_version: str = "1",
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of an aggregate that most tests have."""
        return await adapter.get_snapshot(
            STORE, "a1", reducer_version=reducer_version, max_version=max_version
        )
