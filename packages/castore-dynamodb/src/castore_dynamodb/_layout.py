"""The layout of a table is looked at once, before it is trusted."""

from typing import Final

from castore_aws import get_error_code
from castore_core import StorageError
from castore_dynamodb._items import EVENT_STORE_ID, INITIAL_EVENTS, TIMESTAMP
from castore_dynamodb._legacy import LegacyTableError
from castore_dynamodb._table import KeyRange, Table

# The index is missing or may not be read: the check is skipped.
_ANSWERS_THAT_TELL_NOTHING: Final = frozenset(
    {"AccessDeniedException", "ResourceNotFoundException", "ValidationException"}
)


class LayoutCheck:
    """Refuses a table of Castore's legacy adapter, at the price of one query.

    Keys alone do not give such a table away: it takes any write. A query of its index does.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._is_done = False

    async def run(self, event_store_id: str) -> None:
        """Query the index, unless that was done before.

        Raises:
            LegacyTableError: the table is one of the legacy adapter.
            StorageError: DynamoDB failed, so that nothing is known.
        """
        if self._is_done:
            return
        keys = KeyRange(EVENT_STORE_ID, event_store_id, TIMESTAMP)
        try:
            await self._table.call(
                "query",
                TableName=self._table.name,
                IndexName=INITIAL_EVENTS,
                Select="COUNT",
                Limit=1,
                **keys.to_parameters(),
            )
        except LegacyTableError:
            raise
        except StorageError as error:
            if get_error_code(error.__cause__ or error) not in _ANSWERS_THAT_TELL_NOTHING:
                raise
        self._is_done = True
