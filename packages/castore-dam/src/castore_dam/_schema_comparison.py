"""Compares two JSON schemas, part by part.

For each part it asks whether all values of the one side are values of the other. Where it cannot
tell, it says that they are not.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any, Final, Literal, TypeAlias, cast

from castore_core import JSONSchema
from castore_dam._schema_documents import (
    ANYTHING,
    NOTHING,
    Alternatives,
    Schema,
    SchemaDocument,
    to_key,
)
from castore_dam._schema_rules import (
    ARRAY_BOUNDS,
    NUMBERS,
    OBJECT_BOUNDS,
    STRING_BOUNDS,
    ChangeKind,
    Difference,
    Path,
    compare_bounds,
    compare_numbers,
    compare_presence,
    compare_types,
    compare_values,
    describe_types,
    find_types,
)

Direction: TypeAlias = Literal["backward", "forward"]

EACH: Final = "*"
"""Stands in a path for each item of an array, or each field that a schema does not name."""

_MAX_STEPS = 100_000  # pairs of schemas: unions of unions could take for ever

_MOVES: Final = {
    ("added", "required"): "stored events may lack it",
    ("added", "optional"): "stored events may lack it, and do not need it",
    ("removed", "required"): "new events may lack it, and old code needs it",
    ("removed", "optional"): "new events may lack it, and old code does not need it",
}

_ANY_KEY: Final[Schema] = {"type": "string"}
# Keywords whose parts are compared; all others have to be the same.
_COMPARED = frozenset(
    {
        "additionalProperties",
        "discriminator",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "prefixItems",
        "properties",
        "propertyNames",
        "required",
        "type",
    }
)
# Those that only make a schema stricter, whatever else it says.
_STRICTER = frozenset(
    {
        "anyOf",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "dependentRequired",
        "dependentSchemas",
        "discriminator",
        "format",
        "not",
        "oneOf",
        "pattern",
        "uniqueItems",
    }
)
_STRICTER_GROUPS = (
    frozenset({"contains", "maxContains", "minContains"}),
    frozenset({"else", "if", "then"}),
)
# Those that look at what the other keywords of their schema passed over.
_DEPENDENT = frozenset(
    {"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"}
)


def compare_schemas(old: JSONSchema, new: JSONSchema) -> list[Difference]:
    """Return all differences of two schemas, in the order of the old one."""
    before, now = SchemaDocument(old), SchemaDocument(new)
    if to_key(before.root) == to_key(now.root):
        return []
    comparison = _Comparison(before, now)
    return list(dict.fromkeys(comparison.compare(before.root, now.root, ())))


class _Comparison:
    def __init__(self, old: SchemaDocument, new: SchemaDocument) -> None:
        self._old = old
        self._new = new
        self._steps = 0
        self._under_way: set[tuple[int, int]] = set()

    def compare(self, old: Schema, new: Schema, path: Path) -> list[Difference]:
        """Return the differences of two schemas.

        A pair that is being compared already, in a recursive schema, has no others than those
        that are being found.
        """
        old, new = self._old.follow(old), self._new.follow(new)
        pair = id(old), id(new)
        self._steps += 1
        if pair in self._under_way:
            return []
        if self._steps > _MAX_STEPS:
            return [_unknown(path, "the schemas are too large to be compared")]
        self._under_way.add(pair)
        try:
            return list(self._compare(old, new, path))
        finally:
            self._under_way.discard(pair)

    def _compare(self, old: Schema, new: Schema, path: Path) -> Iterable[Difference]:
        before, now = self._old.flatten(old), self._new.flatten(new)
        if before is None or now is None:
            return self._compare_opaque(old, new, path)
        olds, news = self._old.find_alternatives(before), self._new.find_alternatives(now)
        if olds is None or news is None:
            return self._compare_opaque(before, now, path)
        if len(olds.members) == len(news.members) == 1:
            return self._compare_plain(olds.members[0], news.members[0], path)
        if self.are_same(before, now):
            return ()
        return _Unions(self, path).compare(olds, news)

    def includes(self, old: Schema, new: Schema, direction: Direction) -> bool:
        """Tell whether one side reads all that the other writes."""
        return all(getattr(each, direction) for each in self.compare(old, new, ()))

    def compare_members(self, old: Schema, new: Schema, path: Path) -> list[Difference]:
        """Compare two flat schemas that are no unions."""
        return list(self._compare_plain(old, new, path))

    def exclude_each_other(self, first: Schema, second: Schema) -> bool:
        """Tell whether no value fits two flat schemas, of whichever side."""
        types = find_types(first) & find_types(second)
        if not types:
            return True
        if "enum" in first and "enum" in second:
            return _have_other_values(first, second)
        return types <= {"object"} and self._have_other_tags(first, second)

    def _have_other_tags(self, first: Schema, second: Schema) -> bool:
        names = set(first.get("required", ())) & set(second.get("required", ()))
        tags = (
            [side.get("properties", {}).get(name, ANYTHING) for side in (first, second)]
            for name in names
        )
        return any(
            "enum" in one and "enum" in other and _have_other_values(one, other)
            for one, other in tags
        )

    def are_same(self, old: Any, new: Any) -> bool:
        """Tell whether two values of keywords are equal, behind their references too."""
        return self._are_same(old, new, set())

    def _are_same(self, old: Any, new: Any, seen: set[tuple[Any, Any]]) -> bool:
        if isinstance(old, dict) and isinstance(new, dict):
            return self._are_same_objects(cast("Schema", old), cast("Schema", new), seen)
        if isinstance(old, list) and isinstance(new, list):
            items = cast("Sequence[Any]", old), cast("Sequence[Any]", new)
            is_as_long = len(items[0]) == len(items[1])
            pairs = zip(*items, strict=False)
            return is_as_long and all(self._are_same(*pair, seen) for pair in pairs)
        return to_key(old) == to_key(new)

    def _are_same_objects(self, old: Schema, new: Schema, seen: set[tuple[Any, Any]]) -> bool:
        names = old.keys() - {"$defs", "definitions"}
        if names != new.keys() - {"$defs", "definitions"}:
            return False
        if isinstance(old.get("$ref"), tuple) and isinstance(new.get("$ref"), tuple):
            names = names - {"$ref"}
            if not self._lead_to_same(old["$ref"], new["$ref"], seen):
                return False
        return all(self._are_same(old[name], new[name], seen) for name in names)

    def _lead_to_same(self, old: Any, new: Any, seen: set[tuple[Any, Any]]) -> bool:
        if (old, new) in seen:
            return True
        seen.add((old, new))
        targets = self._old.resolve(old), self._new.resolve(new)
        return None not in targets and self._are_same(*targets, seen)

    def _compare_opaque(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        if not self.are_same(old, new):
            yield _unknown(path, "changed in a way that is not understood")

    def _compare_plain(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        if (old.keys() | new.keys()) & _DEPENDENT:
            yield from self._compare_opaque(old, new, path)
            return
        yield from compare_types(old, new, path)
        types = find_types(old) & find_types(new)
        if not types:
            return
        yield from compare_values(old, new, path)
        if types & NUMBERS:
            yield from compare_numbers(old, new, path)
        if "string" in types:
            yield from compare_bounds(old, new, STRING_BOUNDS, path)
        if "array" in types:
            yield from self._compare_arrays(old, new, path)
        if "object" in types:
            yield from _Objects(self, old, new, path).compare()
        yield from self._compare_others(old, new, path)

    def _compare_others(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        names = (old.keys() | new.keys()) - _COMPARED
        for group in _STRICTER_GROUPS:
            title = "/".join(sorted(names & group))
            before, now = _gather(old, group, title), _gather(new, group, title)
            yield from self._compare_rule(before, now, title, path)
            names -= group
        for name in sorted(names & _STRICTER):
            yield from self._compare_rule(old, new, name, path)
        for name in sorted(names - _STRICTER):
            if name not in old or name not in new or not self.are_same(old[name], new[name]):
                yield _unknown(path, f"{name} changed, which is not understood")

    def _compare_rule(
        self, old: Schema, new: Schema, name: str, path: Path
    ) -> Iterator[Difference]:
        yield from compare_presence(old, new, name, name, path)
        if name in old and name in new and not self.are_same(old[name], new[name]):
            reason = f"{name} changed"
            if isinstance(old[name], str):
                reason = f"{name} was {old[name]!r}, is {new[name]!r}"
            yield Difference(path, "rule changed", reason, backward=False, forward=False)

    def _compare_arrays(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        yield from compare_bounds(old, new, ARRAY_BOUNDS, path)
        prefixes: list[list[Schema]] = [side.get("prefixItems", []) for side in (old, new)]
        named = max(map(len, prefixes))
        for index in range(named + 1):
            step = EACH if index == named else str(index)
            items = [
                prefix[index] if index < len(prefix) else side.get("items", ANYTHING)
                for prefix, side in zip(prefixes, (old, new), strict=True)
            ]
            for each in self.compare(items[0], items[1], (*path, step)):
                yield from _keep_where_written(
                    each,
                    backward=_may_have_item(old, index),
                    forward=_may_have_item(new, index),
                )


class _Objects:
    """Compares two flat schemas as schemas of objects.

    A field that a schema does not name is not written, if the schema names any. Otherwise no field
    could ever be added: an old event might have it, with something else in it.
    """

    def __init__(self, comparison: _Comparison, old: Schema, new: Schema, path: Path) -> None:
        self._comparison = comparison
        self._old = old
        self._new = new
        self._path = path

    def compare(self) -> Iterator[Difference]:
        """Return the differences."""
        yield from compare_bounds(self._old, self._new, OBJECT_BOUNDS, self._path)
        yield from self._compare_patterns()
        for name in dict.fromkeys(chain(_find_names(self._old), _find_names(self._new))):
            yield from self._compare_field(name)
        yield from self._compare_others()
        for each in self._comparison.compare(
            _get_name_schema(self._old), _get_name_schema(self._new), self._path
        ):
            yield each._replace(reason=f"names of fields: {each.reason}")

    def _compare_patterns(self) -> Iterator[Difference]:
        patterns = [side.get("patternProperties", {}) for side in (self._old, self._new)]
        if not self._comparison.are_same(*patterns):
            yield _unknown(self._path, "patternProperties changed, which is not understood")

    def _compare_field(self, name: str) -> Iterator[Difference]:
        path = (*self._path, name)
        if name not in _find_names(self._old):
            yield self._describe_move(name, path, self._new, "added")
        elif name not in _find_names(self._new):
            yield self._describe_move(name, path, self._old, "removed")
        else:
            yield from self._compare_presence(name, path)
            yield from self._compare_values(name, path)

    def _describe_move(
        self, name: str, path: Path, side: Schema, what: Literal["added", "removed"]
    ) -> Difference:
        presence = _get_presence(name, side)
        reads = self._reads(name, "backward"), self._reads(name, "forward")
        backward = reads[0] and not self._is_missed(name, self._old, self._new)
        forward = reads[1] and not self._is_missed(name, self._new, self._old)
        reason = _MOVES[what, presence]
        for reader, is_read in zip(("new", "old"), reads, strict=True):
            reason += "" if is_read else f"; the {reader} schema refuses what may be written there"
        kind = cast("ChangeKind", f"{presence} field {what}")
        return Difference(path, kind, reason, backward, forward)

    def _compare_presence(self, name: str, path: Path) -> Iterator[Difference]:
        if self._is_missed(name, self._old, self._new):
            reason = "the field may be absent in stored events, and is required now"
            yield Difference(path, "field made required", reason, backward=False, forward=True)
        if self._is_missed(name, self._new, self._old):
            reason = "the field was required, and may be absent now"
            yield Difference(path, "field made optional", reason, backward=True, forward=False)

    def _compare_values(self, name: str, path: Path) -> Iterator[Difference]:
        written = _get_written(name, self._old), _get_written(name, self._new)
        read = _get_read(name, self._old), _get_read(name, self._new)
        compare = self._comparison.compare
        if written == read:
            yield from compare(*written, path)
            return
        for each in compare(written[0], read[1], path):
            yield from _keep_where_written(each, backward=True, forward=False)
        for each in compare(read[0], written[1], path):
            yield from _keep_where_written(each, backward=False, forward=True)

    def _compare_others(self) -> Iterator[Difference]:
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
            yield from self._comparison.compare(before, now, (*self._path, EACH))

    def _reads(self, name: str, direction: Direction) -> bool:
        """Tell whether one side reads the field as the other writes it."""
        if direction == "backward":
            sides = _get_written(name, self._old), _get_read(name, self._new)
        else:
            sides = _get_read(name, self._old), _get_written(name, self._new)
        return self._comparison.includes(*sides, direction)

    def _is_missed(self, name: str, writer: Schema, reader: Schema) -> bool:
        return name in reader.get("required", ()) and name not in writer.get("required", ())


class _Unions:
    """Compares the alternatives of two schemas."""

    def __init__(self, comparison: _Comparison, path: Path) -> None:
        self._comparison = comparison
        self._path = path

    def compare(self, old: Alternatives, new: Alternatives) -> Iterator[Difference]:
        """Return the differences."""
        yield from self._compare_exclusion(old, new)
        olds, news = _split(old.members), _split(new.members)
        unread = [each for each in olds if not self._is_read(each, news)]
        unknown = [each for each in news if not self._is_known(each, olds)]
        described: list[Schema] = []
        for each in unread:
            partner = self._find_partner(each, [*unknown, *news])
            is_unknown = partner is not None and _is_among(partner, unknown)
            described += [partner] if partner is not None and is_unknown else []
            yield from self._describe_unread(each, partner, is_unknown=is_unknown)
        for each in unknown:
            if not _is_among(each, described):
                yield from self._describe_unknown(each, self._find_partner(each, olds))

    def _describe_unread(
        self, old: Schema, partner: Schema | None, *, is_unknown: bool
    ) -> Iterator[Difference]:
        if partner is None:
            reason = f"{describe_types(find_types(old))} is no longer allowed"
            yield Difference(
                self._path, "alternative removed", reason, backward=False, forward=True
            )
            return
        for each in self._comparison.compare_members(old, partner, self._path):
            yield from _keep_where_written(each, backward=True, forward=is_unknown)

    def _describe_unknown(self, new: Schema, partner: Schema | None) -> Iterator[Difference]:
        if partner is None:
            reason = f"{describe_types(find_types(new))} is allowed now"
            yield Difference(self._path, "alternative added", reason, backward=True, forward=False)
            return
        for each in self._comparison.compare_members(partner, new, self._path):
            yield from _keep_where_written(each, backward=False, forward=True)

    def _compare_exclusion(self, old: Alternatives, new: Alternatives) -> Iterator[Difference]:
        backward = not new.is_exclusive or self._exclude_each_other(new.members)
        forward = not old.is_exclusive or self._exclude_each_other(old.members)
        if not backward or not forward:
            reason = "the alternatives of oneOf changed, and a value may fit several of them"
            yield Difference(self._path, "unknown", reason, backward, forward)

    def _exclude_each_other(self, members: Sequence[Schema]) -> bool:
        return all(self._comparison.exclude_each_other(*pair) for pair in combinations(members, 2))

    def _is_read(self, old: Schema, news: Iterable[Schema]) -> bool:
        return any(self._includes(old, new, "backward") for new in news)

    def _is_known(self, new: Schema, olds: Iterable[Schema]) -> bool:
        return any(self._includes(old, new, "forward") for old in olds)

    def _includes(self, old: Schema, new: Schema, direction: Direction) -> bool:
        differences = self._comparison.compare_members(old, new, self._path)
        return all(getattr(each, direction) for each in differences)

    def _find_partner(self, schema: Schema, others: Iterable[Schema]) -> Schema | None:
        excludes = self._comparison.exclude_each_other
        return next((each for each in others if not excludes(schema, each)), None)


def _is_among(schema: Schema, schemas: Iterable[Schema]) -> bool:
    return any(schema is each for each in schemas)


def _split(members: Iterable[Schema]) -> list[Schema]:
    """Return one schema for each type of ``{"type": ["string", "null"]}``."""
    found: list[Schema] = []
    for each in members:
        types = each.get("type")
        found += (
            [{**each, "type": one} for one in cast("list[str]", types)]
            if isinstance(types, list)
            else [each]
        )
    return found


def _have_other_values(first: Schema, second: Schema) -> bool:
    return set(map(to_key, first["enum"])).isdisjoint(map(to_key, second["enum"]))


def _find_names(schema: Schema) -> list[str]:
    return [*schema.get("properties", ()), *schema.get("required", ())]


def _get_name_schema(schema: Schema) -> Schema:
    return {**_ANY_KEY, **schema.get("propertyNames", {})}


def _gather(schema: Schema, group: frozenset[str], title: str) -> Schema:
    """Return a schema that has the keywords of a group as one."""
    found = {name: schema[name] for name in sorted(group & schema.keys())}
    return {title: found} if found else {}


def _get_presence(name: str, schema: Schema) -> str:
    return "required" if name in schema.get("required", ()) else "optional"


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


def _may_have_item(schema: Schema, index: int) -> bool:
    return "maxItems" not in schema or index < schema["maxItems"]


def _keep_where_written(each: Difference, *, backward: bool, forward: bool) -> Iterator[Difference]:
    """Yield a difference that matters for what one side writes at all."""
    masked = each._replace(
        backward=each.backward or not backward, forward=each.forward or not forward
    )
    if masked == each or not (masked.backward and masked.forward):
        yield masked


def _unknown(path: Path, reason: str) -> Difference:
    return Difference(path, "unknown", reason, backward=False, forward=False)
