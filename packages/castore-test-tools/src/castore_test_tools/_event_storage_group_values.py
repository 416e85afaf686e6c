"""The event storage contract: a group writes its events as single pushes do."""

from copy import deepcopy
from itertools import product
from typing import cast

import pytest

from castore_core import ABSENT, Absent, EventRecord, EventStorageAdapter, GroupedRecord, JSONValue
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._running import change_meanwhile, push_in_order, try_push
from castore_test_tools._values import (
    JSON_SAMPLES,
    STORE,
    exact,
    make_long_values,
    make_record,
    moment,
)


class GroupValuesContract(EventStorageContract):
    """The events of a group are pushed in another way, and read in the same."""

    async def test_a_group_is_read_as_it_was_pushed(self, adapter: EventStorageAdapter) -> None:
        """Every field of each event comes back, and what is absent or null is just that."""
        fields: list[JSONValue | Absent] = [ABSENT, None, {"text": "milk"}]
        records = [
            make_record("a1", version, payload, metadata, timestamp=moment(version))
            for version, (payload, metadata) in enumerate(product(fields, fields), 1)
        ]
        records[-1] = records[-1]._replace(type="CLEARED")
        await self._push(adapter, *records)
        assert records == list(await adapter.get_events(STORE, "a1"))

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES)
    async def test_json_of_a_group(
        self, adapter: EventStorageAdapter, samples: dict[str, JSONValue]
    ) -> None:
        """JSON values are read as they were written, with the types of their numbers."""
        values = [each for each in samples.values() if self.holds(each)]
        records = [make_record("a1", version, each) for version, each in enumerate(values, 1)]
        expected = [exact(self.as_read(each)) for each in values]
        await self._push(adapter, *records)
        assert expected == [exact(each.payload) for each in await adapter.get_events(STORE, "a1")]

    async def test_no_reference_to_a_group_is_kept(self, adapter: EventStorageAdapter) -> None:
        """A caller that changes the values of a group after the push does not change the events."""
        records = [make_record(each, 1, {"list": [1]}, [1]) for each in ("a1", "a2")]
        expected = deepcopy(records)
        await self._push(adapter, *records)
        for each in records:
            cast("dict[str, list[JSONValue]]", each.payload)["list"].append(2)
            cast("list[JSONValue]", each.metadata).clear()
        read = [event for name in ("a1", "a2") for event in await adapter.get_events(STORE, name)]
        assert expected == read

    async def test_payloads_that_change_during_the_push_of_a_group(
        self, adapter: EventStorageAdapter
    ) -> None:
        """The stored payloads are those of the call, whatever its caller does to them later."""
        payloads = make_long_values()
        records = [make_record(f"a{each}", 1, value) for each, value in enumerate(payloads)]
        expected = deepcopy(records)
        groups = zip(records[::2], records[1::2], strict=True)
        await change_meanwhile((self._push(adapter, *each) for each in groups), payloads)
        read = [await adapter.get_events(STORE, each.aggregate_id) for each in expected]
        assert [[each] for each in expected] == list(map(list, read))

    async def test_a_group_is_not_changed(self, adapter: EventStorageAdapter) -> None:
        """An adapter leaves the events that it was given as they are."""
        value: JSONValue = {"list": [1, 1.5, None, {"a": 2.5}], "text": "milk"}
        group = [
            GroupedRecord(STORE, make_record(each, 1, value, [value]), adapter)
            for each in ("a1", "a2")
        ]
        expected = [deepcopy(each.record) for each in group]
        await adapter.push_event_group(group)
        assert expected == [each.record for each in group]

    async def test_an_equal_group_is_refused_too(self, adapter: EventStorageAdapter) -> None:
        """Pushing the very same group a second time is a conflict."""
        records = [make_record(each, 1, "same") for each in ("a1", "a2")]
        await self._push(adapter, *records)
        group = [GroupedRecord(STORE, each, adapter) for each in records]
        assert await try_push(adapter.push_event_group(group))

    async def test_a_forced_group_moves_its_aggregates(self, adapter: EventStorageAdapter) -> None:
        """Initial events that a group replaces take their aggregates to their new places."""
        old = [make_record(f"a{each}", timestamp=moment(each)) for each in (1, 2, 3)]
        await push_in_order(adapter, STORE, old)
        new = [each._replace(timestamp=moment(9)) for each in old[:2]]
        await self._push(adapter, *new, force=True)
        await self.wait_until_listed(adapter, STORE, [*new, old[2]])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed([*new, old[2]]) == self.in_order(found.aggregates)

    async def _push(
        self, adapter: EventStorageAdapter, *records: EventRecord, force: bool = False
    ) -> None:
        at_once = self.most_events_of_a_group or len(records)
        for start in range(0, len(records), at_once):
            part = records[start : start + at_once]
            group = [GroupedRecord(STORE, each, adapter) for each in part]
            await adapter.push_event_group(group, force=force)
