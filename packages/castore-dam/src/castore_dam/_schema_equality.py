"""Whether parts of two schema documents are equal, behind their references too."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from castore_dam._json_pointers import Pointer
from castore_dam._schema_documents import DEFINITIONS, Schema, SchemaDocument, to_key

AreSame: TypeAlias = Callable[[Any, Any], bool]
"""Tells whether a value of a keyword of the old document is equal to one of the new document."""


class SchemaEquality:
    """Compares the values of keywords of two documents.

    Args:
        old: has the first value of each pair.
        new: has the second one.
    """

    def __init__(self, old: SchemaDocument, new: SchemaDocument) -> None:
        self._old = old
        self._new = new

    def are_same(self, old: Any, new: Any) -> bool:
        """Tell whether two values are equal. The names of definitions do not count."""
        return self._are_same(old, new, set())

    def _are_same(self, old: Any, new: Any, seen: set[tuple[Pointer, Pointer]]) -> bool:
        if isinstance(old, dict) and isinstance(new, dict):
            return self._are_same_objects(cast("Schema", old), cast("Schema", new), seen)
        if isinstance(old, list) and isinstance(new, list):
            items = cast("Sequence[Any]", old), cast("Sequence[Any]", new)
            is_as_long = len(items[0]) == len(items[1])
            pairs = zip(*items, strict=False)
            return is_as_long and all(self._are_same(*pair, seen) for pair in pairs)
        return to_key(old) == to_key(new)

    def _are_same_objects(
        self, old: Schema, new: Schema, seen: set[tuple[Pointer, Pointer]]
    ) -> bool:
        names = old.keys() - DEFINITIONS
        if names != new.keys() - DEFINITIONS:
            return False
        if isinstance(old.get("$ref"), tuple) and isinstance(new.get("$ref"), tuple):
            names = names - {"$ref"}
            if not self._lead_to_same(old["$ref"], new["$ref"], seen):
                return False
        return all(self._are_same(old[name], new[name], seen) for name in names)

    def _lead_to_same(self, old: Pointer, new: Pointer, seen: set[tuple[Pointer, Pointer]]) -> bool:
        if (old, new) in seen:
            return True
        seen.add((old, new))
        targets = self._old.resolve(old), self._new.resolve(new)
        return None not in targets and self._are_same(*targets, seen)
