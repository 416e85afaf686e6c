"""`castore dam export`, `import` and `verify-archive`: event stores as files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from castore_cli import Address, ExitCode, Limit, Terminal, UsageError, open_stores
from castore_core import EventStore
from castore_dam._archive_format import ArchiveSummary
from castore_dam._archive_reader import verify_archive as check_archive
from castore_dam._cli._options import Names, Rate, describe_stores, make_checkpoint, parse_pairs
from castore_dam._cli._tracking import BEGINS_ANEW, PASSES_OVER, Tracking, advise, count_events
from castore_dam._compression import find_compression
from castore_dam._export import export_event_store
from castore_dam._import import ImportedArchive, check_rereadable, import_event_store
from castore_dam.errors import InvalidArchiveError


async def export(
    address: Address,
    file: Path,
    /,
    *,
    store: Names = (),
    concurrency: Limit = 10,
    checkpoint: Path | None = None,
    terminal: Terminal,
) -> None:
    """Write all the events of stores to an archive. A file that is there is never replaced.

    Args:
        address: The event stores.
        file: The archive: .jsonl, .jsonl.gz or .jsonl.zst.
        store: The events of this store; it may be given several times.
        concurrency: How many aggregates are read at a time, 10 by default, where there is no log.
        checkpoint: Keep in this file how far it has come. The same command goes on from there.
    """
    _check_suffix(file)
    async with open_stores(address, store_ids=store) as stores:
        total = await count_events(terminal, stores)
        advice = advise(checkpoint, BEGINS_ANEW)
        with Tracking(terminal, total=total, advice=advice) as tracking:
            archive = await export_event_store(
                stores,
                file,
                at_once=concurrency,
                checkpoint=make_checkpoint(checkpoint),
                on_progress=tracking.report,
            )
        terminal.show({"archive": os.fspath(file), **_describe(archive)})


async def import_(
    file: Path,
    address: Address,
    /,
    *,
    store: Names = (),
    archived_id: Names = (),
    concurrency: Limit = 10,
    rate_limit: Rate | None = None,
    checkpoint: Path | None = None,
    terminal: Terminal,
) -> None:
    """Write the events of an archive to event stores, once all of it was checked.

    No event is replaced. Those that are there already are passed over.

    Args:
        file: The archive. It is read twice, so that it cannot be a pipe.
        address: The event stores.
        store: Import this store, and leave out the others; it may be given several times.
        archived_id: STORE=ID: the events of the store have this id in the archive. With it, event
            stores of the archive that have no target are left out.
        concurrency: How many aggregates are written at a time, 10 by default, without a log.
        rate_limit: The most events a second that are written, evenly; also a fraction.
        checkpoint: Keep in this file how far it has come. The same command goes on from there.
    """
    _check_rereadable(file)
    _check_suffix(file)
    async with open_stores(address, store_ids=store) as stores:
        archived_ids = _find_ids(stores, archived_id, picks=bool(store))
        terminal.confirm(
            f"write the events of {os.fspath(file)!r} to {describe_stores(address, stores)}"
        )
        with Tracking(terminal, advice=advise(checkpoint, PASSES_OVER)) as tracking:
            imported = await _import(
                file,
                stores,
                archived_ids=archived_ids,
                at_once=concurrency,
                rate_limit=rate_limit,
                checkpoint=make_checkpoint(checkpoint),
                on_progress=tracking.report,
            )
        terminal.show(
            {
                "archive": os.fspath(file),
                "eventCount": imported.archive.event_count,
                "importedEventCount": imported.imported_event_count,
                "presentEventCount": imported.present_event_count,
            }
        )


async def verify_archive(
    file: Path, /, *, expected_hash: str | None = None, terminal: Terminal
) -> ExitCode:
    """Read an archive to its end, and check each line. The exit code is 3 where it is damaged.

    Args:
        file: The archive.
        expected_hash: The hash that the export has shown: another one is damage, too.
    """
    _check_suffix(file)
    values: dict[str, Any] = {"archive": os.fspath(file)}
    try:
        with Tracking(terminal) as tracking:
            archive = await check_archive(file, on_progress=tracking.report)
    except InvalidArchiveError as error:
        terminal.show({**values, "isIntact": False, "line": error.line, "reason": error.reason})
        return ExitCode.FOUND
    values.update(_describe(archive))
    if expected_hash not in {None, archive.hash}:
        reason = "it has another hash than the one that was expected"
        line = {"line": None} if terminal.is_json else {}
        terminal.show({**values, "isIntact": False, **line, "reason": reason})
        return ExitCode.FOUND
    terminal.show({**values, "isIntact": True})
    return ExitCode.OK


async def _import(file: Path, stores: Sequence[EventStore], **options: Any) -> ImportedArchive:
    try:
        return await import_event_store(file, stores, **options)
    except InvalidArchiveError as error:
        if "archived_ids" in error.reason:
            error.add_note("that is --store or --archived-id on the command line")
        raise


def _check_suffix(file: Path) -> None:
    try:
        find_compression(file)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _check_rereadable(file: Path) -> None:
    try:
        check_rereadable(file)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _find_ids(
    stores: Sequence[EventStore], pairs: Sequence[str], *, picks: bool
) -> Mapping[str, str] | None:
    """Return the ids that the stores have in the archive, where they are not simply all of it."""
    if not (pairs or picks):
        return None
    given = dict(parse_pairs("--archived-id", pairs))
    known = {each.event_store_id: each.event_store_id for each in stores}
    for each in given:
        if each not in known:
            raise UsageError(f"--archived-id names {each!r}, and the event stores are {[*known]}")
    return known | given


def _describe(archive: ArchiveSummary) -> dict[str, Any]:
    return {
        "eventCount": archive.event_count,
        "eventCounts": dict(archive.event_counts),
        "exportedAt": archive.exported_at,
        "hash": archive.hash,
    }
