"""The contract on DynamoDB itself, where there are credentials and a table to empty.

It needs a table as `castore_dynamodb.table_definition` makes it, whose name has ``castore-test`` in
it, because **all of its items are deleted**, before each test::

    CASTORE_TEST_DYNAMODB_TABLE=castore-test AWS_REGION=eu-west-1 \
        scripts/test tests-integration/test_dynamodb_on_aws.py
"""

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aioboto3
import boto3
import pytest

from castore_aws import RetryPolicy
from castore_core import AssertedVersion, EventRecord, EventStorageAdapter
from castore_dynamodb import DynamoDBBookmarkStorageAdapter, DynamoDBEventStorageAdapter
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventStorageAdapterTests,
    overrides_contract,
)

TABLE = os.environ.get("CASTORE_TEST_DYNAMODB_TABLE", "")
EMPTIED_ONLY_WITH = "castore-test"

pytestmark = [
    pytest.mark.skipif(not TABLE, reason="CASTORE_TEST_DYNAMODB_TABLE names no table of AWS"),
    pytest.mark.may_skip("no account of AWS belongs to this repository"),
]


class OneTable:
    """The table."""

    @pytest.fixture(autouse=True)
    def empty_table(self) -> Iterator[str]:
        """Delete all items of the table."""
        assert EMPTIED_ONLY_WITH in TABLE, "the items of the table would be deleted"
        client: Any = boto3.client("dynamodb")
        for page in client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True):
            for item in page["Items"]:
                key = {name: item[name] for name in ("aggregateId", "version")}
                client.delete_item(TableName=TABLE, Key=key)
        yield TABLE
        client.close()


class OnAWS(OneTable, EventStorageAdapterTests):
    """What DynamoDB cannot do."""

    orders_ties_by_aggregate_id = False
    lists_are_consistent = False
    most_events_of_a_group = 100
    largest_payload = 400_000
    integral_floats_stay_floats = False
    characters_refused_in_event_store_ids = "#"
    refuses_gaps = False

    def holds_number(self, number: float) -> bool:
        """Tell whether a number has at most 38 digits and a magnitude from 1E-130 to 1E+126."""
        integral = number == int(number)
        _, digits, exponent = Decimal(int(number) if integral else repr(number)).as_tuple()
        assert isinstance(exponent, int)
        significant = "".join(map(str, digits)).strip("0")
        return len(significant) <= 38 and -130 <= exponent + len(digits) - 1 < 126

    @overrides_contract("a transaction checks single items, and does not look for the last one")
    async def test_an_assertion_looks_beyond_a_gap(self, adapter: EventStorageAdapter) -> None:
        """An aggregate is at a version that is stored, where the next one is not."""
        for version in (1, 9):
            record = EventRecord("a1", version, "NOTED", datetime(2024, 1, 1, tzinfo=UTC))
            await adapter.push_event("NOTES", record, force=True)
        for version in (1, 9):
            asserted = [AssertedVersion("NOTES", "a1", version, adapter)]
            await adapter.push_event_group([], asserted=asserted)


class TestBoto3OnAWS(OnAWS):
    """Through threads."""

    @pytest.fixture
    def adapter(self, empty_table: str) -> Iterator[DynamoDBEventStorageAdapter]:
        """Return an adapter without events."""
        client: Any = boto3.client("dynamodb")
        yield DynamoDBEventStorageAdapter(client, empty_table)
        client.close()


class TestAioboto3OnAWS(OnAWS):
    """In the event loop."""

    works_in_several_event_loops = False

    @pytest.fixture
    async def adapter(self, empty_table: str) -> AsyncIterator[DynamoDBEventStorageAdapter]:
        """Return an adapter without events."""
        async with aioboto3.Session().client("dynamodb") as client:
            yield DynamoDBEventStorageAdapter(client, empty_table)


class TestBoto3OnAWSWithoutGaps(OnAWS):
    """Each push above version 1 is a transaction, and those of one aggregate meet each other."""

    refuses_gaps = True

    @pytest.fixture
    def adapter(self, empty_table: str) -> Iterator[DynamoDBEventStorageAdapter]:
        """Return an adapter without events, which is patient where 32 writers contend."""
        client: Any = boto3.client("dynamodb")
        patient = RetryPolicy(max_attempts=50, give_up_after=60)
        yield DynamoDBEventStorageAdapter(client, empty_table, allow_gaps=False, retries=patient)
        client.close()


class TestBookmarksOnAWS(OneTable, BookmarkStorageAdapterTests):
    """Leases run on the clock of this machine."""

    @pytest.fixture
    def adapter(self, empty_table: str) -> Iterator[DynamoDBBookmarkStorageAdapter]:
        """Return an adapter without bookmarks."""
        client: Any = boto3.client("dynamodb")
        yield DynamoDBBookmarkStorageAdapter(client, empty_table)
        client.close()
