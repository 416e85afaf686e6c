"""A list of aggregates comes in pages, whose tokens carry the options of the list."""

import asyncio
import json
from base64 import urlsafe_b64encode
from binascii import crc32
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    AggregateIdsPage,
    AggregateIdsSlice,
    Event,
    EventRecord,
    EventStore,
    InvalidPageTokenError,
    JSONValue,
    ListedAggregate,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Counted(Event, type="COUNTED"):
    """One more."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    return Counter(event.aggregate_id, event.version)


CounterStore = EventStore[Counted, Counter]


def new_store(event_store_id: str = "COUNTERS", storage_adapter: Any = None) -> CounterStore:
    """Return a store, on an empty storage of its own unless one is given."""
    return EventStore(
        event_store_id,
        event_types=[Counted],
        reduce=count,
        storage_adapter=storage_adapter or InMemoryEventStorageAdapter(),
    )


async def filled_store(hours: dict[str, int] | None = None) -> CounterStore:
    """Return a store of aggregates, each begun so many hours from now."""
    store = new_store()
    for aggregate_id, hour in (hours or {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}).items():
        timestamp = NOW + hour * HOUR
        await store.push_event(Counted(aggregate_id=aggregate_id, version=1, timestamp=timestamp))
        await store.push_event(Counted(aggregate_id=aggregate_id, version=2, timestamp=NOW))
    return store


class Listing:
    """Remembers how it was asked for a list, and answers with the same cursor each time."""

    def __init__(self, cursor: JSONValue) -> None:
        self.cursor = cursor
        self.asked: list[dict[str, Any]] = []

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> AggregateIdsSlice:
        """Answer with one aggregate."""
        self.asked.append({"event_store_id": event_store_id, **options})
        return AggregateIdsSlice([ListedAggregate("a", NOW)], self.cursor)


async def page_token() -> str:
    """Return a token to the second page of a list."""
    page = await (await filled_store()).list_aggregate_ids(limit=2)
    assert page.next_page_token is not None
    return page.next_page_token


TOKEN = asyncio.run(page_token())


# Pages


async def test_whole_list() -> None:
    """Without a limit, one page has all, ordered by the timestamp of the first event."""
    store = await filled_store({"b": 3, "a": 1, "c": 2})

    listed = [
        ListedAggregate("a", NOW + HOUR),
        ListedAggregate("c", NOW + 2 * HOUR),
        ListedAggregate("b", NOW + 3 * HOUR),
    ]
    assert AggregateIdsPage(listed) == await store.list_aggregate_ids()
    assert ["a", "c", "b"] == (await store.list_aggregate_ids()).aggregate_ids


async def test_empty_list() -> None:
    """A store without events has one empty page."""
    assert AggregateIdsPage([]) == await new_store().list_aggregate_ids(limit=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"initial_event_after": NOW + 2 * HOUR}, "bcde"),
        ({"initial_event_before": NOW + 2 * HOUR}, "ab"),
        ({"initial_event_after": NOW + 2 * HOUR, "initial_event_before": NOW + 3 * HOUR}, "bc"),
        ({"reverse": True}, "edcba"),
        ({"reverse": True, "limit": 2}, "ed"),
        ({"reverse": True, "initial_event_before": NOW + 2 * HOUR}, "ba"),
        ({"initial_event_before": NOW}, ""),
        ({"limit": 2**70}, "abcde"),
    ],
    ids=["after", "before", "both", "reverse", "limit", "reverse-before", "none", "great-limit"],
)
async def test_options(options: dict[str, Any], expected: str) -> None:
    """Bounds are inclusive; reverse begins with the latest."""
    store = await filled_store()

    assert [*expected] == (await store.list_aggregate_ids(**options)).aggregate_ids


async def test_bounds_of_any_offset() -> None:
    """A bound of another offset is the same moment."""
    after = (NOW + 4 * HOUR).astimezone(timezone(timedelta(hours=9)))

    page = await (await filled_store()).list_aggregate_ids(initial_event_after=after)

    assert ["d", "e"] == page.aggregate_ids


@pytest.mark.parametrize("bound", ["initial_event_after", "initial_event_before"])
async def test_naive_bound_is_refused(bound: str) -> None:
    """A naive moment is no bound."""
    options: dict[str, Any] = {bound: NOW.replace(tzinfo=None)}

    with pytest.raises(ValueError, match=f"{bound} is naive"):
        await new_store().list_aggregate_ids(**options)


async def test_token_leads_to_the_next_page() -> None:
    """Tokens lead through the list; the last page has none."""
    store = await filled_store()
    first = await store.list_aggregate_ids(limit=2)
    second = await store.list_aggregate_ids(page_token=first.next_page_token)
    third = await store.list_aggregate_ids(page_token=second.next_page_token)

    pages = [first, second, third]
    assert [["a", "b"], ["c", "d"], ["e"]] == [each.aggregate_ids for each in pages]
    assert third.next_page_token is None


async def test_full_last_page_has_no_token() -> None:
    """No page is empty but that of an empty list."""
    page = await (await filled_store()).list_aggregate_ids(limit=5)

    assert page.next_page_token is None


# What a token carries

moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
queries: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "limit": st.none() | st.integers(1, 2**53),
        "initial_event_after": st.none() | moments,
        "initial_event_before": st.none() | moments,
        "reverse": st.booleans(),
    }
)
cursors = st.one_of(texts, st.integers(), st.lists(texts), st.dictionaries(texts, st.integers()))


@given(
    event_store_id=texts.filter(lambda text: text and "\0" not in text),
    query=queries,
    cursor=cursors,
)
async def test_token_carries_query_and_cursor(
    event_store_id: str, query: dict[str, Any], cursor: JSONValue
) -> None:
    """A storage is asked for the next page as for the first, with the cursor that it gave."""
    listing = Listing(cursor)
    store = new_store(event_store_id, listing)

    page = await store.list_aggregate_ids(**query)
    await store.list_aggregate_ids(page_token=page.next_page_token)

    asked = {"event_store_id": event_store_id, **query}
    expected_limit = query["limit"] and min(query["limit"], 2**53 - 1)
    asked["limit"] = expected_limit
    assert [{**asked, "cursor": None}, {**asked, "cursor": cursor}] == listing.asked


@pytest.mark.parametrize(
    "override",
    [
        {"limit": 7},
        {"initial_event_after": NOW + HOUR},
        {"initial_event_before": NOW + HOUR},
        {"reverse": False},
    ],
    ids=repr,
)
async def test_options_beside_a_token_override(override: dict[str, Any]) -> None:
    """An option beside the token takes the place of the one in it, and stays in the next token."""
    listing = Listing("cursor")
    store = new_store("COUNTERS", listing)
    query: dict[str, Any] = {
        "limit": 1,
        "initial_event_after": NOW,
        "initial_event_before": NOW,
        "reverse": True,
    }

    first = await store.list_aggregate_ids(**query)
    second = await store.list_aggregate_ids(page_token=first.next_page_token, **override)
    await store.list_aggregate_ids(page_token=second.next_page_token)

    expected = {"event_store_id": "COUNTERS", **query, **override, "cursor": "cursor"}
    assert [expected, expected] == listing.asked[1:]


# Tokens that are refused


async def test_token_of_another_store() -> None:
    """A token belongs to its store."""
    with pytest.raises(InvalidPageTokenError, match="it is one of 'COUNTERS'") as error:
        await new_store("OTHERS").list_aggregate_ids(page_token=TOKEN)
    assert "OTHERS" == error.value.event_store_id


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "token",
        "ünïcödé",
        "\ud800",
        "====",
        "AAAAAA",
        "AAAAAG51bGw",
        TOKEN + "=",
        TOKEN + "\n",
        TOKEN + "\n" * 4,
        " " + TOKEN,
        TOKEN + TOKEN,
        "[" + TOKEN + "]",
    ],
    ids=repr,
)
async def test_foreign_token(token: str) -> None:
    """A token is one that a store made, to the letter."""
    with pytest.raises(InvalidPageTokenError, match="is not one of event store 'COUNTERS'"):
        await new_store().list_aggregate_ids(page_token=token)


@given(st.integers(0, len(TOKEN) - 1), st.characters())
async def test_changed_token(position: int, character: str) -> None:
    """No character of a token can be changed."""
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]

    if changed != TOKEN:
        with pytest.raises(InvalidPageTokenError, match="it is damaged"):
            await new_store().list_aggregate_ids(page_token=changed)


@given(st.integers(0, len(TOKEN) - 1))
async def test_truncated_token(length: int) -> None:
    """No part of a token can be left out."""
    for part in (TOKEN[:length], TOKEN[length + 1 :], TOKEN[:length] + TOKEN[length + 1 :]):
        with pytest.raises(InvalidPageTokenError):
            await new_store().list_aggregate_ids(page_token=part)


@pytest.mark.parametrize(
    "options",
    [
        [0, None, None, False],
        ["1", None, None, False],
        [2**53, None, None, False],
        [1, 0, None, False],
        [1, "", None, False],
        [1, None, None, 1],
    ],
    ids=repr,
)
async def test_forged_options(options: list[JSONValue]) -> None:
    """Options that no query has are refused, also where the checksum is right."""
    data = json.dumps(["COUNTERS", *options, None]).encode()
    token = urlsafe_b64encode(crc32(data).to_bytes(4, "big") + data).decode().rstrip("=")

    with pytest.raises(InvalidPageTokenError, match="damaged"):
        await (await filled_store()).list_aggregate_ids(page_token=token)


def test_token_fits_into_a_url() -> None:
    """A token needs no quoting in a query string."""
    assert "".join(each for each in TOKEN if each.isalnum() or each in "-_") == TOKEN


async def test_token_of_another_storage() -> None:
    """A cursor that a storage did not make is refused by it."""
    foreign = await new_store(storage_adapter=Listing(["somewhere"])).list_aggregate_ids(limit=1)

    with pytest.raises(InvalidPageTokenError, match="it was made by another storage"):
        await new_store().list_aggregate_ids(page_token=foreign.next_page_token)


# Cursors


@given(texts, moments)
def test_cursor_round_trip(aggregate_id: str, timestamp: datetime) -> None:
    """An aggregate comes back from its cursor."""
    listed = ListedAggregate(aggregate_id, timestamp)

    assert listed == ListedAggregate.from_cursor("COUNTERS", listed.to_cursor())


@pytest.mark.parametrize(
    "cursor", [None, "a", [], ["a"], [1, "a"], ["t", "a"], ["t", "a", "b"], {}]
)
def test_bad_cursor(cursor: JSONValue) -> None:
    """A cursor of another making is refused."""
    with pytest.raises(InvalidPageTokenError):
        ListedAggregate.from_cursor("COUNTERS", cursor)


@pytest.mark.parametrize(
    ("limit", "cursor_of"), [(None, None), (3, None), (2, None), (1, 0)], ids=repr
)
def test_slice_from_lookahead(limit: int | None, cursor_of: int | None) -> None:
    """A slice has a cursor exactly when more was found than asked for."""
    found = [ListedAggregate("a", NOW), ListedAggregate("b", NOW)]

    cursor = None if cursor_of is None else found[cursor_of].to_cursor()
    assert AggregateIdsSlice(found[:limit], cursor) == AggregateIdsSlice.from_lookahead(
        found, limit
    )


# Walking the pages


@given(
    hours=st.dictionaries(texts.filter(bool), st.integers(0, 2), max_size=8),
    limit=st.integers(1, 4),
    reverse=st.booleans(),
)
async def test_iteration_yields_each_id_once(
    hours: dict[str, int], limit: int, reverse: bool
) -> None:
    """For any limit and equal timestamps, each id comes once, in the order of the whole list."""
    store = await filled_store(hours or {"a": 0})

    walked = [each async for each in store.iter_aggregate_ids(limit=limit, reverse=reverse)]

    expected = sorted(hours or {"a": 0}, key=lambda each: ((hours or {"a": 0})[each], each))
    assert (expected[::-1] if reverse else expected) == walked


async def test_iteration_takes_all_options() -> None:
    """Bounds hold on every page."""
    store = await filled_store()
    walked = store.iter_aggregate_ids(
        limit=1,
        initial_event_after=NOW + 2 * HOUR,
        initial_event_before=NOW + 4 * HOUR,
        reverse=True,
    )

    assert ["d", "c", "b"] == [each async for each in walked]


async def test_iteration_goes_on_from_a_token() -> None:
    """A walk can begin at any page."""
    store = await filled_store()

    assert ["c", "d", "e"] == [each async for each in store.iter_aggregate_ids(page_token=TOKEN)]


async def test_iteration_from_a_token_keeps_its_page_size() -> None:
    """A walk that begins with a token has the pages of the token's list."""
    listing = Listing(None)
    store = new_store("COUNTERS", listing)
    assert ["a"] == [each async for each in store.iter_aggregate_ids(page_token=TOKEN)]

    assert [2] == [each["limit"] for each in listing.asked]


async def test_iteration_asks_for_pages_of_1000() -> None:
    """Without a limit, a page of a walk has 1,000 ids."""
    listing = Listing(None)

    assert ["a"] == [each async for each in new_store("S", listing).iter_aggregate_ids()]
    assert [1000] == [each["limit"] for each in listing.asked]


async def test_records_of_listed_aggregates_are_not_read() -> None:
    """A list does not decode events: a store can list what it cannot read."""
    adapter = InMemoryEventStorageAdapter()
    await adapter.push_event("COUNTERS", EventRecord("a", 1, "UNKNOWN", NOW))

    assert ["a"] == (await new_store(storage_adapter=adapter).list_aggregate_ids()).aggregate_ids


# Signed tokens

KEY, OTHER_KEY = b"0123456789abcdef", b"fedcba9876543210"


def store_with(*keys: bytes, adapter: Any = None) -> CounterStore:
    """Return a store whose tokens are signed."""
    store = new_store(storage_adapter=adapter)
    return EventStore(
        store.event_store_id,
        event_types=store.event_types,
        reduce=store.reduce,
        storage_adapter=store.storage_adapter,
        page_token_keys=keys,
    )


async def get_token(store: CounterStore) -> str:
    """Return the token of a second page."""
    for each in ("a", "b"):
        await store.push_event(Counted(each, 1), force=True)
    token = (await store.list_aggregate_ids(limit=1)).next_page_token
    assert token is not None
    return token


async def test_signed_token_goes_on() -> None:
    """A token of the store's own key is taken."""
    store = store_with(KEY)
    page = await store.list_aggregate_ids(page_token=await get_token(store))

    assert ["b"] == page.aggregate_ids


async def test_keys_are_rotated() -> None:
    """The first key signs, and the tokens of all are taken."""
    old = store_with(KEY)
    token = await get_token(old)
    both = store_with(OTHER_KEY, KEY, adapter=old.storage_adapter)
    new = store_with(OTHER_KEY, adapter=old.storage_adapter)

    assert ["b"] == (await both.list_aggregate_ids(page_token=token)).aggregate_ids
    token = await get_token(both)
    assert ["b"] == (await new.list_aggregate_ids(page_token=token)).aggregate_ids
    with pytest.raises(InvalidPageTokenError):
        await old.list_aggregate_ids(page_token=token)


async def test_unsigned_token_is_refused() -> None:
    """A token that anybody can make is none of a store with keys, and the other way round."""
    unsigned, signed = new_store(), store_with(KEY)

    with pytest.raises(InvalidPageTokenError):
        await signed.list_aggregate_ids(page_token=await get_token(unsigned))
    with pytest.raises(InvalidPageTokenError):
        await unsigned.list_aggregate_ids(page_token=await get_token(signed))


def test_short_key_is_refused() -> None:
    """A secret has at least 16 bytes."""
    with pytest.raises(ValueError, match="a list of bytes, at least 16 in each"):
        store_with(KEY, KEY[:15])


@pytest.mark.parametrize("keys", [KEY, ["a text of 20 letters"], [None]], ids=repr)
def test_keys_are_a_list_of_bytes(keys: Any) -> None:
    """A single key, and a text, are refused where the store is made."""
    store = new_store()

    with pytest.raises(ValueError, match="page_token_keys is a list of bytes"):
        EventStore("S", event_types=store.event_types, reduce=store.reduce, page_token_keys=keys)
