"""What is asked of DynamoDB, how often, and what is not sent at all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from castore_aws import RetryPolicy, get_error_code
from castore_core import (
    ABSENT,
    Absent,
    AssertedVersion,
    CastoreError,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventError,
    InvalidEventGroupError,
    JSONValue,
    StorageError,
    UnknownOutcomeError,
)
from castore_dynamodb import DynamoDBEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)


class FakeClient:
    """A client of aioboto3 that plays a script: responses, and errors to raise.

    Its table has the right layout: the query that finds out is not part of the script.
    """

    def __init__(self, *script: object) -> None:
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))
        self.script = list(script)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        self.calls.append((operation, parameters))
        outcome: Any = self.script.pop(0) if self.script else {"Items": []}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def query(self, **parameters: Any) -> Any:
        """Play a Query."""
        if parameters.get("Select") == "COUNT":
            return {"Count": 0}
        return await self._make_api_call("Query", parameters)

    async def put_item(self, **parameters: Any) -> Any:
        """Play a PutItem."""
        return await self._make_api_call("PutItem", parameters)

    async def update_item(self, **parameters: Any) -> Any:
        """Play an UpdateItem."""
        return await self._make_api_call("UpdateItem", parameters)

    async def transact_write_items(self, **parameters: Any) -> Any:
        """Play a TransactWriteItems."""
        return await self._make_api_call("TransactWriteItems", parameters)


def make_error(code: str, **response: Any) -> ClientError:
    """Return an error as AWS answers it."""
    answer: Any = {"Error": {"Code": code, "Message": "..."}, **response}
    return ClientError(answer, "PutItem")


def make_cancellation(*codes: str) -> ClientError:
    """Return the error of a cancelled transaction."""
    reasons = [{"Code": each} for each in codes]
    return make_error("TransactionCanceledException", CancellationReasons=reasons)


def make_item(version: int, aggregate_id: str = "a1") -> dict[str, Any]:
    """Return a stored event."""
    return {
        "aggregateId": {"S": f"NOTES#{aggregate_id}"},
        "version": {"N": str(version)},
        "type": {"S": "NOTED"},
        "timestamp": {"S": "2024-01-01T00:00:00.000Z"},
    }


def make_record(
    version: int = 1, payload: JSONValue | Absent = ABSENT, *, aggregate_id: str = "a1"
) -> EventRecord:
    """Return an event to push."""
    return EventRecord(aggregate_id, version, "NOTED", MOMENT, payload)


def nest(depth: int) -> JSONValue:
    """Return lists and objects in each other."""
    value: JSONValue = "deep"
    for each in range(depth):
        value = [value] if each % 2 else {"a": value}
    return value


def make_adapter(client: Any) -> DynamoDBEventStorageAdapter:
    """Return an adapter that does not wait between attempts."""
    return DynamoDBEventStorageAdapter(client, "events", retries=AT_ONCE)


def make_group(adapter: DynamoDBEventStorageAdapter, count: int) -> list[GroupedRecord]:
    """Return a group of successive events."""
    return [GroupedRecord("NOTES", make_record(each), adapter) for each in range(1, count + 1)]


# Reads


async def test_the_last_event_costs_one_item_and_one_request() -> None:
    """DynamoDB says that more would follow, and nobody asks for it."""
    client = FakeClient({"Items": [make_item(9)], "LastEvaluatedKey": {"version": {"N": "9"}}})

    (record,) = await make_adapter(client).get_events("NOTES", "a1", reverse=True, limit=1)

    ((_, request),) = client.calls
    assert 9 == record.version
    assert (1, False, True) == (
        request["Limit"],
        request["ScanIndexForward"],
        request["ConsistentRead"],
    )


async def test_pages_are_read_to_the_limit() -> None:
    """A page that ends early, or is empty, is not the end; the last one is no larger than need."""
    client = FakeClient(
        {"Items": [make_item(1), make_item(2)], "LastEvaluatedKey": {"version": {"N": "2"}}},
        {"Items": [], "LastEvaluatedKey": {"version": {"N": "2"}}},
        {"Items": [make_item(3)], "LastEvaluatedKey": {"version": {"N": "3"}}},
    )

    records = await make_adapter(client).get_events("NOTES", "a1", limit=3)

    assert [1, 2, 3] == [each.version for each in records]
    assert [3, 1, 1] == [each["Limit"] for _, each in client.calls]
    assert [None, {"version": {"N": "2"}}, {"version": {"N": "2"}}] == [
        each.get("ExclusiveStartKey") for _, each in client.calls
    ]


async def test_no_limit_is_greater_than_dynamodb_takes() -> None:
    """Its integers have 32 bits, and a page never has as many items."""
    client = FakeClient()
    adapter = make_adapter(client)

    await adapter.get_events("NOTES", "a1", limit=2**53 - 1)
    await adapter.list_aggregate_ids("NOTES", limit=2**53 - 1)

    assert [2**31 - 1, 2**31 - 1] == [each["Limit"] for _, each in client.calls]


async def test_an_empty_last_page_ends_a_read() -> None:
    """DynamoDB may say that more follows where nothing does."""
    client = FakeClient(
        {"Items": [make_item(1)], "LastEvaluatedKey": {"version": {"N": "1"}}}, {"Items": []}
    )

    records = await make_adapter(client).get_events("NOTES", "a1")

    assert [1] == [each.version for each in records]
    assert 2 == len(client.calls)


async def test_bounds_that_exclude_each_other_are_not_sent() -> None:
    """DynamoDB would call them an error."""
    client = FakeClient()
    adapter = make_adapter(client)

    assert [] == await adapter.get_events("NOTES", "a1", min_version=3, max_version=2)
    found = await adapter.list_aggregate_ids(
        "NOTES", initial_event_after=MOMENT, initial_event_before=MOMENT - timedelta(days=1)
    )
    assert [] == found.aggregates
    assert [] == client.calls


@pytest.mark.parametrize(
    ("cursor_day", "reverse", "expected"),
    [
        (5, False, (5, 9, True)),
        (5, True, (2, 5, True)),
        (1, False, (2, 9, False)),
        (10, True, (2, 9, False)),
        (10, False, None),
        (1, True, None),
    ],
)
async def test_a_cursor_meets_other_bounds(
    cursor_day: int, reverse: bool, expected: tuple[int, int, bool] | None
) -> None:
    """DynamoDB takes no start outside of the bounds: it is their beginning, or their end."""
    client = FakeClient()
    day = "2024-01-{:02}T00:00:00.000Z".format
    found = await make_adapter(client).list_aggregate_ids(
        "NOTES",
        initial_event_after=MOMENT + timedelta(days=1),
        initial_event_before=MOMENT + timedelta(days=8),
        reverse=reverse,
        cursor=[day(cursor_day), "a1"],
    )

    assert ([], None) == (found.aggregates, found.cursor)
    asked = [
        (
            each["ExpressionAttributeValues"][":lower"]["S"],
            each["ExpressionAttributeValues"][":upper"]["S"],
            "ExclusiveStartKey" in each,
        )
        for _, each in client.calls
    ]
    assert asked == (
        [] if expected is None else [(day(expected[0]), day(expected[1]), expected[2])]
    )


async def test_a_timestamp_of_another_writer_is_a_cursor() -> None:
    """Without milliseconds, it goes into the cursor as it is stored, or an id would repeat."""
    items = [make_item(1, each) | {"timestamp": {"S": "2024-01-01T00:00:00Z"}} for each in "ab"]
    client = FakeClient({"Items": items})
    adapter = make_adapter(client)

    found = await adapter.list_aggregate_ids("NOTES", limit=1)
    await adapter.list_aggregate_ids("NOTES", cursor=found.cursor)

    assert {
        "aggregateId": {"S": "NOTES#a"},
        "version": {"N": "1"},
        "eventStoreId": {"S": "NOTES"},
        "timestamp": {"S": "2024-01-01T00:00:00Z"},
    } == client.calls[1][1]["ExclusiveStartKey"]


# What is not sent


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (make_record(1, {"n": 10**38 + 1}), "payload of NOTED .* 39 digits"),
        (make_record(1, nest(33)), "payload of NOTED .* 32 deep"),
        (make_record(1, nest(400)), "payload of NOTED .* 32 deep"),
        (make_record(1, "x" * 400 * 1024), r"size of NOTED is 4\d{5} bytes, .* at most 409600"),
        (make_record(1, "\u00e9" * 200 * 1024), r"size of NOTED is 4\d{5} bytes"),
        (make_record(aggregate_id="\u00e9" * 1024), "aggregate_id of NOTED is 2054 bytes"),
    ],
    ids=["number", "depth", "depth beyond the stack", "size", "size in UTF-8", "key"],
)
async def test_what_dynamodb_does_not_hold_is_not_sent(record: EventRecord, reason: str) -> None:
    """The error has the size, or the number."""
    client = FakeClient()
    adapter = make_adapter(client)

    with pytest.raises(InvalidEventError, match=reason):
        await adapter.push_event("NOTES", record)
    with pytest.raises(InvalidEventError, match=reason):
        await adapter.push_event_group(
            [GroupedRecord("NOTES", each, adapter) for each in (make_record(2), record)]
        )

    assert [] == client.calls


async def test_the_largest_event_is_sent() -> None:
    """400 KB are 409,600 bytes, less what the other attributes take."""
    client = FakeClient()
    frame = len("aggregateIdNOTES#a1version" + "typeNOTEDtimestamp" + "payload") + 2 + 24
    frame += len("eventStoreIdNOTES" + "writeToken") + 36
    adapter = make_adapter(client)

    await adapter.push_event("NOTES", make_record(1, "x" * (409_600 - frame)))
    with pytest.raises(InvalidEventError, match="is 409601 bytes"):
        await adapter.push_event("NOTES", make_record(1, "x" * (409_601 - frame)))

    assert 1 == len(client.calls)


async def test_the_deepest_event_is_sent() -> None:
    """What is 32 deep is for DynamoDB to judge."""
    client = FakeClient()

    await make_adapter(client).push_event("NOTES", make_record(1, nest(32)))

    assert 1 == len(client.calls)


async def test_too_large_a_group_is_not_sent() -> None:
    """The error has its length, or its size."""
    client = FakeClient()
    adapter = make_adapter(client)
    large = make_group(adapter, 11)
    large = [each._replace(record=each.record._replace(payload="x" * 400_000)) for each in large]

    with pytest.raises(InvalidEventGroupError, match=r"has 101 events .* at most 100"):
        await adapter.push_event_group(make_group(adapter, 101))
    with pytest.raises(InvalidEventGroupError, match=r"is 440\d{4} bytes, .* at most 4194304"):
        await adapter.push_event_group(large)

    assert [] == client.calls


async def test_a_group_over_two_clients_is_not_sent() -> None:
    """Two clients may be of two accounts."""
    adapters = [make_adapter(FakeClient()) for _ in range(2)]
    group = [GroupedRecord("NOTES", make_record(), each) for each in adapters]

    with pytest.raises(InvalidEventGroupError, match="different clients"):
        await adapters[0].push_event_group(group)


async def test_one_event_twice_through_two_adapters_is_not_sent() -> None:
    """Two adapters of one table cannot both write a version in one group."""
    client = FakeClient()
    adapters = [make_adapter(client) for _ in range(2)]
    group = [GroupedRecord("NOTES", make_record(), each) for each in adapters]

    with pytest.raises(InvalidEventGroupError, match="two events of version 1 of 'a1'"):
        await adapters[0].push_event_group(group)

    assert [] == client.calls


async def test_a_store_with_the_separator_in_its_id_is_refused() -> None:
    """Whatever is asked about it: A#B#1 could be of another store."""
    client = FakeClient()
    adapter = make_adapter(client)
    attempts: Sequence[Callable[[], Awaitable[object]]] = [
        lambda: adapter.push_event("A#B", make_record()),
        lambda: adapter.get_events("A#B", "1"),
        lambda: adapter.list_aggregate_ids("A#B"),
    ]

    for attempt in attempts:
        with pytest.raises(CastoreError, match="'A#B'"):
            await attempt()

    assert [] == client.calls


# Errors


async def test_a_group_says_which_event_clashed() -> None:
    """DynamoDB gives a reason for each event."""
    client = FakeClient(make_cancellation("None", "ConditionalCheckFailed", "TransactionConflict"))
    adapter = make_adapter(client)

    with pytest.raises(EventAlreadyExistsError) as caught:
        await adapter.push_event_group(make_group(adapter, 3))

    assert ("NOTES", "a1", 2) == (
        caught.value.event_store_id,
        caught.value.aggregate_id,
        caught.value.version,
    )
    assert isinstance(caught.value.__cause__, ClientError)
    assert 1 == len(client.calls)


@pytest.mark.parametrize(
    "error",
    [
        make_cancellation("None", "TransactionConflict"),
        make_cancellation("ThrottlingError", "None"),
        make_error("TransactionInProgressException"),
        make_error("ProvisionedThroughputExceededException"),
        make_error("InternalServerError"),
    ],
)
async def test_what_goes_away_is_tried_again(error: ClientError) -> None:
    """With the same token, so that DynamoDB knows the transaction again."""
    client = FakeClient(error, error, {})
    adapter = make_adapter(client)

    await adapter.push_event_group(make_group(adapter, 2))

    tokens = {each["ClientRequestToken"] for _, each in client.calls}
    assert (3, 1) == (len(client.calls), len(tokens))


@pytest.mark.parametrize(
    "code",
    ["TransactionConflictException", "ReplicatedWriteConflictException", "ThrottlingException"],
)
async def test_a_single_push_is_tried_again_too(code: str) -> None:
    """A transaction of somebody else, or a write in another region, is over in a moment."""
    client = FakeClient(make_error(code), {})

    await make_adapter(client).push_event("NOTES", make_record())

    assert 2 == len(client.calls)


async def test_what_does_not_go_away_is_raised_as_it_is() -> None:
    """Transactions that go on meeting others, and throttling that goes on, are no conflicts."""
    for error in (make_cancellation("TransactionConflict"), make_error("ThrottlingException")):
        client = FakeClient(*[error] * 9)
        adapter = make_adapter(client)
        with pytest.raises(StorageError, match=get_error_code(error)) as caught:
            await adapter.push_event_group(make_group(adapter, 2))
        assert error is caught.value.__cause__
        assert 3 == len(client.calls)


@pytest.mark.parametrize(
    "error", [make_error("ValidationException"), make_cancellation("ValidationError", "None")]
)
async def test_other_errors_are_storage_errors(error: ClientError) -> None:
    """They are raised at once, from the error of AWS."""
    client = FakeClient(error)
    adapter = make_adapter(client)

    with pytest.raises(StorageError) as caught:
        await adapter.push_event_group(make_group(adapter, 2))

    assert error is caught.value.__cause__
    assert 1 == len(client.calls)


LOSSES = {
    "no answer": ReadTimeoutError(endpoint_url="https://dynamodb"),
    "no connection": EndpointConnectionError(endpoint_url="https://dynamodb"),
    "a failure of DynamoDB": make_error(
        "InternalServerError", ResponseMetadata={"HTTPStatusCode": 500}
    ),
    "a client that has tried before": make_error(
        "ThrottlingException", ResponseMetadata={"HTTPStatusCode": 400, "RetryAttempts": 2}
    ),
}


@pytest.mark.parametrize("error", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("version", [1, 2])
async def test_an_outcome_that_no_answer_told(error: Exception, version: int) -> None:
    """The error names the first event, and the error of AWS is its cause."""
    client = FakeClient(*[error] * 3)
    adapter = make_adapter(client)

    with pytest.raises(UnknownOutcomeError) as caught:
        await adapter.push_event_group(make_group(adapter, 3)[version - 1 :])

    assert ("NOTES", "a1", version) == (
        caught.value.event_store_id,
        caught.value.aggregate_id,
        caught.value.version,
    )
    assert caught.value.reason.startswith("transact_write_items: ")
    assert error is caught.value.__cause__


async def test_an_answer_that_was_lost_before_a_clear_one() -> None:
    """The last attempt was throttled, but the first one may have written the event."""
    lost, throttled = LOSSES["no answer"], make_error("ThrottlingException")
    client = FakeClient(lost, throttled, throttled)

    with pytest.raises(UnknownOutcomeError, match="put_item: ThrottlingException") as caught:
        await make_adapter(client).push_event("NOTES", make_record())

    assert throttled is caught.value.__cause__


async def test_a_clear_failure_is_no_unknown_outcome() -> None:
    """DynamoDB has answered each attempt: nothing was written."""
    client = FakeClient(*[make_error("ThrottlingException")] * 3)

    with pytest.raises(StorageError) as caught:
        await make_adapter(client).push_event("NOTES", make_record())

    assert StorageError is type(caught.value)


async def test_the_lost_answer_to_a_check() -> None:
    """A group of assertions writes nothing, whatever becomes of it."""
    adapter = make_adapter(FakeClient(*[LOSSES["no answer"]] * 3))

    with pytest.raises(StorageError) as caught:
        await adapter.push_event_group([], asserted=[AssertedVersion("NOTES", "a1", 1, adapter)])

    assert StorageError is type(caught.value)


async def test_the_lost_answer_to_a_read() -> None:
    """A read has no outcome that matters."""
    adapter = make_adapter(FakeClient(*[LOSSES["no answer"]] * 3))

    with pytest.raises(StorageError) as caught:
        await adapter.get_events("NOTES", "a1")

    assert StorageError is type(caught.value)


async def test_force_is_unconditional() -> None:
    """It replaces whatever is there, and needs no token."""
    client = FakeClient({}, {})
    adapter = make_adapter(client)

    await adapter.push_event("NOTES", make_record(2), force=True)

    assert [("PutItem", {"TableName": "events", "Item": make_item(2)})] == client.calls
