"""Keywords of JSON schemas whose parts are not compared: they are there or not, equal or not."""

from collections.abc import Iterator
from typing import Final

from castore_dam._schema_differences import Difference, Path
from castore_dam._schema_documents import Schema
from castore_dam._schema_equality import AreSame
from castore_dam._schema_rules import compare_presence

# Keywords whose parts are compared elsewhere.
_COMPARED: Final = frozenset(
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
_STRICTER: Final = frozenset(
    {
        "anyOf",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "dependentRequired",
        "dependentSchemas",
        "format",
        "not",
        "oneOf",
        "pattern",
        "uniqueItems",
    }
)
_STRICTER_GROUPS: Final = (
    frozenset({"contains", "maxContains", "minContains"}),
    frozenset({"else", "if", "then"}),
)
# Those that look at what the other keywords of their schema passed over.
_DEPENDENT: Final = frozenset(
    {"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"}
)


def has_dependent_keyword(schema: Schema) -> bool:
    """Tell whether a keyword depends on all others, so that none can be compared alone."""
    return not _DEPENDENT.isdisjoint(schema)


def compare_other_keywords(
    old: Schema, new: Schema, are_same: AreSame, path: Path
) -> Iterator[Difference]:
    """Compare the keywords that no other rule compares. Unknown ones have to be the same."""
    names = (old.keys() | new.keys()) - _COMPARED
    for group in _STRICTER_GROUPS:
        title = "/".join(sorted(names & group))
        before, now = _gather(old, group, title), _gather(new, group, title)
        yield from _compare_keyword(before, now, title, are_same, path)
        names -= group
    for name in sorted(names & _STRICTER):
        yield from _compare_keyword(old, new, name, are_same, path)
    for name in sorted(names - _STRICTER):
        if name not in old or name not in new or not are_same(old[name], new[name]):
            yield Difference.unknown(path, f"{name} changed, which is not understood")


def _compare_keyword(
    old: Schema, new: Schema, name: str, are_same: AreSame, path: Path
) -> Iterator[Difference]:
    yield from compare_presence(old, new, name, name, path)
    if name in old and name in new and not are_same(old[name], new[name]):
        reason = f"{name} changed"
        if isinstance(old[name], str):
            reason = f"{name} was {old[name]!r}, is {new[name]!r}"
        yield Difference(path, "rule changed", reason, backward=False, forward=False)


def _gather(schema: Schema, group: frozenset[str], title: str) -> Schema:
    """Return a schema that has the keywords of a group as one."""
    found = {name: schema[name] for name in sorted(group & schema.keys())}
    return {title: found} if found else {}
