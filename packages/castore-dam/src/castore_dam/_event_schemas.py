"""The JSON schemas of all events of an application, as one JSON value and as a file."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, TypeAlias, cast

from castore_core import Event, EventStore
from castore_dam._event_stores import check_event_stores
from castore_dam._schema_annotations import AnnotationSchemas
from castore_dam._schema_faults import find_fault, is_object
from castore_dam.errors import InvalidEventSchemasError

EventSchemas: TypeAlias = dict[str, Any]
"""The JSON value that `describe_event_schemas` returns."""

FORMAT: Final = "castore-event-schemas"
FORMAT_VERSION: Final = 1


def describe_event_schemas(event_stores: Iterable[EventStore] | EventStore) -> EventSchemas:
    """Return the JSON schemas of all events of one or more stores, as one JSON value.

    They are those of `EventStore.get_json_schemas`. The payload and metadata of plain events,
    which have none, are described by their annotations: a ``TypedDict``, lists, dicts, literals
    and unions. A type that is not known, or that the event encodes by itself, stands there as
    ``{"unknownType": "its name"}``, and each change of it counts as breaking.

    Raises:
        TypeError, ValueError: these are no event stores, there is none, or two have one id.
    """
    stores = check_event_stores(event_stores)
    described = {each.event_store_id: _describe_store(each) for each in stores}
    return {
        "eventStores": dict(sorted(described.items())),
        "format": FORMAT,
        "formatVersion": FORMAT_VERSION,
    }


def save_event_schemas(
    path: str | os.PathLike[str], event_stores: Iterable[EventStore] | EventStore
) -> None:
    """Write the JSON schemas of all events to a file, for `load_event_schemas`.

    The file is JSON in UTF-8, with sorted keys and one line for each value, so that equal schemas
    are equal files. It takes the place of an old one at once, or not at all.

    Raises:
        TypeError, ValueError: these are no event stores, there is none, or two have one id.
        OSError: the file cannot be written.
    """
    schemas = describe_event_schemas(event_stores)
    text = json.dumps(schemas, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    _replace_file(Path(path), text)


def load_event_schemas(path: str | os.PathLike[str]) -> EventSchemas:
    """Read what `save_event_schemas` wrote.

    Raises:
        InvalidEventSchemasError: the file holds something else, or is of a later format.
        OSError: the file cannot be read.
    """
    try:
        loaded: object = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidEventSchemasError(f"{os.fspath(path)} is no JSON") from error
    try:
        return check_event_schemas(loaded)
    except InvalidEventSchemasError as error:
        raise InvalidEventSchemasError(f"{error.reason}, in {os.fspath(path)}") from None


def check_event_schemas(schemas: object) -> EventSchemas:
    """Return a value that is in the form of `describe_event_schemas`.

    Raises:
        InvalidEventSchemasError: it is in another.
    """
    if not is_object(schemas) or schemas.get("format") != FORMAT:
        raise InvalidEventSchemasError("the format is not castore-event-schemas")
    version, stores = schemas.get("formatVersion"), schemas.get("eventStores")
    if version != FORMAT_VERSION:
        raise InvalidEventSchemasError(f"the format has version {version!r}, and 1 is known")
    if not is_object(stores):
        raise InvalidEventSchemasError("eventStores is no object")
    for event_store_id, store in stores.items():
        _check_store(event_store_id, store)
    return cast("EventSchemas", schemas)


def _check_store(event_store_id: str, store: object) -> None:
    types = store.get("eventTypes") if is_object(store) else None
    if not is_object(types):
        raise InvalidEventSchemasError(f"event store {event_store_id!r} has no object eventTypes")
    for event_type, schema in types.items():
        fault = find_fault(schema) if is_object(schema) else "it is no object"
        if fault is not None:
            raise InvalidEventSchemasError(
                f"the schema of event type {event_type!r} of event store {event_store_id!r} is no "
                f"JSON schema: {fault}"
            )


def _describe_store(event_store: EventStore) -> dict[str, Any]:
    schemas = event_store.get_json_schemas()
    for event_type in event_store.event_types:
        _fill_in(event_type, schemas[event_type.type])
    return {"eventTypes": dict(sorted(schemas.items()))}


def _fill_in(event_type: type[Event], schema: dict[str, Any]) -> None:
    """Describe the fields whose schema the event does not tell."""
    annotations = AnnotationSchemas(event_type)
    for name in ("payload", "metadata"):
        if name in schema["properties"] and event_type.field_schema(name) is None:
            schema["properties"][name] = annotations.describe(name)
    if annotations.definitions:
        schema["$defs"] = {**annotations.definitions, **schema.get("$defs", {})}


def _replace_file(path: Path, text: str) -> None:
    with NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="\n", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            _discard(file.name)
            raise
    try:
        _copy_mode(path, file.name)
        Path(file.name).replace(path)
    except BaseException:
        _discard(file.name)
        raise


def _copy_mode(path: Path, name: str) -> None:
    """Give a temporary file, which is private, the mode of the old file or of a new one."""
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0o022)
        os.umask(mask)
        mode = 0o666 & ~mask
    Path(name).chmod(mode)


def _discard(name: str) -> None:
    with suppress(OSError):
        Path(name).unlink()
