"""`castore dam migrate` and `verify`: carry the events of a store to another storage."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from castore_cli import Address, ExitCode, Limit, Terminal, UsageError, open_object, open_stores
from castore_core import EventStore
from castore_dam._cli._options import Names, Rate, describe_stores, make_checkpoint
from castore_dam._cli._tracking import PASSES_OVER, Tracking, advise, count_events
from castore_dam._migrate import Migration
from castore_dam._migrate_collection import Pair, check_pairs, migrate_event_store_collection
from castore_dam._transform import Transform
from castore_dam._verify import Content, Difference, Verification, verify_migration
from castore_dam.errors import SourceGapError

_TRANSFORM: Final[Any] = Callable  # Any: a callable of any class


async def migrate(
    source: Address,
    target: Address,
    /,
    *,
    store: Names = (),
    transform: Address | None = None,
    allow_gaps: bool = False,
    dry_run: bool = False,
    concurrency: Limit = 10,
    rate_limit: Rate | None = None,
    checkpoint: Path | None = None,
    verify: bool = False,
    terminal: Terminal,
) -> ExitCode:
    """Carry all the events of stores to others, as they are stored.

    No event of the target is replaced. Those that it has already are left as they are, so that
    the same command goes on after a failure, and carries what is new when it is run later.

    Args:
        source: The event stores to read.
        target: The event stores to write to: one for one, or of the same ids.
        store: Carry the events of this store; it may be given several times.
        transform: A function that is given each event, and returns the one that takes its place.
        allow_gaps: Carry aggregates in which a version is missing, too.
        dry_run: Write nothing, and count what would be written.
        concurrency: How many aggregates are read, or written, at a time, 10 by default.
        rate_limit: The most events a second that are written, evenly; also a fraction.
        checkpoint: Keep in this file how far it has come. The same command goes on from there.
        verify: Compare the event stores afterwards, as castore dam verify does.
    """
    if verify and dry_run:
        raise UsageError("--verify and --dry-run exclude each other")
    async with _open(source, target, store, transform) as stores:
        if not dry_run:
            old = describe_stores(source, stores.sources)
            new = describe_stores(target, [each for _, each in stores.pairs])
            terminal.confirm(f"write the events of {old} to {new}")
        advice = None if dry_run else advise(checkpoint, PASSES_OVER)
        total = None if _exists(checkpoint) else await count_events(terminal, stores.sources)
        with Tracking(terminal, total=total, advice=advice) as tracking:
            migrations = await _migrate(
                stores,
                allow_gaps=allow_gaps,
                dry_run=dry_run,
                at_once=concurrency,
                rate_limit=rate_limit,
                checkpoint=make_checkpoint(checkpoint),
                on_progress=tracking.report,
            )
        for name, migration in migrations.items():
            terminal.show({"eventStoreId": name, **_describe(migration), "isDryRun": dry_run})
        return await _verify(stores, concurrency, terminal) if verify else ExitCode.OK


async def verify(
    source: Address,
    target: Address,
    /,
    *,
    store: Names = (),
    transform: Address | None = None,
    concurrency: Limit = 10,
    terminal: Terminal,
) -> ExitCode:
    """Compare the events of stores, after a migration: counts and hashes of all aggregates.

    The exit code is 3 where they differ.

    Args:
        source: The event stores that were migrated.
        target: The event stores that they were migrated to.
        store: Compare this store; it may be given several times.
        transform: The function that the migration had.
        concurrency: How many aggregates are compared at a time, 10 by default.
    """
    async with _open(source, target, store, transform) as stores:
        return await _verify(stores, concurrency, terminal)


class _Stores(NamedTuple):
    pairs: Sequence[Pair]
    transform: Transform | None

    @property
    def sources(self) -> list[EventStore]:
        """The stores that are read."""
        return [each for each, _ in self.pairs]


@asynccontextmanager
async def _open(
    source: str, target: str, store_ids: Sequence[str], transform: str | None
) -> AsyncGenerator[_Stores]:
    async with (
        open_stores(source, store_ids=store_ids) as olds,
        open_stores(target, store_ids=store_ids) as news,
    ):
        try:
            pairs = check_pairs(_pair(target, olds, news))
        except ValueError as error:
            raise UsageError(f"{source!r} does not fit {target!r}: {error}") from error
        if transform is None:
            yield _Stores(pairs, None)
            return
        async with open_object(transform, _TRANSFORM) as function:
            yield _Stores(pairs, function)


def _pair(target: str, olds: Sequence[EventStore], news: Sequence[EventStore]) -> Sequence[Pair]:
    """Return each store with its target: the only one, or else the one of the same id."""
    if len(olds) == len(news) == 1:
        return [(olds[0], news[0])]
    by_id = {each.event_store_id: each for each in news}
    if len(by_id) < len(news):
        raise UsageError(f"{target!r} has two event stores of one id: name one of them")
    for each in olds:
        if each.event_store_id not in by_id:
            raise UsageError(
                f"{target!r} has no event store {each.event_store_id!r}, and several stores are "
                "paired by their ids: choose some with --store"
            )
    return [(each, by_id[each.event_store_id]) for each in olds]


async def _migrate(stores: _Stores, **options: Any) -> Mapping[str, Migration]:
    try:
        return await migrate_event_store_collection(
            stores.pairs, transform=stores.transform, **options
        )
    except SourceGapError as error:
        error.add_note("that is --allow-gaps on the command line")
        raise


async def _verify(stores: _Stores, concurrency: int, terminal: Terminal) -> ExitCode:
    are_equal = True
    for source, target in stores.pairs:
        total = await count_events(terminal, [source])
        with Tracking(terminal, total=total) as tracking:
            verification = await verify_migration(
                source,
                target,
                transform=stores.transform,
                at_once=concurrency,
                on_progress=tracking.report,
            )
        _show(source.event_store_id, verification, terminal)
        are_equal = are_equal and verification.is_equal
    return ExitCode.OK if are_equal else ExitCode.FOUND


def _show(event_store_id: str, verification: Verification, terminal: Terminal) -> None:
    values = {
        "eventStoreId": event_store_id,
        "aggregateCount": verification.aggregate_count,
        "expectedEventCount": verification.expected_event_count,
        "foundEventCount": verification.found_event_count,
        "differenceCount": verification.difference_count,
    }
    differences = verification.differences
    if terminal.is_json:
        terminal.show(
            values | {"differences": [_describe_difference(each) for each in differences]}
        )
        return
    terminal.show_rows([_to_row(each) for each in differences])
    if verification.difference_count > len(differences):
        terminal.say(f"the first {len(differences)} differences are listed")
    terminal.show(values)


def _describe(migration: Migration) -> dict[str, Any]:
    return {
        "eventsRead": migration.events_read,
        "eventsWritten": migration.events_written,
        "eventsAlreadyThere": migration.events_already_there,
        "eventsDropped": migration.events_dropped,
        "eventsChanged": migration.events_changed,
    }


def _describe_difference(difference: Difference) -> dict[str, Any]:
    return {
        "aggregateId": difference.aggregate_id,
        "version": difference.version,
        "expected": _describe_content(difference.expected),
        "found": _describe_content(difference.found),
    }


def _describe_content(content: Content) -> dict[str, Any]:
    return {"eventCount": content.event_count, "sha256": content.sha256}


def _to_row(difference: Difference) -> dict[str, Any]:
    return {
        "aggregateId": difference.aggregate_id,
        "differsFromVersion": difference.version,
        "expectedEvents": difference.expected.event_count,
        "foundEvents": difference.found.event_count,
    }


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()
