"""`castore ids`: the aggregates of a store."""

from typing import Annotated

from cyclopts import Parameter

from castore_cli._addresses import Address
from castore_cli._finding import open_store
from castore_cli._limits import Limit
from castore_cli._moments import Moment
from castore_cli._terminal import Terminal
from castore_core import AggregateIdsPage


async def ids(
    address: Address,
    /,
    *,
    store: str | None = None,
    limit: Limit | None = None,
    after: Moment | None = None,
    before: Moment | None = None,
    reverse: bool | None = None,
    page_token: str | None = None,
    all_pages: Annotated[bool, Parameter(name="--all")] = False,
    terminal: Terminal,
) -> None:
    """List the aggregates of a store, by the moments of their first events.

    Args:
        address: The event store.
        store: The id of the event store, where the address names several.
        limit: List at most so many, 100 by default; with --all, so many at a time.
        after: List those that began at this moment or later.
        before: List those that began at this moment or earlier.
        reverse: Begin with the latest.
        page_token: Go on where a page ended. It carries the options of that page.
        all_pages: List all, page by page.
    """
    async with open_store(address, store_id=store) as event_store:
        if limit is None and page_token is None:
            limit = 1000 if all_pages else 100
        page = await event_store.list_aggregate_ids(
            limit=limit,
            initial_event_after=after,
            initial_event_before=before,
            reverse=reverse,
            page_token=page_token,
        )
        _show(terminal, page, says_more=not all_pages)
        while all_pages and page.next_page_token is not None:
            page = await event_store.list_aggregate_ids(page_token=page.next_page_token)
            _show(terminal, page, says_more=False)


def _show(terminal: Terminal, page: AggregateIdsPage, *, says_more: bool) -> None:
    """Show a page as a table or, with ``--json``, as one object."""
    rows = [
        {
            "aggregateId": each.aggregate_id,
            "initialEventTimestamp": each.initial_event_timestamp,
        }
        for each in page.aggregates
    ]
    if terminal.is_json:
        terminal.show({"aggregates": rows, "nextPageToken": page.next_page_token})
        return
    terminal.show_rows(rows)
    if says_more and page.next_page_token is not None:
        terminal.say(f"more follow: --page-token {page.next_page_token}")
