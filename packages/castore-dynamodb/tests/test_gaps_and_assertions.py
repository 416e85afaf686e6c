"""What a push takes for granted is checked in its transaction: versions before, and of others."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from castore_aws import RetryPolicy
from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    VersionAssertionError,
    VersionGapError,
)
from castore_dynamodb import DynamoDBEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
REFUSED = "ConditionalCheckFailed"


class FakeClient:
    """A client of aioboto3 that takes writes, and refuses the first one if it is told to."""

    def __init__(self, refuse: Callable[[dict[str, Any]], ClientError] | None = None) -> None:
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))
        self.refuse = refuse
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        self.calls.append((operation, parameters))
        if self.refuse is not None:
            raise self.refuse(parameters)
        return {}

    async def query(self, **_: Any) -> Any:
        """Find that the table has the right layout."""
        return {"Count": 0}

    async def put_item(self, **parameters: Any) -> Any:
        """Take a PutItem."""
        return await self._make_api_call("PutItem", parameters)

    async def transact_write_items(self, **parameters: Any) -> Any:
        """Take a TransactWriteItems."""
        return await self._make_api_call("TransactWriteItems", parameters)


def refuse(*codes: str) -> Callable[[dict[str, Any]], ClientError]:
    """Return what refuses the operations of a transaction for these reasons."""
    return lambda _: make_cancellation(*({"Code": each} for each in codes))


def make_cancellation(*reasons: dict[str, Any]) -> ClientError:
    """Return the error of a cancelled transaction."""
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "..."},
        "CancellationReasons": list(reasons),
    }
    return ClientError(answer, "TransactWriteItems")


def make_adapter(
    client: Any, table_name: str = "events", *, allow_gaps: bool = False
) -> DynamoDBEventStorageAdapter:
    """Return an adapter that tries once."""
    once = RetryPolicy(max_attempts=1)
    return DynamoDBEventStorageAdapter(client, table_name, allow_gaps=allow_gaps, retries=once)


def make_record(version: int, aggregate_id: str = "a1") -> EventRecord:
    """Return an event to push."""
    return EventRecord(aggregate_id, version, "NOTED", MOMENT)


def group(
    adapter: DynamoDBEventStorageAdapter, *versions: int, aggregate_id: str = "a1"
) -> list[GroupedRecord]:
    """Return a group of events of one aggregate."""
    return [GroupedRecord("NOTES", make_record(each, aggregate_id), adapter) for each in versions]


def asserted(
    adapter: DynamoDBEventStorageAdapter, version: int, aggregate_id: str = "b1"
) -> AssertedVersion:
    """Return an assertion about an aggregate."""
    return AssertedVersion("NOTES", aggregate_id, version, adapter)


def make_check(aggregate_id: str, version: int, condition: str) -> dict[str, Any]:
    """Return an operation of a transaction."""
    return {
        "ConditionCheck": {
            "TableName": "events",
            "Key": {"aggregateId": {"S": f"NOTES#{aggregate_id}"}, "version": {"N": str(version)}},
            "ConditionExpression": f"{condition}(#version)",
            "ExpressionAttributeNames": {"#version": "version"},
        }
    }


def get_operations(client: FakeClient) -> list[dict[str, Any]]:
    """Return the operations of the one transaction that was sent."""
    [(operation, parameters)] = client.calls
    assert "TransactWriteItems" == operation
    operations: list[dict[str, Any]] = parameters["TransactItems"]
    return operations


def get_checks(client: FakeClient) -> list[dict[str, Any]]:
    """Return the checks of the one transaction that was sent."""
    return [each for each in get_operations(client) if "ConditionCheck" in each]


# Requests


async def test_a_push_checks_the_version_before() -> None:
    """In one transaction with the write, whose token both have."""
    client = FakeClient()

    await make_adapter(client).push_event("NOTES", make_record(3))

    put, check = get_operations(client)
    assert make_check("a1", 2, "attribute_exists") == check
    assert "attribute_not_exists(#version)" == put["Put"]["ConditionExpression"]
    token = client.calls[0][1]["ClientRequestToken"]
    assert {"S": token} == put["Put"]["Item"]["writeToken"]


async def test_what_needs_no_check_is_a_put_item() -> None:
    """A first version has none before, with force gaps are allowed, and they are by default."""
    client = FakeClient()
    strict, default = make_adapter(client), DynamoDBEventStorageAdapter(client, "events")

    await strict.push_event("NOTES", make_record(1))
    await strict.push_event("NOTES", make_record(3), force=True)
    await strict.push_event_group(group(strict, 1))
    await default.push_event("NOTES", make_record(3))

    assert ["PutItem"] * 4 == [operation for operation, _ in client.calls]


async def test_a_group_checks_what_it_does_not_write() -> None:
    """Of successive versions that is the one before the first, and after a gap another one."""
    client = FakeClient()
    adapter = make_adapter(client)

    await adapter.push_event_group(
        group(adapter, 3, 4, 6) + group(adapter, 1, 2, aggregate_id="a2")
    )

    expected = [make_check("a1", each, "attribute_exists") for each in (2, 5)]
    assert expected == get_checks(client)


async def test_a_later_event_of_the_group_is_no_predecessor() -> None:
    """It is refused before the call: DynamoDB does not check an item that it writes."""
    client = FakeClient()
    adapter = make_adapter(client)

    with pytest.raises(VersionGapError) as caught:
        await adapter.push_event_group(group(adapter, 3, 2))

    assert ("a1", 3) == (caught.value.aggregate_id, caught.value.version)
    assert [] == client.calls
    await adapter.push_event_group(group(adapter, 3, 2), force=True)
    assert 1 == len(client.calls)


async def test_each_adapter_of_a_group_has_its_own_rule() -> None:
    """Only the events of an adapter that refuses gaps are checked."""
    client = FakeClient()
    strict, lax = make_adapter(client), make_adapter(client, allow_gaps=True)

    await lax.push_event_group(group(lax, 2) + group(strict, 2, aggregate_id="a2"))

    assert [make_check("a2", 1, "attribute_exists")] == get_checks(client)


async def test_a_version_before_through_another_adapter() -> None:
    """The table has it in the same transaction, so it is not checked."""
    client = FakeClient()
    adapters = make_adapter(client), make_adapter(client)

    await adapters[0].push_event_group(group(adapters[0], 1) + group(adapters[1], 2))

    assert [] == get_checks(client)


async def test_force_checks_assertions_only() -> None:
    """Events are replaced, where the assertions hold."""
    client = FakeClient()
    adapter = make_adapter(client)

    await adapter.push_event_group(group(adapter, 3), asserted=[asserted(adapter, 0)], force=True)

    put, check = get_operations(client)
    assert {"TableName", "Item"} == set(put["Put"])
    assert make_check("b1", 1, "attribute_not_exists") == check


async def test_an_asserted_version_is_the_last() -> None:
    """It is stored, and the next one is not; before the first version there is none."""
    client = FakeClient()
    adapter = make_adapter(client, allow_gaps=True)
    assertions = [asserted(adapter, 3), asserted(adapter, 0, "b2")]

    await adapter.push_event_group(group(adapter, 5), asserted=assertions)

    assert [
        make_check("b1", 3, "attribute_exists"),
        make_check("b1", 4, "attribute_not_exists"),
        make_check("b2", 1, "attribute_not_exists"),
    ] == get_checks(client)


async def test_assertions_alone_are_a_transaction() -> None:
    """They hold all at one moment, or the error says which does not."""
    client = FakeClient()
    adapter = make_adapter(client)

    await adapter.push_event_group([], asserted=[asserted(adapter, 0)])

    assert [make_check("b1", 1, "attribute_not_exists")] == get_operations(client)


async def test_one_assertion_through_two_adapters_is_sent_once() -> None:
    """Two adapters of one table mean one aggregate, and DynamoDB takes one check of an item."""
    client = FakeClient()
    adapters = make_adapter(client), make_adapter(client)

    await adapters[0].push_event_group([], asserted=[asserted(each, 0) for each in adapters])

    assert [make_check("b1", 1, "attribute_not_exists")] == get_operations(client)


async def test_two_versions_through_two_adapters_are_not_sent() -> None:
    """An aggregate is at one version."""
    client = FakeClient()
    adapters = make_adapter(client), make_adapter(client)
    assertions = [asserted(each, version) for version, each in enumerate(adapters)]

    with pytest.raises(InvalidEventGroupError, match="asserts two versions of 'b1'"):
        await adapters[0].push_event_group([], asserted=assertions)

    assert [] == client.calls


async def test_what_is_written_through_another_adapter_is_not_asserted() -> None:
    """A transaction of DynamoDB does not look at what it writes."""
    client = FakeClient()
    adapters = make_adapter(client), make_adapter(client)
    assertion = asserted(adapters[1], 0, "a1")

    with pytest.raises(InvalidEventGroupError, match="version of 'a1', and writes it"):
        await adapters[0].push_event_group(group(adapters[0], 1), asserted=[assertion])

    assert [] == client.calls


async def test_an_aggregate_of_another_table_is_another_one() -> None:
    """It is asserted beside a write of the same ids."""
    client = FakeClient()
    here, there = make_adapter(client), make_adapter(client, "elsewhere")

    await here.push_event_group(group(here, 1), asserted=[asserted(there, 0, "a1")])

    assert ["elsewhere"] == [each["ConditionCheck"]["TableName"] for each in get_checks(client)]


async def test_an_assertion_of_another_client_is_not_sent() -> None:
    """Two clients may be of two accounts."""
    adapters = [make_adapter(FakeClient()) for _ in range(2)]

    with pytest.raises(InvalidEventGroupError, match="different clients"):
        await adapters[0].push_event_group(
            group(adapters[0], 1), asserted=[asserted(adapters[1], 0)]
        )


async def test_checks_count_as_operations() -> None:
    """A transaction has 100 of both kinds, and one more is not sent."""
    client = FakeClient()
    adapter = make_adapter(client)
    events = group(adapter, *range(1, 99))
    most = [asserted(adapter, 1)]

    await adapter.push_event_group(events, asserted=most)
    with pytest.raises(InvalidEventGroupError, match=r"98 events and 3 checks .* at most 100"):
        await adapter.push_event_group(events, asserted=[*most, asserted(adapter, 0, "b2")])
    with pytest.raises(InvalidEventGroupError, match=r"100 events and 1 checks .* at most 100"):
        await adapter.push_event_group(group(adapter, *range(2, 102)))

    assert 100 == len(get_operations(client))


# Refusals


@pytest.mark.parametrize(
    ("codes", "error", "subject"),
    [
        ((REFUSED, "None", "None", "None"), EventAlreadyExistsError, ("a1", 3)),
        ((REFUSED, "None", "None", REFUSED), EventAlreadyExistsError, ("a1", 3)),
        (("None", REFUSED, "None", "None"), VersionAssertionError, ("b1", 7)),
        (("None", "None", REFUSED, REFUSED), VersionAssertionError, ("b1", 7)),
        (("None", "None", "None", REFUSED), VersionGapError, ("a1", 3)),
    ],
)
async def test_a_refusal_says_what_was_wrong(
    codes: tuple[str, ...], error: type[Exception], subject: tuple[str, int]
) -> None:
    """A gap is the last to blame: a version that is taken, or has moved, is a conflict."""
    client = FakeClient(refuse(*codes))
    adapter = make_adapter(client)

    with pytest.raises(Exception, match="NOTES") as caught:
        await adapter.push_event_group(group(adapter, 3), asserted=[asserted(adapter, 7)])

    value: Any = caught.value
    assert error is type(value)
    assert ("NOTES", *subject) == (value.event_store_id, value.aggregate_id, value.version)
    assert isinstance(value.__cause__, ClientError)


async def test_an_own_event_is_a_success_whatever_else_is_refused() -> None:
    """What was asserted, and the version before, may have changed since it was written."""

    def refuse_second_attempt(parameters: dict[str, Any]) -> ClientError:
        put, *checks = parameters["TransactItems"]
        own = {"Code": REFUSED, "Item": put["Put"]["Item"]}
        return make_cancellation(own, *({"Code": REFUSED} for _ in checks))

    client = FakeClient(refuse_second_attempt)
    adapter = make_adapter(client)

    await adapter.push_event("NOTES", make_record(3))
    await adapter.push_event_group(group(adapter, 3), asserted=[asserted(adapter, 7)])

    assert 2 == len(client.calls)


# On servers


class Setting(NamedTuple):
    """Adapters of one table that refuse gaps, and allow them."""

    strict: DynamoDBEventStorageAdapter
    lax: DynamoDBEventStorageAdapter

    async def get_versions(self, aggregate_id: str = "a1") -> list[int]:
        """Return the versions that an aggregate has."""
        return [each.version for each in await self.strict.get_events("NOTES", aggregate_id)]


@pytest.fixture(params=["ministack", "moto"])
async def setting(
    request: pytest.FixtureRequest,
    find_server: Callable[[str], str],
    make_client: Callable[..., Awaitable[Any]],
    make_table: Callable[..., Awaitable[str]],
) -> Setting:
    """Give adapters of an empty table."""
    client = await make_client("boto3", find_server(request.param))
    name = await make_table(client)
    return Setting(make_adapter(client, name), make_adapter(client, name, allow_gaps=True))


async def test_a_gap_is_refused(setting: Setting) -> None:
    """Nothing is written, and the error names the version that cannot follow."""
    with pytest.raises(VersionGapError) as caught:
        await setting.strict.push_event("NOTES", make_record(2))

    assert ("NOTES", "a1", 2) == caught.value.args
    assert [] == await setting.get_versions()


async def test_versions_without_a_gap_are_stored(setting: Setting) -> None:
    """One by one, and in groups, also where a group begins with a version above 1."""
    await setting.strict.push_event("NOTES", make_record(1))
    await setting.strict.push_event("NOTES", make_record(2))
    await setting.strict.push_event_group(group(setting.strict, 3, 4))

    assert [1, 2, 3, 4] == await setting.get_versions()


async def test_a_taken_version_is_a_conflict_also_after_a_gap(setting: Setting) -> None:
    """Of both errors, the one for which commands run again."""
    await setting.lax.push_event("NOTES", make_record(3))

    with pytest.raises(EventAlreadyExistsError):
        await setting.strict.push_event("NOTES", make_record(3))


async def test_a_gap_in_a_group_is_refused(setting: Setting) -> None:
    """Also between two of its events; and nothing of it is written."""
    versions = group(setting.strict, 1, 3)

    with pytest.raises(VersionGapError) as caught:
        await setting.strict.push_event_group(
            [*group(setting.strict, 1, aggregate_id="a2"), *versions]
        )

    assert 3 == caught.value.version
    assert [] == await setting.get_versions()
    assert [] == await setting.get_versions("a2")


async def test_force_and_the_default_allow_gaps(setting: Setting) -> None:
    """An adapter refuses gaps where it was told to, and force overrides that."""
    await setting.strict.push_event("NOTES", make_record(5), force=True)
    await setting.lax.push_event("NOTES", make_record(3))

    assert [3, 5] == await setting.get_versions()


async def test_asserted_versions_hold(setting: Setting) -> None:
    """The events are written where others are at their versions, 0 being that of none."""
    strict = setting.strict
    await strict.push_event_group(group(strict, 1, 2, aggregate_id="b1"))

    await strict.push_event_group(
        group(strict, 1), asserted=[asserted(strict, 2), asserted(strict, 0, "b2")]
    )

    assert [1] == await setting.get_versions()


@pytest.mark.parametrize("version", [0, 1, 3])
@pytest.mark.parametrize("force", [False, True])
async def test_an_asserted_version_that_does_not_hold(
    setting: Setting, version: int, force: bool
) -> None:
    """Whether the aggregate is behind or ahead, nothing is written, also with force."""
    strict = setting.strict
    await strict.push_event_group(group(strict, 1, 2, aggregate_id="b1"))

    with pytest.raises(VersionAssertionError) as caught:
        await strict.push_event_group(
            group(strict, 1), asserted=[asserted(strict, version)], force=force
        )

    assert ("NOTES", "b1", version) == caught.value.args
    assert [] == await setting.get_versions()


async def test_assertions_without_events(setting: Setting) -> None:
    """They say whether all of them hold."""
    strict = setting.strict
    await strict.push_event("NOTES", make_record(1, "b1"))

    await strict.push_event_group([], asserted=[asserted(strict, 1), asserted(strict, 0, "b2")])
    with pytest.raises(VersionAssertionError):
        await strict.push_event_group([], asserted=[asserted(strict, 1), asserted(strict, 1, "b2")])
