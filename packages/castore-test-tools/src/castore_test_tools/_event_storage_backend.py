"""The event storage contract: the client and the backend behind an adapter."""

import gc
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    EventStorageAdapter,
    GroupedRecord,
    StorageError,
)
from castore_test_tools._contract import requires
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._running import (
    call,
    close,
    push_in_order,
    thaw,
    try_push,
)
from castore_test_tools._values import STORE, make_record, make_records, moment

_LARGE = 1_000_000

Use: TypeAlias = Callable[[EventStorageAdapter], Awaitable[Any]]

_USES: Final[dict[str, Use]] = {
    "push_event": lambda adapter: adapter.push_event(STORE, make_record()),
    "push_event_group": lambda adapter: adapter.push_event_group(
        [GroupedRecord(STORE, make_record(each), adapter) for each in ("a1", "a2")]
    ),
    "get_events": lambda adapter: adapter.get_events(STORE, "a1"),
    "list_aggregate_ids": lambda adapter: adapter.list_aggregate_ids(STORE),
}


class BackendContract(EventStorageContract):
    """Clients that were handed in, lost answers, failures and sizes."""

    @requires("connect_again")
    async def test_the_client_stays_open(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """An adapter that was closed, or is gone, leaves its client to those who still use it."""
        other = await call(connect_again)
        await other.push_event(STORE, make_record("a1", 1))
        await close(other)
        del other
        gc.collect()
        await adapter.push_event(STORE, make_record("a1", 2))
        assert [1, 2] == [each.version for each in await adapter.get_events(STORE, "a1")]

    @requires("connect_again")
    async def test_another_adapter_reads_what_was_pushed(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """Events are in the backend, and not in the adapter: each sees those of the other."""
        records = make_records("a1", 3)
        other = await call(connect_again)
        await push_in_order(adapter, STORE, records[:1])
        assert records[:1] == list(await other.get_events(STORE, "a1"))
        await push_in_order(other, STORE, records[1:])
        assert records == list(await adapter.get_events(STORE, "a1"))

    @requires("connect_again")
    async def test_events_are_read_anew(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """An adapter that has read events sees what another one pushes, and replaces, later."""
        other = await call(connect_again)
        old, new = make_record("a1", 1, "old"), make_record("a1", 1, "new")
        later = make_record("a1", 2)
        assert [] == list(await adapter.get_events(STORE, "a1"))
        await other.push_event(STORE, old)
        assert [old] == list(await adapter.get_events(STORE, "a1"))
        await other.push_event(STORE, later)
        assert [old, later] == list(await adapter.get_events(STORE, "a1"))
        await other.push_event(STORE, new, force=True)
        assert [new, later] == list(await adapter.get_events(STORE, "a1"))

    @requires("connect_again")
    async def test_lists_are_read_anew(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """An adapter that has listed aggregates sees those that another one pushes later."""
        other = await call(connect_again)
        records = [make_record(f"a{each}", timestamp=moment(each)) for each in range(3)]
        for count, each in enumerate(records):
            found = await adapter.list_aggregate_ids(STORE)
            assert to_listed(records[:count]) == list(found.aggregates)
            await other.push_event(STORE, each)
            await self.wait_until_listed(adapter, STORE, records[: count + 1])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == list(found.aggregates)

    @requires("connect_again")
    async def test_another_adapter_conflicts(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A version that was pushed through one adapter is taken for the other."""
        other = await call(connect_again)
        assert [] == list(await other.get_events(STORE, "a1"))
        await adapter.push_event(STORE, make_record("a1"))
        assert await try_push(other.push_event(STORE, make_record("a1")))

    @requires("lose_next_answer")
    async def test_a_push_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """A push that the client repeats is no conflict with itself."""
        await call(lose_next_answer)
        await adapter.push_event(STORE, make_record("a1"))
        assert [make_record("a1")] == list(await adapter.get_events(STORE, "a1"))

    @requires("lose_next_answer")
    async def test_a_group_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """A group that the client repeats is no conflict with itself."""
        records = make_records("a1", 3)
        await call(lose_next_answer)
        await adapter.push_event_group([GroupedRecord(STORE, each, adapter) for each in records])
        assert records == list(await adapter.get_events(STORE, "a1"))

    @requires("lose_next_answer")
    async def test_a_conflict_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """An event that another writer pushed before is a conflict, also an equal one."""
        await adapter.push_event(STORE, make_record("a1"))
        await call(lose_next_answer)
        assert await try_push(adapter.push_event(STORE, make_record("a1")))

    @requires("lose_next_answer")
    async def test_a_clash_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """A repeated group names its clash, and nothing of it is written."""
        await adapter.push_event(STORE, make_record("a2"))
        group = [GroupedRecord(STORE, make_record(each), adapter) for each in ("a1", "a2")]
        await call(lose_next_answer)
        conflict = await try_push(adapter.push_event_group(group))
        assert conflict is not None
        assert (STORE, "a2", 1) == (
            conflict.event_store_id,
            conflict.aggregate_id,
            conflict.version,
        )
        assert [] == list(await adapter.get_events(STORE, "a1"))

    @requires("break_backend")
    @pytest.mark.parametrize("use", _USES.values(), ids=_USES)
    async def test_failures_of_the_backend_are_translated(
        self, adapter: EventStorageAdapter, break_backend: Callable[[], Any], use: Use
    ) -> None:
        """An error of the backend is the cause of a `StorageError`, that pickles."""
        await call(break_backend)
        with pytest.raises(StorageError) as caught:
            await use(adapter)
        assert caught.value.__cause__ is not None, "raise StorageError(...) from error"
        thawed = thaw(caught.value)
        assert (type(caught.value), str(caught.value)) == (type(thawed), str(thawed))

    async def test_a_large_event(self, adapter: EventStorageAdapter) -> None:
        """A payload of a megabyte, or as large as the backend takes, is read as it was written."""
        record = make_record("a1", 1, "x" * (self.largest_payload or _LARGE))
        await adapter.push_event(STORE, record)
        (read,) = await adapter.get_events(STORE, "a1")
        assert record == read

    @requires("largest_payload")
    async def test_too_large_an_event_is_refused(self, adapter: EventStorageAdapter) -> None:
        """Of an event with twice the declared payload, nothing is written."""
        assert self.largest_payload
        with pytest.raises(CastoreError) as caught:
            await adapter.push_event(STORE, make_record("a1", 1, "x" * (2 * self.largest_payload)))
        assert not isinstance(caught.value, EventAlreadyExistsError)
        assert [] == list(await adapter.get_events(STORE, "a1"))

    @requires("largest_payload")
    async def test_a_group_with_too_large_an_event(self, adapter: EventStorageAdapter) -> None:
        """Of a group with such an event, nothing is written either."""
        assert self.largest_payload
        too_large = make_record("a2", 1, "x" * (2 * self.largest_payload))
        group = [GroupedRecord(STORE, each, adapter) for each in (make_record("a1"), too_large)]
        with pytest.raises(CastoreError):
            await adapter.push_event_group(group)
        assert [] == list(await adapter.get_events(STORE, "a1"))
