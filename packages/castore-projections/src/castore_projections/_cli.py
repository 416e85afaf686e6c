"""Show and run projections and relays, and decide on their parked events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from castore_cli import Address, CommandError, Terminal, UsageError, open_object, open_objects
from castore_core import ParkedEvent
from castore_projections._consumer import LogConsumer
from castore_projections._projection import Projection
from castore_projections._relay import Relay
from castore_projections._status import ProjectionStatus
from castore_projections.errors import ProjectionBusyError

app: Final = App(name="projections", help=__doc__)


@app.command
async def status(address: Address, /, *, terminal: Terminal) -> None:
    """Show how far projections and relays have come, who runs them, and what is parked.

    Args:
        address: The projections and relays.
    """
    async with open_objects(address, Projection[Any], Relay) as found:
        rows = [row for each in found for row in _list_partitions(await each.status())]
        terminal.show_rows(rows, columns=_STATUS_COLUMNS)


@app.command
async def run(address: Address, /, *, once: bool = False, terminal: Terminal) -> None:
    """Run projections and relays until Ctrl-C or SIGTERM. It does not ask before.

    Events under way may end within the grace period; then the leases are given back.

    Args:
        address: The projections and relays.
        once: Handle the events that there are by now, and end.
    """
    async with open_objects(address, Projection[Any], Relay) as found:
        if once:
            rows = [{"name": each.name, "handled": await each.run_once()} for each in found]
            terminal.show_rows(rows)
            return
        terminal.say(f"running {', '.join(each.name for each in found)}: Ctrl-C ends it")
        async with asyncio.TaskGroup() as tasks:
            for each in found:
                tasks.create_task(each.run())


@app.command
async def rebuild(address: Address, /, *, terminal: Terminal) -> None:
    """Begin a projection or relay anew: all its events come again, as replays.

    Its read model is cleared as its on_clear says, and parked events are forgotten. Where a
    process runs it, that one goes on with the rebuild; otherwise, this command does it.

    Args:
        address: The projection or relay.
    """
    async with open_object(address, Projection[Any], Relay) as found:
        terminal.confirm(f"reset {found!r}, and handle its events again")
        await found.reset()
        try:
            terminal.show({"name": found.name, "handled": await found.run_once()})
        except ProjectionBusyError:
            terminal.say("it was reset; the process that runs it handles its events again")
            terminal.show({"name": found.name, "handled": None})


@app.command
async def parked(
    address: Address,
    /,
    *,
    kind: str | None = None,
    position: Annotated[str | None, Parameter(help="Only the event at this position.")] = None,
    retry: bool = False,
    drop: bool = False,
    terminal: Terminal,
) -> None:
    """List the parked events of a projection or relay, let them be tried again, or drop them.

    Args:
        address: The projection or relay.
        kind: Only events with this kind of failure.
        retry: Let them be tried again: by the process that runs it, or at its next run.
        drop: Pass over them for good. Say which, with --kind or --position.
    """
    if retry and drop:
        raise UsageError("--retry and --drop exclude each other")
    if drop and kind is None and position is None:
        raise UsageError("--drop takes --kind or --position: nothing is dropped by oversight")
    async with open_object(address, Projection[Any], Relay) as found:
        chosen = [each async for each in _choose(found, kind, position)]
        if not (retry or drop):
            terminal.show_rows([_describe(each) for each in chosen], columns=_PARKED_COLUMNS)
            return
        event = None if position is None else _get_failed(chosen, position)
        number = sum(each.failure is not None for each in chosen)
        if number == 0:
            terminal.say("no parked event waits for a decision" + _of_kind(kind))
            terminal.show({"retried" if retry else "dropped": 0})
            return
        if retry:
            terminal.confirm(f"let {number} parked events be tried again")
            terminal.show({"retried": await found.retry_parked_events(kind=kind, event=event)})
        else:
            terminal.confirm(f"drop {number} parked events for good")
            terminal.show({"dropped": await found.drop_parked_events(kind=kind, event=event)})


_STATUS_COLUMNS: Final = (
    "name",
    "version",
    "liveVersion",
    "partition",
    "eventsBehind",
    "oldestUnhandledAt",
    "movedAt",
    "owner",
    "failed",
    "waiting",
)
_PARKED_COLUMNS: Final = (
    "position",
    "eventStoreId",
    "aggregateId",
    "version",
    "type",
    "parkedAt",
    "attempts",
    "kind",
    "text",
)


def _list_partitions(status: ProjectionStatus) -> list[dict[str, Any]]:
    return [
        {
            "name": status.name,
            "version": status.version,
            "liveVersion": status.live_version,
            "partition": each.partition,
            "position": each.position,
            "eventsBehind": each.events_behind,
            "oldestUnhandledAt": each.oldest_unhandled_at,
            "movedAt": each.moved_at,
            "owner": each.owner,
            "failed": each.failed,
            "waiting": each.waiting,
        }
        for each in status.partitions
    ]


async def _choose(
    consumer: LogConsumer[Any], kind: str | None, position: str | None
) -> AsyncIterator[ParkedEvent]:
    async for each in consumer.iter_parked_events():
        is_of_kind = kind is None or (each.failure is not None and each.failure.kind == kind)
        if is_of_kind and position in {None, each.position}:
            yield each


def _of_kind(kind: str | None) -> str:
    return "" if kind is None else f", of kind {kind!r}: the list without --kind has the kinds"


def _get_failed(chosen: list[ParkedEvent], position: str) -> ParkedEvent:
    for each in chosen:
        if each.failure is not None:
            return each
    raise CommandError(f"no parked event at position {position!r} waits for a decision")


def _describe(parked: ParkedEvent) -> dict[str, Any]:
    row: dict[str, Any] = {
        "position": parked.position,
        "eventStoreId": parked.event_store_id,
        "aggregateId": parked.aggregate_id,
        "version": parked.version,
        "type": parked.type,
        "parkedAt": parked.parked_at,
        "attempts": parked.attempts,
    }
    return row if parked.failure is None else row | parked.failure._asdict()
