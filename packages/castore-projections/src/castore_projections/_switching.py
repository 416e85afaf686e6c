"""The switch from the live version of a projection to one that was built beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from castore_core import BookmarkStorageAdapter
from castore_projections._control import Control
from castore_projections._identity import Identity
from castore_projections._parked_groups import iter_all_parked
from castore_projections._partition import Partition
from castore_projections.errors import (
    CatchUpTimeoutError,
    EventParkedError,
    ProjectionBusyError,
    ProjectionRetiredError,
)

_PAUSE: Final = 0.05  # seconds


async def switch(
    identity: Identity,
    control: Control,
    bookmarks: BookmarkStorageAdapter[Any],
    *,
    catch_up: Callable[[], Awaitable[int]],
    timeout: float,  # noqa: ASYNC109 has its own error
) -> None:
    """Make a version the live one: see `Projection.switch`.

    The live version stands still meanwhile. The new one never passes it, and so comes to the same
    position, where it goes on as the live one.
    """
    with suppress(ProjectionBusyError):  # a runner catches up
        await catch_up()
    async with control.claim(timeout) as claim:
        ledger, _ = await control.read()
        if ledger.live == identity.version:
            return
        if identity.version < ledger.live:
            raise ProjectionRetiredError(identity.name, identity.version, ledger.live)
        old = control.get_partitions(ledger.live, ledger)
        async with control.stand_still(old, timeout):
            await _catch_up(identity, catch_up, timeout)
            new = control.get_partitions(identity.version, ledger)
            await _refuse_parked(bookmarks, [*old, *new])
            positions = await control.get_positions(ledger.live, ledger)
            await control.write(claim, ledger.replace_live(identity.version, positions))


async def _catch_up(
    identity: Identity, catch_up: Callable[[], Awaitable[int]], seconds: float
) -> None:
    """Handle what the live version has handled, once the runners have paused."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                with suppress(ProjectionBusyError):
                    await catch_up()
                    return
                await asyncio.sleep(_PAUSE)
    except TimeoutError as error:
        raise CatchUpTimeoutError(identity.name, identity.version, seconds) from error


async def _refuse_parked(
    bookmarks: BookmarkStorageAdapter[Any], partitions: list[Partition]
) -> None:
    async for partition, each in iter_all_parked(bookmarks, partitions):
        kind = None if each.failure is None else each.failure.kind
        place = each.event_store_id, each.aggregate_id, each.version
        raise EventParkedError(partition.name, *place, kind)
