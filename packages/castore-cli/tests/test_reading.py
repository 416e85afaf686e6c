"""The commands that read event stores."""

from datetime import UTC, datetime, timedelta

import pytest

from castore_cli._logs import find_last_entries, find_position_before
from castore_command import CommandResult, call_castore
from castore_core import EventRecord
from castore_in_memory import InMemoryEventStorageAdapter
from lamp_shop import EVIL

FIRST = {
    "aggregateId": "order-1",
    "version": 1,
    "type": "ORDER_PLACED",
    "timestamp": "2026-01-05T09:00:00.000Z",
    "payload": {"item": "lamp"},
}
SECOND = {
    "aggregateId": "order-1",
    "version": 2,
    "type": "ORDER_SHIPPED",
    "timestamp": "2026-01-06T09:00:00.000Z",
}
ORDER = {"aggregate_id": "order-1", "version": 2, "item": "lamp", "shipped": True}
PLACED = {**ORDER, "version": 1, "shipped": False}


def test_stores(capsys: pytest.CaptureFixture[str]) -> None:
    """Stores are listed with their event types, and are counted where that is asked for."""
    result = call_castore(capsys, "stores", "lamp_shop:make_stores", "--count", "--json")

    shared = {
        "eventTypes": ["ORDER_PLACED", "ORDER_SHIPPED"],
        "storageAdapter": "InMemoryEventStorageAdapter",
        "hasLog": True,
    }
    assert [
        {"eventStoreId": "ORDERS", **shared, "events": 3},
        {"eventStoreId": "RETURNS", **shared, "events": 0},
    ] == result.rows


def test_ids(capsys: pytest.CaptureFixture[str]) -> None:
    """Aggregates are listed by the moments of their first events."""
    result = call_castore(capsys, "ids", "lamp_shop:make_orders", "--json")

    rows = [
        {"aggregateId": "order-1", "initialEventTimestamp": "2026-01-05T09:00:00.000Z"},
        {"aggregateId": EVIL, "initialEventTimestamp": "2026-01-07T09:00:00.000Z"},
    ]
    assert [{"aggregates": rows, "nextPageToken": None}] == result.rows


def test_ids_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    """A page gives the token of the next one; all pages are walked on demand."""
    words = "ids", "lamp_shop:make_orders", "--json", "--limit", "1"
    [page] = call_castore(capsys, *words).rows
    [following] = call_castore(capsys, *words, "--page-token", page["nextPageToken"]).rows
    every = call_castore(capsys, *words, "--all").rows

    assert ["order-1"] == [each["aggregateId"] for each in page["aggregates"]]
    assert [EVIL] == [each["aggregateId"] for each in following["aggregates"]]
    assert [1, 1] == [len(each["aggregates"]) for each in every]


def test_people_are_told_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The token of the next page is a message beside the table."""
    result = call_castore(capsys, "ids", "lamp_shop:make_orders", "--limit", "1")

    assert "order-1" in result.output
    assert "--page-token " in result.errors


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["order-1", EVIL]),
        (["--reverse"], [EVIL, "order-1"]),
        (["--after", "2026-01-05T10:00+01:00"], ["order-1", EVIL]),
        (["--after", "2026-01-05T09:00:00.001"], [EVIL]),
        (["--before", "2026-01-06"], ["order-1"]),
    ],
    ids=str,
)
def test_ids_within_bounds(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: list[str]
) -> None:
    """Bounds are inclusive moments, in UTC where they name no offset."""
    [page] = call_castore(capsys, "ids", "lamp_shop:make_orders", "--json", *options).rows

    assert expected == [each["aggregateId"] for each in page["aggregates"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [FIRST, SECOND]),
        (["--reverse", "--limit", "1"], [SECOND]),
        (["--min-version", "2"], [SECOND]),
        (["--max-version", "1"], [FIRST]),
    ],
    ids=str,
)
def test_events(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: list[object]
) -> None:
    """Events have the format of the wire, in which absent values are absent."""
    result = call_castore(capsys, "events", "lamp_shop:make_orders", "order-1", "--json", *options)

    assert expected == result.rows


def test_no_events(capsys: pytest.CaptureFixture[str]) -> None:
    """An aggregate without events is told of on stderr, and is no failure."""
    result = call_castore(capsys, "events", "lamp_shop:make_orders", "nobody", "--json")

    assert (0, "") == (result.code, result.output)
    assert "no events of aggregate 'nobody'" in result.errors


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ORDER),
        (["--version", "1"], PLACED),
        (["--at", "2026-01-05T23:00"], PLACED),
        (["--at", "2026-01-06T09:00"], ORDER),
    ],
    ids=str,
)
def test_aggregate(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: dict[str, object]
) -> None:
    """The state is shown as it is, as it was at a version, or as it was at a moment."""
    [shown] = call_castore(
        capsys, "aggregate", "lamp_shop:make_orders", "order-1", "--json", *options
    ).rows

    assert expected == shown["aggregate"]
    assert ("ORDERS", "order-1", expected["version"]) == (
        shown["eventStoreId"],
        shown["aggregateId"],
        shown["version"],
    )


def test_numbers_that_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers of a state that are none in JSON are shown as texts."""
    [shown] = call_castore(
        capsys, "aggregate", "lamp_shop:make_priceless_orders", "order-1", "--json"
    ).rows

    assert ["nan", "inf", "-inf", 0.5] == shown["aggregate"]["prices"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nobody"], 1, "has no aggregate 'nobody'"),
        (["nobody", "--at", "2026-01-01"], 1, "has no aggregate 'nobody'"),
        (
            ["order-1", "--at", "2026-01-01"],
            1,
            "has no event until 2026-01-01T00:00:00.000Z: it begins at 2026-01-05T09:00:00.000Z",
        ),
        (["order-1", "--at", "2026-01-05", "--version", "1"], 2, "exclude each other"),
        (["order-1", "--at", "soon"], 2, "--at: 'soon' is no moment of ISO 8601, as are 2026-"),
        (["order-1", "--version", "0"], 2, "--version"),
    ],
    ids=str,
)
def test_no_aggregate(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    """A missing aggregate is a failure; options that make no sense are refused."""
    result = call_castore(capsys, "aggregate", "lamp_shop:make_orders", *words)

    assert (code, "") == (result.code, result.output)
    assert text in result.errors


def test_a_version_that_is_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """The state is the last one, and a message says so."""
    words = "aggregate", "lamp_shop:make_orders", "order-1", "--json", "--version"
    result, present = call_castore(capsys, *words, "9"), call_castore(capsys, *words, "2")

    assert result.rows == present.rows
    assert "aggregate 'order-1' has versions up to 2 only\n" == result.errors
    assert "" == present.errors


def _tail(capsys: pytest.CaptureFixture[str], *options: str) -> CommandResult:
    words = "tail", "lamp_shop:make_stores", "--no-follow", *options
    return call_castore(capsys, *words)


def test_tail(capsys: pytest.CaptureFixture[str]) -> None:
    """The log is read from its start or, by default, from its end."""
    rows = _tail(capsys, "--from-start", "--json").rows

    assert [("order-1", 1), ("order-1", 2), (EVIL, 1)] == [
        (each["aggregateId"], each["version"]) for each in rows
    ]
    assert {"ORDERS"} == {each["eventStoreId"] for each in rows}
    assert sorted(each["position"] for each in rows) == [each["position"] for each in rows]
    assert "" == _tail(capsys).output


def test_tail_of_some(capsys: pytest.CaptureFixture[str]) -> None:
    """Events are chosen by store and by type."""
    shipped = _tail(capsys, "--from-start", "--type", "ORDER_SHIPPED")

    assert "2026-01-06T09:00:00.000Z  ORDERS  order-1  2  ORDER_SHIPPED\n" == shipped.output
    assert "" == shipped.errors
    assert "" == _tail(capsys, "--from-start", "--store", "RETURNS").output


def _name_all(result: CommandResult) -> list[str]:
    return [f"{each['aggregateId']}/{each['version']}" for each in result.rows]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-n", "1", "--store", "ORDERS"], [f"{EVIL}/1"]),
        (["--last", "3"], [f"{EVIL}/1", "return-2/1", "return-3/1"]),
        (["-n", "9", "--store", "RETURNS"], ["return-1/1", "return-2/1", "return-3/1"]),
        (["-n", "1", "--type", "ORDER_SHIPPED"], ["order-1/2"]),
        (["--since", "2026-01-07", "--store", "ORDERS"], [f"{EVIL}/1"]),
        (["--since", "2026-01-04T09:00", "--store", "RETURNS"], ["return-1/1", "return-2/1"]),
        (["--since", "2026-01-08", "--store", "RETURNS", "--from-start"], ["return-2/1"]),
        (["--since", "2026-02-01"], []),
    ],
    ids=str,
)
def test_tail_of_the_last_events(
    capsys: pytest.CaptureFixture[str], words: list[str], shown: list[str]
) -> None:
    """It begins with the last events, or with those since a moment, which is inclusive."""
    words = ["tail", "lamp_shop:make_two_logs", "--no-follow", "--json", *words]
    assert shown == _name_all(call_castore(capsys, *words))


def test_tail_of_a_log_that_is_read_forwards(capsys: pytest.CaptureFixture[str]) -> None:
    """Events since a moment are found from the start, and the last ones not at all."""
    words = "tail", "lamp_shop:make_forward_orders", "--no-follow", "--json"
    since = call_castore(capsys, *words, "--since", "2026-01-06")
    last = call_castore(capsys, *words, "-n", "1")

    assert ["order-1/2", f"{EVIL}/1"] == _name_all(since)
    assert (2, "") == (last.code, last.output)
    assert (
        "error: --last needs a log that can be read from its end, which ForwardLog cannot\n"
    ) == last.errors


@pytest.mark.parametrize("option", [["--from-start"], ["--since", "2026-01-01"]], ids=str)
def test_tail_begins_at_one_place(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    """Options that name two places are refused."""
    result = _tail(capsys, "-n", "1", *option)

    assert (2, "") == (result.code, result.output)
    assert "--last excludes --from-start and --since" in result.errors


async def test_the_position_before_a_moment() -> None:
    """It looks back past many earlier events, and not past 10,000 of them."""
    adapter = InMemoryEventStorageAdapter()
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    async def push(name: str, count: int, timestamp: datetime) -> None:
        for number in range(count):
            record = EventRecord(f"{name}-{number}", 1, "PLACED", timestamp)
            await adapter.push_event("ORDERS", record)

    async def count_found() -> int:
        end = await adapter.get_last_position()
        position = await find_position_before(moment, adapter, ["ORDERS"], end)
        return await adapter.count_events(["ORDERS"], position)

    await push("older", 20, moment - timedelta(days=2))
    await push("first", 1, moment)
    await push("copied", 9_999, moment - timedelta(days=1))
    assert 10_000 == await count_found()
    await push("second", 1, moment)
    assert 10_001 == await count_found()
    await push("one more", 10_000, moment - timedelta(days=1))
    assert 0 == await count_found()


async def test_events_that_are_held_back_come_later() -> None:
    """The last events end where the log goes on, so that none is shown twice."""
    adapter = InMemoryEventStorageAdapter()
    for name in ("a", "b", "c"):
        record = EventRecord(name, 1, "PLACED", datetime(2026, 1, 1, tzinfo=UTC))
        await adapter.push_event("ORDERS", record)
    end = await adapter.find_position("ORDERS", "b", 1)
    assert end is not None

    found = await find_last_entries(5, adapter, ["ORDERS"], end, lambda _: True)
    assert ["a", "b"] == [each.record.aggregate_id for each in found]


def test_tail_of_an_undeclared_type(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt type is told of, and not refused: old events may have it."""
    result = _tail(capsys, "--from-start", "--type", "ORDER_SHIPED")

    assert (0, "") == (result.code, result.output)
    assert "no event store declares the type 'ORDER_SHIPED'" in result.errors


def test_one_of_several_stores(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several stores, --store says which; without it, the choice is named."""
    words = "events", "lamp_shop:make_stores", "order-1"
    chosen = call_castore(capsys, *words, "--store", "ORDERS", "--json")
    unclear = call_castore(capsys, *words)
    unknown = call_castore(capsys, *words, "--store", "OTHERS")

    assert [FIRST, SECOND] == chosen.rows
    assert (2, 2) == (unclear.code, unknown.code)
    assert "choose one with --store, of 'ORDERS', 'RETURNS'" in unclear.errors
    assert "has no event store 'OTHERS', but 'ORDERS', 'RETURNS'" in unknown.errors
