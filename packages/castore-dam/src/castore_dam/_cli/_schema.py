"""`castore dam schema`: what changed in the schemas of events."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from castore_cli import Address, ExitCode, Terminal, UsageError, open_stores
from castore_dam._cli._options import Names, parse_pairs
from castore_dam._event_schemas import (
    EventSchemas,
    describe_event_schemas,
    load_event_schemas,
    save_event_schemas,
)
from castore_dam._schema_diff import (
    Compatibility,
    SchemaChange,
    SchemaDiff,
    diff_event_schemas,
)


async def schema(
    address: Address,
    file: Path,
    /,
    *,
    compatibility: Compatibility = "backward",
    upcast: Names = (),
    save: bool = False,
    terminal: Terminal,
) -> ExitCode:
    """Compare the JSON schemas of all events with a saved file, such as in CI.

    The exit code is 3 where the changes do not have the compatibility that is asked for.

    Args:
        address: All the event stores.
        file: The file, which --save has written.
        compatibility: backward, the default: new code reads the stored events; forward: old code
            reads new events; full: both.
        upcast: STORE=TYPE: an upcaster changes the stored events of this type into what is read
            now; it may be given several times.
        save: Write the file. Its changes are shown, and one that is there is replaced after a
            question.
    """
    async with open_stores(address) as stores:
        saved = _load(file, may_lack=save)
        current = describe_event_schemas(stores)
        diff = _compare(saved or current, current, upcast)
        if not terminal.is_json:
            _show_changes(diff, terminal)
        if save and saved != current:
            if saved is not None:
                terminal.confirm(f"replace the event schemas in {os.fspath(file)!r}")
            save_event_schemas(file, stores)
        _show_result(file, diff, compatibility, save, terminal)
        return ExitCode.OK if save or diff.allows(compatibility) else ExitCode.FOUND


def _load(file: Path, *, may_lack: bool) -> EventSchemas | None:
    try:
        return load_event_schemas(file)
    except FileNotFoundError:
        if may_lack:
            return None
        raise UsageError(
            f"there is no file {os.fspath(file)!r}: write it with --save, and keep it with the code"
        ) from None


def _compare(saved: EventSchemas, current: EventSchemas, upcast: Sequence[str]) -> SchemaDiff:
    types: dict[str, list[str]] = {}
    for event_store_id, event_type in parse_pairs("--upcast", upcast):
        types.setdefault(event_store_id, []).append(event_type)
    try:
        return diff_event_schemas(saved, current, upcast=types)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def _show_changes(diff: SchemaDiff, terminal: Terminal) -> None:
    columns = ("verdict", "eventStoreId", "eventType", "path", "kind", "reason")
    if rows := [_describe(each) | {"verdict": _show_verdict(each)} for each in diff.changes]:
        terminal.show_rows(rows, columns=columns)


def _show_verdict(change: SchemaChange) -> str:
    return f"{change.verdict} (upcast)" if change.is_upcast else change.verdict


def _show_result(
    file: Path, diff: SchemaDiff, compatibility: Compatibility, is_saved: bool, terminal: Terminal
) -> None:
    values: dict[str, Any] = {
        "file": os.fspath(file),
        "verdict": diff.verdict,
        "compatibility": compatibility,
        "isCompatible": diff.allows(compatibility),
        "isSaved": is_saved,
    }
    if terminal.is_json:
        changes = [
            _describe(each) | {"isCompatible": each.allows(compatibility)} for each in diff.changes
        ]
        values["changes"] = changes
    terminal.show(values)


def _describe(change: SchemaChange) -> dict[str, Any]:
    return {
        "eventStoreId": change.event_store_id,
        "eventType": change.event_type,
        "path": change.path,
        "kind": change.kind,
        "reason": change.reason,
        "verdict": change.verdict,
        "isUpcast": change.is_upcast,
    }
