"""JSON schemas in one form, so that two of them can be compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import unquote, urldefrag, urljoin

from castore_core import JSONSchema
from castore_dam._json_pointers import Pointer, parse_pointer

Schema: TypeAlias = dict[str, Any]
"""Keywords of a schema in one form: ``True`` is `ANYTHING`, ``False`` is `NOTHING`."""

ANYTHING: Final[Schema] = {}
NOTHING: Final[Schema] = {"enum": []}

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ANNOTATIONS = frozenset(
    {
        "$anchor",
        "$comment",
        "$dynamicAnchor",
        "$id",
        "$vocabulary",
        "default",
        "deprecated",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    }
)
_ONE_SCHEMA: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SCHEMA_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED_SCHEMAS: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
DEFINITIONS: Final = frozenset({"$defs", "definitions"})
# What a keyword of a group allows depends on the others of its group.
_GROUPS = (
    frozenset({"additionalProperties", "patternProperties", "properties"}),
    frozenset({"items", "prefixItems"}),
    frozenset({"contains", "maxContains", "minContains"}),
    frozenset({"else", "if", "then"}),
)
_UNEVALUATED = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_MAX_NESTING = 64  # of references and unions that lead to each other
_MAX_ALTERNATIVES = 500  # of a union; unions of unions could have any number


class Alternatives(NamedTuple):
    """The flat schemas of a union."""

    members: list[Schema]
    is_exclusive: bool
    """A value may fit one of them only, as in ``oneOf``."""


class SchemaDocument:
    """A schema without its annotations, whose references are pointers from its root."""

    def __init__(self, schema: JSONSchema) -> None:
        self._resources: dict[str, Pointer] = {"": ()}
        self._anchors: dict[tuple[str, str], Pointer] = {}
        self._flat_targets: dict[Pointer, Schema | None] = {}
        self._index(schema, "", ())
        self.root = self._normalize(schema, "")

    def follow(self, schema: Schema) -> Schema:
        """Return the schema that one leads to which is nothing but a reference."""
        for _ in range(_MAX_NESTING):
            if schema.keys() != {"$ref"} or not isinstance(schema["$ref"], tuple):
                break
            target = self.resolve(cast("Pointer", schema["$ref"]))
            if target is None:
                break
            schema = target
        return schema

    def flatten(self, schema: Schema, nesting: int = 0) -> Schema | None:
        """Return the schema with ``$ref`` and ``allOf`` put into their place.

        ``None`` where they cannot be: they lead nowhere, or have keywords that depend on others.
        """
        if nesting > _MAX_NESTING:
            return None
        flat = {
            name: each
            for name, each in schema.items()
            if name not in DEFINITIONS and name not in {"$ref", "allOf"}
        }
        for flattened in self._flatten_parts(schema, nesting + 1):
            merged = None if flattened is None else _merge(flat, flattened)
            if merged is None:
                return None
            flat = merged
        return flat

    def find_alternatives(self, flat: Schema, nesting: int = 0) -> Alternatives | None:
        """Return the flat schemas of a union, or the schema itself if it is none.

        ``None`` where one of them cannot be flattened, or they are too many.
        """
        keyword = _get_union_keyword(flat)
        if keyword is None:
            return Alternatives([flat], is_exclusive=False)
        found = Alternatives([], is_exclusive=keyword == "oneOf")
        for each in flat[keyword]:
            member = self.flatten(each, nesting)
            if member is None or nesting > _MAX_NESTING:
                return None
            inner = self.find_alternatives(_require_tag(member, flat), nesting + 1)
            if inner is None:
                return None
            found = Alternatives(
                found.members + inner.members, found.is_exclusive or inner.is_exclusive
            )
            if len(found.members) > _MAX_ALTERNATIVES:
                return None
        return found

    def resolve(self, pointer: Pointer) -> Schema | None:
        """Return the schema at a place, or ``None`` if there is none."""
        place: Any = self.root
        for step in pointer:
            if isinstance(place, list) and step.isdecimal():
                items = cast("Sequence[Any]", place)
                place = items[int(step)] if int(step) < len(items) else None
            else:
                place = cast("Schema", place).get(step) if isinstance(place, dict) else None
        return cast("Schema", place) if isinstance(place, dict) else None

    def _flatten_parts(self, schema: Schema, nesting: int) -> Iterator[Schema | None]:
        if "$ref" in schema:
            yield self._flatten_target(schema["$ref"], nesting)
        for each in schema.get("allOf", ()):
            yield self.flatten(each, nesting)

    def _flatten_target(self, pointer: Pointer | str, nesting: int) -> Schema | None:
        """Flatten what a reference leads to, once: many references may lead to many others."""
        if not isinstance(pointer, tuple):
            return None
        if pointer not in self._flat_targets:
            target = self.resolve(pointer)
            flat = None if target is None else self.flatten(target, nesting)
            self._flat_targets[pointer] = flat
        return self._flat_targets[pointer]

    def _index(self, schema: Any, base: str, pointer: Pointer) -> None:
        if not isinstance(schema, Mapping):
            return
        keywords = cast("Mapping[str, Any]", schema)
        base = _find_base(keywords, base)
        if "$id" in keywords:
            self._resources[base] = pointer
        for name in ("$anchor", "$dynamicAnchor"):
            if name in keywords:
                self._anchors[base, keywords[name]] = pointer
        for steps, each in find_subschemas(keywords):
            self._index(each, base, pointer + steps)

    def _normalize(self, schema: Any, base: str) -> Any:
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        if not isinstance(schema, Mapping):
            return schema
        keywords = cast("Mapping[str, Any]", schema)
        base = _find_base(keywords, base)
        normal = {
            name: self._normalize_keyword(name, each, base)
            for name, each in keywords.items()
            if not _is_annotation(name, each)
        }
        if "const" in normal:
            const = normal.pop("const")
            given = normal.get("enum", [const])
            normal["enum"] = [const] if to_key(const) in map(to_key, given) else []
        return normal

    def _normalize_keyword(self, name: str, value: Any, base: str) -> Any:
        if name == "$ref":
            return self._locate(value, base)
        if name == "discriminator" and isinstance(value, Mapping):  # of OpenAPI
            return cast("Mapping[str, Any]", value).get("propertyName")
        if name in _ONE_SCHEMA:
            return self._normalize(value, base)
        if name in SCHEMA_LISTS and isinstance(value, list):
            return [self._normalize(each, base) for each in cast("Sequence[Any]", value)]
        if name in NAMED_SCHEMAS and isinstance(value, Mapping):
            named = cast("Mapping[str, Any]", value)
            return {key: self._normalize(each, base) for key, each in named.items()}
        return value

    def _locate(self, reference: str, base: str) -> Pointer | str:
        uri, fragment = urldefrag(_join(base, reference))
        if not fragment.startswith("/"):
            if not fragment:
                return self._resources.get(uri, reference)
            return self._anchors.get((uri, fragment), reference)
        if uri not in self._resources:
            return reference
        return self._resources[uri] + parse_pointer(unquote(fragment))


def to_key(value: Any) -> object:
    """Return what is equal for values that are equal in JSON, where 1 is 1.0 and is not true."""
    if isinstance(value, bool) or not isinstance(value, (int, float, list, dict)):
        return (type(value).__name__, value)
    if isinstance(value, list):
        return ("list", *map(to_key, cast("Sequence[Any]", value)))
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return ("dict", frozenset((name, to_key(each)) for name, each in items))
    return ("number", value)


def _find_base(keywords: Mapping[str, Any], base: str) -> str:
    return urldefrag(_join(base, keywords["$id"])).url if "$id" in keywords else base


def _join(base: str, reference: str) -> str:
    # urljoin() drops the base of a fragment where the scheme has no paths, as in "urn:".
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def find_subschemas(keywords: Mapping[str, Any]) -> Iterator[tuple[Pointer, Any]]:
    """Yield the schemas that a schema holds, each with its place there."""
    for name, value in keywords.items():
        if name in _ONE_SCHEMA:
            yield (name,), value
        elif name in SCHEMA_LISTS and isinstance(value, list):
            for index, each in enumerate(cast("Sequence[Any]", value)):
                yield (name, str(index)), each
        elif name in NAMED_SCHEMAS and isinstance(value, Mapping):
            for key, each in cast("Mapping[str, Any]", value).items():
                yield (name, key), each


def _is_annotation(name: str, value: Any) -> bool:
    if name == "$schema":
        return str(value).removesuffix("#") == _DIALECT
    return name in _ANNOTATIONS or name.startswith("x-")


def _get_union_keyword(flat: Schema) -> str | None:
    names = flat.keys() - {"discriminator"}
    return names.pop() if names in ({"anyOf"}, {"oneOf"}) else None


def _require_tag(member: Schema, union: Schema) -> Schema:
    """Return a member of a union with the field that tells the members apart."""
    if "discriminator" not in union:
        return member
    return {**member, "required": [*member.get("required", ()), union["discriminator"]]}


def _merge(first: Schema, second: Schema) -> Schema | None:
    """Return a schema that is as strict as two together, or ``None`` if there is no simple one."""
    if not first or not second:
        return first or second
    if _depend_on_each_other(first, second):
        return None
    merged = {**first, **second}
    for name in first.keys() & second.keys():
        if name == "required":
            merged[name] = list(dict.fromkeys([*first[name], *second[name]]))
        elif to_key(first[name]) != to_key(second[name]):
            return None
    return merged


def _depend_on_each_other(first: Iterable[str], second: Iterable[str]) -> bool:
    names = set(first), set(second)
    if any(_UNEVALUATED & each for each in names):
        return True
    return any(group & names[0] and group & names[1] for group in _GROUPS)
