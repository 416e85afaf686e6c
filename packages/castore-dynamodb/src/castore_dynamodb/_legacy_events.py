"""Event storage in a table of Castore's legacy adapter, to read from."""

from collections.abc import Sequence
from typing import NoReturn

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import AssertedVersion, EventRecord, GroupedRecord, StorageError
from castore_dynamodb._items import StoreKeys
from castore_dynamodb._legacy import LEGACY_KEYS, LegacyTableError
from castore_dynamodb._reading import EventReader
from castore_dynamodb._table import Table


class LegacyDynamoDBEventStorageAdapter(EventReader):
    """Reads the events of a table of Castore's legacy adapter, and writes none.

    Such a table holds one event store, which its items do not name: its partition key is the id of
    the aggregate alone. The adapter is given the id of that store, and refuses all others, so that
    no store reads another one's events. Events and lists are read as by
    `DynamoDBEventStorageAdapter`, which is the one to copy them to.

    A single table, whose keys name the event store, is refused with a `StorageError` when it is
    listed, or where no events are found.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed.
        table_name: the table, or its ARN.
        event_store_id: the event store whose events the table holds.
        retries: how often, and how fast, calls are made again that AWS throttled or failed at.

    Raises:
        TypeError: it is no client, or one of another service.
    """

    def __init__(
        self,
        client: Client,
        table_name: str,
        *,
        event_store_id: str,
        retries: RetryPolicy | None = None,
    ) -> None:
        table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)
        super().__init__(table, self._check_event_store)
        self._event_store_id = event_store_id

    @property
    def event_store_id(self) -> str:
        """The event store whose events the table holds."""
        return self._event_store_id

    async def push_event(
        self,
        event_store_id: str,  # noqa: ARG002 the arguments are those of the protocol
        record: EventRecord,  # noqa: ARG002
        *,
        force: bool = False,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse to write.

        Raises:
            LegacyTableError: always. Nothing was written.
        """
        raise LegacyTableError(self.table_name)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],  # noqa: ARG002
        *,
        asserted: Sequence[AssertedVersion] = (),  # noqa: ARG002
        force: bool = False,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse to write, and to assert versions.

        Raises:
            LegacyTableError: always. Nothing was written.
        """
        raise LegacyTableError(self.table_name)

    def _check_event_store(self, event_store_id: str) -> StoreKeys:
        if event_store_id != self._event_store_id:
            raise StorageError(
                f"table {self.table_name!r} holds event store {self._event_store_id!r}, and not "
                f"{event_store_id!r}"
            )
        return LEGACY_KEYS
