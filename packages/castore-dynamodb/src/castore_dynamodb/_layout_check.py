"""The layout of a table is looked at once, before it is trusted."""

import asyncio
from collections.abc import Callable
from typing import Final

from castore_aws import get_error_code
from castore_dynamodb._items import INITIAL_EVENTS, TIMESTAMP, StoreKeys
from castore_dynamodb._legacy import LayoutError
from castore_dynamodb._table import KeyRange, Table

# The index is missing or may not be read: it will not tell the next time either.
_ANSWERS_THAT_TELL_NOTHING: Final = frozenset(
    {"AccessDeniedException", "ResourceNotFoundException", "ValidationException"}
)


class LayoutCheck:
    """Refuses a table of another layout, at the price of one query.

    Keys alone do not give such a table away: it takes any write. A query of its index does.
    Callers that come at the same time wait for the same query.

    Args:
        table: the table.
        get_keys: returns the keys of an event store in the layout that the table should have.
    """

    def __init__(self, table: Table, get_keys: Callable[[str], StoreKeys]) -> None:
        self._table = table
        self._get_keys = get_keys
        self._is_done = False
        self._query: asyncio.Task[LayoutError | None] | None = None

    async def run(self, event_store_id: str) -> None:
        """Query the index, unless it has answered before.

        If DynamoDB fails, the caller goes on, and the next one asks again.

        Raises:
            LayoutError: the table has another layout.
        """
        if self._is_done:
            return
        query = self._share_query(event_store_id)
        await asyncio.wait([query])  # it goes on where one of its callers is cancelled
        if error := query.result():
            raise error

    def _share_query(self, event_store_id: str) -> "asyncio.Task[LayoutError | None]":
        """Return the query that is under way in this event loop, or begin one."""
        loop = asyncio.get_running_loop()
        query = self._query
        if query is None or query.done() or query.get_loop() is not loop:
            query = self._query = loop.create_task(self._find_error(self._get_keys(event_store_id)))
        return query

    async def _find_error(self, keys: StoreKeys) -> LayoutError | None:
        try:
            await self._table.call_once(
                "query",
                TableName=self._table.name,
                IndexName=INITIAL_EVENTS,
                Select="COUNT",
                Limit=1,
                **KeyRange(keys.index_name, keys.index_value, TIMESTAMP).to_parameters(),
            )
        except LayoutError as error:
            return error
        except Exception as error:  # noqa: BLE001 the caller's own request tells what is wrong
            self._is_done = get_error_code(error.__cause__ or error) in _ANSWERS_THAT_TELL_NOTHING
        else:
            self._is_done = True
        finally:
            self._query = None  # a task keeps the context variables of whoever began it
        return None
