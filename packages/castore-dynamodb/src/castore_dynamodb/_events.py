"""Event storage in a table of DynamoDB."""

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import (
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
)
from castore_dynamodb._items import make_store_keys
from castore_dynamodb._reading import EventReader
from castore_dynamodb._table import Table
from castore_dynamodb._transactions import (
    Assertion,
    EventWrite,
    make_operations,
    send_operations,
)


class DynamoDBEventStorageAdapter(EventReader):
    """Keeps events in a table of DynamoDB, as Castore does: both can use one table.

    One adapter serves any number of event stores, whose ids have no ``#``. A push is retry-safe:
    where its answer is lost, and the client or the adapter tries again, it finds its own event and
    succeeds. Reads of an aggregate are strongly consistent. The list of aggregates is read from an
    index, which lags behind by a moment.

    DynamoDB has one kind of number, with up to 38 digits: a float with an integral value is read
    as the equal `int`. An event with a number that it does not hold, that is more than 32
    deep, or that is larger than 400 KB, is refused with `InvalidEventError` before anything is
    sent.

    The tables of Castore's legacy adapter, one for each event store, are refused with a
    `LegacyTableError`; `LegacyDynamoDBEventStorageAdapter` reads them. For that, an adapter queries
    the index once: before its first push, or when it first finds no events. Where DynamoDB does not
    answer, the call goes on, and the next one asks again. A program that may not query the index
    does not notice such a table.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed. One of
            boto3 can be used from any event loop, one of aioboto3 in the loop where it was made.
        table_name: the table, or its ARN. `table_definition` says what it has to be like.
        allow_gaps: whether a version can be pushed where the one before is missing. Other
            storages refuse that unless they are told otherwise. On DynamoDB the check has its
            price: it makes the push of a version above 1 a transaction, which costs 2 write units
            for each KB of the event, and 2 for each KB of the event before. An event of up to 1 KB
            that follows one of up to 1 KB costs 4 units instead of 1. A group, which is a
            transaction anyway, pays 2 units for each KB of an event that is checked; events whose
            version before is in the group need no check.
        retries: how often, and how fast, calls are made again that AWS throttled or failed at,
            or that met a transaction. Then they raise `StorageError`; a push whose answer was lost
            raises an `UnknownOutcomeError`.

    Raises:
        TypeError: it is no client, or one of another service.
    """

    def __init__(
        self,
        client: Client,
        table_name: str,
        *,
        allow_gaps: bool = True,
        retries: RetryPolicy | None = None,
    ) -> None:
        table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)
        super().__init__(table, make_store_keys)
        self._allow_gaps = allow_gaps

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event: with one PutItem, or where gaps are refused, with a transaction.

        Raises:
            EventAlreadyExistsError: the version is taken. Nothing was written.
            VersionGapError: the version before is not stored, and the adapter refuses gaps.
                Nothing was written.
            InvalidEventError: DynamoDB does not hold a number, the depth or the size. Nothing
                was sent.
            LegacyTableError: the table is one of Castore's legacy adapter. Nothing was written.
            UnknownOutcomeError: an answer was lost, or may have been, and no later one told whether
                the event is there.
        """
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write all the events of a group, or none, with one TransactWriteItems.

        An aggregate is at version n when its event n is stored and its event n + 1 is not. An
        asserted version takes two operations of the transaction, or one where it is 0; an event
        whose version before is checked takes two. A group of one operation is a PutItem.

        Raises:
            EventAlreadyExistsError: names an event whose version is taken. Nothing was written.
            VersionAssertionError: an aggregate is not at its asserted version. Nothing was written.
            VersionGapError: the version before an event is neither stored nor in the group, and
                its adapter refuses gaps. Nothing was written.
            InvalidEventGroupError: an adapter of the group has another client, or the group has
                more than 100 operations or 4 MB. Nothing was sent.
            InvalidEventError, LegacyTableError, UnknownOutcomeError: as in `push_event`.
        """
        token = str(uuid4())
        writes = [self._to_write(each) for each in group]
        assertions = [self._to_assertion(each) for each in asserted]
        operations = make_operations(writes, assertions, token, force=force)
        subjects: list[GroupedRecord | AssertedVersion] = [*group, *asserted]
        for each in subjects:
            await self._get_sibling(each.storage_adapter)._layout.run(each.event_store_id)
        await send_operations(self._table, operations, token)

    def _to_write(self, grouped: GroupedRecord) -> EventWrite:
        event_store_id, record, storage_adapter = grouped
        adapter = self._get_sibling(storage_adapter)
        return EventWrite(adapter.table_name, event_store_id, record, adapter._allow_gaps)

    def _to_assertion(self, asserted: AssertedVersion) -> Assertion:
        event_store_id, aggregate_id, version, storage_adapter = asserted
        table_name = self._get_sibling(storage_adapter).table_name
        return Assertion(table_name, event_store_id, aggregate_id, version)

    def _get_sibling(self, storage_adapter: object) -> "DynamoDBEventStorageAdapter":
        # The core gives a group to adapters of one class only.
        adapter = cast("DynamoDBEventStorageAdapter", storage_adapter)
        if adapter._table.client.client is not self._table.client.client:
            raise InvalidEventGroupError("its storage adapters have different clients")
        return adapter
