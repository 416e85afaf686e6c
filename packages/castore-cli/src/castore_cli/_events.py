"""`castore events`: the events of an aggregate."""

from typing import Final

from castore_cli._addresses import Address
from castore_cli._finding import open_store
from castore_cli._limits import Limit
from castore_cli._records import to_shown_row
from castore_cli._terminal import Terminal

_COLUMNS: Final = ("version", "type", "timestamp", "payload", "metadata")


async def events(
    address: Address,
    aggregate_id: str,
    /,
    *,
    store: str | None = None,
    min_version: int | None = None,
    max_version: int | None = None,
    limit: Limit | None = None,
    reverse: bool = False,
    terminal: Terminal,
) -> None:
    """Show the events of an aggregate, as they are stored.

    Events of unknown types, and those that do not fit their types any more, are shown too.

    Args:
        address: The event store.
        aggregate_id: The id of the aggregate.
        store: The id of the event store, where the address names several.
        min_version: Begin with this version.
        max_version: End with this version.
        limit: Show at most so many.
        reverse: Begin with the last one.
    """
    async with open_store(address, store_id=store) as event_store:
        records = await event_store.get_storage_adapter().get_events(
            event_store.event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )
        if not records:
            terminal.say(f"no events of aggregate {aggregate_id!r} in {event_store!r}")
            return
        terminal.show_rows([to_shown_row(each, terminal) for each in records], columns=_COLUMNS)
