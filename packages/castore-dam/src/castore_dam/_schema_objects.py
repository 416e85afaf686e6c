"""Compares two JSON schemas as schemas of objects: their fields, named or not."""

from collections.abc import Iterator
from itertools import chain
from typing import Final, cast

from castore_dam._schema_differences import (
    EACH,
    ChangeKind,
    Compare,
    Difference,
    Path,
    allow_all,
    keep_written,
)
from castore_dam._schema_documents import ANYTHING, NOTHING, Schema
from castore_dam._schema_equality import AreSame
from castore_dam._schema_rules import OBJECT_BOUNDS, compare_bounds

_MOVES: Final[dict[ChangeKind, str]] = {
    "required field added": "stored events may lack it",
    "optional field added": "stored events may lack it, and do not need it",
    "required field removed": "new events may lack it, and old code needs it",
    "optional field removed": "new events may lack it, and old code does not need it",
}
_ANY_KEY: Final[Schema] = {"type": "string"}


class ObjectComparison:
    """Compares two flat schemas as schemas of objects.

    A field that a schema does not name is not written, if the schema names any. Otherwise no field
    could ever be added: an old event might have it, with something else in it.

    Args:
        old: the schema of before.
        new: the schema of now.
        path: leads to the object.
        compare: compares the schemas of a field.
        are_same: compares the values of keywords whose parts are not compared.
    """

    def __init__(
        self, old: Schema, new: Schema, path: Path, *, compare: Compare, are_same: AreSame
    ) -> None:
        self._old = old
        self._new = new
        self._path = path
        self._compare = compare
        self._are_same = are_same

    def run(self) -> Iterator[Difference]:
        """Yield the differences."""
        yield from compare_bounds(self._old, self._new, OBJECT_BOUNDS, self._path)
        yield from self._compare_patterns()
        for name in dict.fromkeys(chain(_find_names(self._old), _find_names(self._new))):
            yield from self._compare_field(name)
        yield from self._compare_unnamed()
        names = _get_name_schema(self._old), _get_name_schema(self._new)
        for each in self._compare(*names, self._path):
            yield each._replace(reason=f"names of fields: {each.reason}")

    def _compare_patterns(self) -> Iterator[Difference]:
        patterns = [side.get("patternProperties", {}) for side in (self._old, self._new)]
        if not self._are_same(*patterns):
            yield Difference.unknown(
                self._path, "patternProperties changed, which is not understood"
            )

    def _compare_field(self, name: str) -> Iterator[Difference]:
        if name not in _find_names(self._old):
            is_required = name in self._new.get("required", ())
            kind: ChangeKind = "required field added" if is_required else "optional field added"
            yield self._describe_move(name, kind)
        elif name not in _find_names(self._new):
            is_required = name in self._old.get("required", ())
            kind = "required field removed" if is_required else "optional field removed"
            yield self._describe_move(name, kind)
        else:
            yield from self._compare_presence(name)
            yield from self._compare_values(name)

    def _describe_move(self, name: str, kind: ChangeKind) -> Difference:
        (written, written_now), (read, read_now) = self._get_written(name), self._get_read(name)
        path = (*self._path, name)
        is_read = allow_all(self._compare(written, read_now, path), "backward")
        is_known = allow_all(self._compare(read, written_now, path), "forward")
        reason = _MOVES[kind]
        for reader, reads in (("new", is_read), ("old", is_known)):
            reason += "" if reads else f"; the {reader} schema refuses what may be written there"
        backward = is_read and not _may_lack(name, self._old, self._new)
        forward = is_known and not _may_lack(name, self._new, self._old)
        return Difference(path, kind, reason, backward, forward)

    def _compare_presence(self, name: str) -> Iterator[Difference]:
        path = (*self._path, name)
        if _may_lack(name, self._old, self._new):
            reason = "the field may be absent in stored events, and is required now"
            yield Difference(path, "field made required", reason, backward=False, forward=True)
        if _may_lack(name, self._new, self._old):
            reason = "the field was required, and may be absent now"
            yield Difference(path, "field made optional", reason, backward=True, forward=False)

    def _compare_values(self, name: str) -> Iterator[Difference]:
        path = (*self._path, name)
        written, read = self._get_written(name), self._get_read(name)
        if written == read:
            yield from self._compare(*written, path)
            return
        stored = self._compare(written[0], read[1], path)
        yield from keep_written(stored, backward=True, forward=False)
        coming = self._compare(read[0], written[1], path)
        yield from keep_written(coming, backward=False, forward=True)

    def _compare_unnamed(self) -> Iterator[Difference]:
        before, now = (
            side.get("additionalProperties", ANYTHING) for side in (self._old, self._new)
        )
        if before == now == NOTHING:
            return
        if now == NOTHING:
            reason = "fields that the schema does not name are refused now"
            yield Difference(self._path, "fields closed", reason, backward=False, forward=True)
        elif before == NOTHING:
            reason = "fields that the schema does not name were refused, and are allowed now"
            yield Difference(self._path, "fields opened", reason, backward=True, forward=False)
        else:
            yield from self._compare(before, now, (*self._path, EACH))

    def _get_written(self, name: str) -> tuple[Schema, Schema]:
        return _get_written(name, self._old), _get_written(name, self._new)

    def _get_read(self, name: str) -> tuple[Schema, Schema]:
        return _get_read(name, self._old), _get_read(name, self._new)


def _find_names(schema: Schema) -> list[str]:
    return [*schema.get("properties", ()), *schema.get("required", ())]


def _get_name_schema(schema: Schema) -> Schema:
    return {**_ANY_KEY, **schema.get("propertyNames", {})}


def _may_lack(name: str, writer: Schema, reader: Schema) -> bool:
    """Tell whether one side may leave a field out that the other needs."""
    return name in reader.get("required", ()) and name not in writer.get("required", ())


def _get_read(name: str, schema: Schema) -> Schema:
    """Return the schema that a field is read by."""
    found: Schema | None = schema.get("properties", {}).get(name)
    return schema.get("additionalProperties", ANYTHING) if found is None else found


def _get_written(name: str, schema: Schema) -> Schema:
    """Return the schema of a field as it may be in what is written."""
    if name in schema.get("properties", ()):
        return cast("Schema", schema["properties"][name])
    if "patternProperties" in schema:
        return ANYTHING
    is_unnamed = "properties" in schema and name not in schema.get("required", ())
    return cast("Schema", schema.get("additionalProperties", NOTHING if is_unnamed else ANYTHING))
