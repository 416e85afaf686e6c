"""Compares two JSON schemas, part by part.

For each part it asks whether all values of the one side are values of the other. Where it cannot
tell, it says that they are not.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from castore_core import JSONSchema
from castore_dam._schema_differences import EACH, Difference, Path, keep_written
from castore_dam._schema_documents import ANYTHING, Schema, SchemaDocument, to_key
from castore_dam._schema_equality import SchemaEquality
from castore_dam._schema_keywords import compare_other_keywords, has_dependent_keyword
from castore_dam._schema_objects import ObjectComparison
from castore_dam._schema_rules import (
    ARRAY_BOUNDS,
    NUMBERS,
    STRING_BOUNDS,
    compare_bounds,
    compare_numbers,
    compare_types,
    compare_values,
    find_types,
)
from castore_dam._schema_unions import UnionComparison

_MAX_STEPS: Final = 100_000  # pairs of schemas: unions of unions could take for ever


def compare_schemas(old: JSONSchema, new: JSONSchema) -> list[Difference]:
    """Return all differences of two schemas, in the order of the old one."""
    try:
        return _compare_documents(SchemaDocument(old), SchemaDocument(new))
    except RecursionError:
        return [Difference.unknown((), "the schemas are nested too deeply to be compared")]


def _compare_documents(before: SchemaDocument, now: SchemaDocument) -> list[Difference]:
    if to_key(before.root) == to_key(now.root):
        return []
    comparison = _Comparison(before, now)
    return list(dict.fromkeys(comparison.compare(before.root, now.root, ())))


class _Comparison:
    """Compares the parts of two documents."""

    def __init__(self, old: SchemaDocument, new: SchemaDocument) -> None:
        self._old = old
        self._new = new
        self._are_same = SchemaEquality(old, new).are_same
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
            return [Difference.unknown(path, "the schemas are too large to be compared")]
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
        if self._are_same(before, now):
            return ()
        return UnionComparison(path, self._compare_plain).run(olds, news)

    def _compare_opaque(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        if not self._are_same(old, new):
            yield Difference.unknown(path, "changed in a way that is not understood")

    def _compare_plain(self, old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
        if has_dependent_keyword(old) or has_dependent_keyword(new):
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
            yield from ObjectComparison(
                old, new, path, compare=self.compare, are_same=self._are_same
            ).run()
        yield from compare_other_keywords(old, new, self._are_same, path)

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
            yield from keep_written(
                self.compare(items[0], items[1], (*path, step)),
                backward=_may_have_item(old, index),
                forward=_may_have_item(new, index),
            )


def _may_have_item(schema: Schema, index: int) -> bool:
    return "maxItems" not in schema or index < schema["maxItems"]
