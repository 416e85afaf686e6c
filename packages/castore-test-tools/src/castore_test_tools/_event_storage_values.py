"""The event storage contract: every value comes back as it was pushed."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import count, product
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from castore_core import ABSENT, Absent, CastoreError, EventRecord, EventStorageAdapter, JSONValue
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._contract import properties, requires
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._running import change_meanwhile, push_in_order
from castore_test_tools._values import (
    JSON_SAMPLES,
    MOMENTS,
    STORE,
    exact,
    json_values,
    make_long_values,
    make_record,
)

_fresh_numbers = count()
_id_texts = st.text("aA#/%_ '\u00e9\U0001f600", min_size=1, max_size=3)


class ValuesContract(EventStorageContract):
    """JSON, timestamps and ids."""

    async def test_absent_is_not_null(self, adapter: EventStorageAdapter) -> None:
        """A payload or metadata that is absent, null or a value is read as just that."""
        fields: list[JSONValue | Absent] = [ABSENT, None, {"text": "milk"}]
        records = [
            make_record("a1", version, payload, metadata)
            for version, (payload, metadata) in enumerate(product(fields, fields), 1)
        ]
        await push_in_order(adapter, STORE, records)
        assert records == list(await adapter.get_events(STORE, "a1"))

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES)
    async def test_json(self, adapter: EventStorageAdapter, samples: dict[str, JSONValue]) -> None:
        """A JSON value is read as it was written, with the types of its numbers."""
        for name, value in samples.items():
            await self._check(adapter, make_record(name, 1, value, value))

    @properties
    @given(json_values, json_values)
    async def test_any_json(
        self, adapter: EventStorageAdapter, payload: JSONValue, metadata: JSONValue
    ) -> None:
        """Any JSON value is read as it was written, or refused where a number is too great."""
        aggregate_id = f"any-{next(_fresh_numbers)}"
        await self._check(adapter, make_record(aggregate_id, 1, payload, metadata))

    async def test_a_push_does_not_change_the_record(self, adapter: EventStorageAdapter) -> None:
        """An adapter leaves the event that it was given as it is."""
        value: JSONValue = {"list": [1, 1.5, None, {"a": 2.5}], "text": "milk"}
        record = make_record("a1", 1, value, [value])
        expected = deepcopy(record)
        await adapter.push_event(STORE, record)
        assert expected == record

    async def test_no_reference_is_kept(self, adapter: EventStorageAdapter) -> None:
        """A caller that changes a value after pushing it does not change the event."""
        payload: dict[str, JSONValue] = {"list": [1], "object": {"a": 1}}
        await adapter.push_event(STORE, make_record("a1", 1, payload))
        cast("list[JSONValue]", payload["list"]).append(2)
        cast("dict[str, JSONValue]", payload["object"])["b"] = 2
        payload["new"] = True
        expected = make_record("a1", 1, {"list": [1], "object": {"a": 1}})
        assert [expected] == list(await adapter.get_events(STORE, "a1"))

    async def test_a_payload_that_changes_during_a_push(self, adapter: EventStorageAdapter) -> None:
        """The stored payload is that of the call, whatever the caller does to it afterwards."""
        payloads = make_long_values()
        records = [make_record(f"a{each}", 1, value) for each, value in enumerate(payloads)]
        expected = deepcopy(records)
        await change_meanwhile((adapter.push_event(STORE, each) for each in records), payloads)
        read = [await adapter.get_events(STORE, each.aggregate_id) for each in expected]
        assert [[each] for each in expected] == list(map(list, read))

    async def test_no_reference_is_given_out(self, adapter: EventStorageAdapter) -> None:
        """A reader that changes a value that it read does not change the event."""
        await adapter.push_event(STORE, make_record("a1", 1, {"list": [1]}, [1]))
        (read,) = await adapter.get_events(STORE, "a1")
        cast("dict[str, list[JSONValue]]", read.payload)["list"].append(2)
        cast("list[JSONValue]", read.metadata).clear()
        expected = make_record("a1", 1, {"list": [1]}, [1])
        assert [expected] == list(await adapter.get_events(STORE, "a1"))

    async def test_timestamps(self, adapter: EventStorageAdapter) -> None:
        """Moments of the years 1 to 9999 are read to the millisecond, in UTC, and listed so."""
        records = [make_record(str(each), timestamp=each) for each in MOMENTS]
        await push_in_order(adapter, STORE, records)
        expected = [(each, timedelta(0)) for each in MOMENTS]
        reads = [(await adapter.get_events(STORE, str(each)))[0].timestamp for each in MOMENTS]
        assert expected == [(each, each.utcoffset()) for each in reads]
        await self.wait_until_listed(adapter, STORE, records)
        found = await adapter.list_aggregate_ids(STORE)
        listed = [each.initial_event_timestamp for each in found.aggregates]
        assert expected == [(each, each.utcoffset()) for each in listed]

    @properties
    @given(st.datetimes(timezones=st.just(UTC)))
    async def test_any_timestamp(self, adapter: EventStorageAdapter, timestamp: datetime) -> None:
        """Any moment is read to the millisecond."""
        timestamp = timestamp.replace(microsecond=timestamp.microsecond // 1000 * 1000)
        aggregate_id = f"any-{next(_fresh_numbers)}"
        await adapter.push_event(STORE, make_record(aggregate_id, timestamp=timestamp))
        (read,) = await adapter.get_events(STORE, aggregate_id)
        assert timestamp == read.timestamp

    @with_any_ids
    async def test_aggregate_ids_are_data(
        self, adapter: EventStorageAdapter, ids: list[str]
    ) -> None:
        """Ids of any characters, of which some look alike, are ids of different aggregates."""
        records = [make_record(each, 1, each) for each in ids]
        await push_in_order(adapter, STORE, records)
        read = [await adapter.get_events(STORE, each) for each in ids]
        assert [[each] for each in records] == [list(each) for each in read]
        await self.wait_until_listed(adapter, STORE, records)
        listed = (await adapter.list_aggregate_ids(STORE)).aggregates
        assert sorted(ids) == sorted(each.aggregate_id for each in listed)

    @with_any_ids
    async def test_event_store_ids_are_data(
        self, adapter: EventStorageAdapter, ids: list[str]
    ) -> None:
        """Stores of any name, of which some look alike, are different stores."""
        taken = [each for each in ids if self.takes_event_store_id(each)]
        for each in taken:
            await adapter.push_event(each, make_record("a1", 1, each))
        read = [list(await adapter.get_events(each, "a1")) for each in taken]
        assert [[make_record("a1", 1, each)] for each in taken] == read
        for each in taken:
            await self.wait_until_listed(adapter, each, [make_record("a1")])
            found = await adapter.list_aggregate_ids(each)
            assert to_listed([make_record("a1")]) == list(found.aggregates)

    @requires("characters_refused_in_event_store_ids")
    async def test_refused_characters_of_event_store_ids(
        self, adapter: EventStorageAdapter
    ) -> None:
        """A store whose name has a character that the adapter does not take is refused."""
        for each in self.characters_refused_in_event_store_ids:
            with pytest.raises(CastoreError):
                await adapter.push_event(f"NO{each}TES", make_record("a1"))

    async def test_event_types_are_data(self, adapter: EventStorageAdapter) -> None:
        """The name of an event type may hold any characters."""
        names = ["it's", "a#b", "A", " a ", "e\u0301", "\u00e9 \U0001f600", "t" * 200]
        records = [
            make_record("a1", version)._replace(type=name) for version, name in enumerate(names, 1)
        ]
        await push_in_order(adapter, STORE, records)
        assert records == list(await adapter.get_events(STORE, "a1"))

    async def test_a_store_whose_id_begins_with_anothers(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Two stores see nothing of each other, also where one's id is a prefix of the other's."""
        await push_in_order(adapter, "NOTE", [make_record("a1"), make_record("Sa1")])
        await push_in_order(adapter, "NOTES", [make_record("a1"), make_record("a1", 2)])
        assert 1 == len(await adapter.get_events("NOTE", "a1"))
        await self.wait_until_listed(adapter, "NOTES", [make_record("a1")])
        found = await adapter.list_aggregate_ids("NOTES")
        assert to_listed([make_record("a1")]) == list(found.aggregates)

    @properties
    @given(_id_texts, _id_texts, _id_texts, st.sampled_from("#/:|,_-. \\"))
    async def test_joined_ids_are_kept_apart(
        self, adapter: EventStorageAdapter, first: str, second: str, third: str, separator: str
    ) -> None:
        """Where the ids of store and aggregate look alike when joined, they are others still."""
        run = f"any-{next(_fresh_numbers)}-"
        places = [
            (f"{run}{first}", f"{second}{separator}{third}"),
            (f"{run}{first}{separator}{second}", third),
        ]
        assume(self.takes_event_store_id(places[0][0] + places[1][0]))
        for store_id, aggregate_id in places:
            await adapter.push_event(store_id, make_record(aggregate_id, 1, store_id))
        read = [await adapter.get_events(*each) for each in places]
        assert [[store_id] for store_id, _ in places] == [
            [each.payload for each in events] for events in read
        ]

    async def _check(self, adapter: EventStorageAdapter, record: EventRecord) -> None:
        values = {"payload": record.payload, "metadata": record.metadata}
        if not all(self.holds(each) for each in values.values()):
            with pytest.raises(CastoreError):
                await adapter.push_event(STORE, record)
            assert [] == list(await adapter.get_events(STORE, record.aggregate_id))
            return
        expected = {name: exact(self.as_read(each)) for name, each in values.items()}
        await adapter.push_event(STORE, record)
        (read,) = await adapter.get_events(STORE, record.aggregate_id)
        assert expected == {"payload": exact(read.payload), "metadata": exact(read.metadata)}
