"""`castore aggregate`: the state of an aggregate, as it is or as it was."""

from typing import cast

from castore_cli._addresses import Address
from castore_cli._finding import open_store
from castore_cli._limits import Limit
from castore_cli._moments import Moment
from castore_cli._terminal import Terminal
from castore_cli._texts import format_json, format_line
from castore_cli.errors import CommandError, UsageError
from castore_core import Aggregate, AggregateNotFoundError, EventStore, format_timestamp
from castore_core.display import to_json_state


async def aggregate(
    address: Address,
    aggregate_id: str,
    /,
    *,
    store: str | None = None,
    version: Limit | None = None,
    at: Moment | None = None,
    terminal: Terminal,
) -> None:
    """Show the state of an aggregate, as its reducer computes it.

    Args:
        address: The event store.
        aggregate_id: The id of the aggregate.
        store: The id of the event store, where the address names several.
        version: Show the state after the event of this version.
        at: Show the state at this moment, by the timestamps of the events.
    """
    if version is not None and at is not None:
        raise UsageError("--version and --at exclude each other")
    async with open_store(address, store_id=store) as event_store:
        state = await _load(event_store, aggregate_id, version, at)
        if version is not None and state.version < version:
            terminal.say(f"aggregate {aggregate_id!r} has versions up to {state.version} only")
        _show(terminal, event_store, state)


async def _load(
    store: EventStore, aggregate_id: str, version: int | None, at: Moment | None
) -> Aggregate:
    if at is None:
        loaded = await store.get_existing_aggregate(aggregate_id, max_version=version)
        return cast("Aggregate", loaded.aggregate)
    events = await store.get_events(aggregate_id)
    if not events:
        raise AggregateNotFoundError(store.event_store_id, aggregate_id)
    state = cast("Aggregate | None", store.simulate_aggregate(events, at=at))
    if state is None:
        raise CommandError(
            f"aggregate {aggregate_id!r} of event store {store.event_store_id!r} has no event "
            f"until {format_timestamp(at)}: it begins at {format_timestamp(events[0].timestamp)}"
        )
    return state


def _show(terminal: Terminal, store: EventStore, state: Aggregate) -> None:
    value = to_json_state(store, state)
    if terminal.is_json:
        terminal.show(
            {
                "eventStoreId": store.event_store_id,
                "aggregateId": state.aggregate_id,
                "version": state.version,
                "aggregate": value,
            }
        )
    elif isinstance(value, dict):
        rows = [{"field": key, "value": format_json(each)} for key, each in value.items()]
        terminal.show_rows(rows)
    else:
        terminal.show_text(format_line(format_json(value)), {})
