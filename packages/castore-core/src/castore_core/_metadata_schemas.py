"""Room for metadata, as JSON schemas declare it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from castore_core._json import JSONSchema
from castore_core._metadata_room import OPEN_ROOM, MetadataRoom, meet_all


def find_schema_room(
    schema: JSONSchema | None, *, is_open_by_default: bool = True
) -> MetadataRoom | None:
    """Return the room that the JSON schema of metadata declares.

    For packages whose events have schemas. It knows the keys of ``properties``, also behind
    references to parts of the schema, and to documents in its ``$defs``.

    Args:
        schema: of the metadata as they are stored.
        is_open_by_default: whether there is room for other keys than the ``properties`` where the
            schema does not have ``additionalProperties``.
    """
    if schema is None:
        return None
    return _Document(schema, schema, is_open_by_default).find_room(schema)


@dataclass(frozen=True)
class _Document:
    """A schema that references lead into: the ``whole`` one, or a document within it."""

    root: object
    whole: object
    is_open_by_default: bool

    def find_room(self, schema: object) -> MetadataRoom | None:
        """Return the room that a part of the document declares."""
        if not isinstance(schema, Mapping):
            return OPEN_ROOM if schema is True else None
        rules = cast("Mapping[str, Any]", schema)
        if not _allows_objects(rules):
            return None
        document = replace(self, root=rules) if "$id" in rules else self
        rooms = [self._find_own_room(rules), *map(document.find_room, document._get_parts(rules))]
        choices = [rules[each] for each in ("anyOf", "oneOf") if each in rules]
        rooms += [meet_all(map(document.find_room, each)) for each in choices]
        return None if None in rooms else meet_all(rooms)

    def _find_own_room(self, rules: Mapping[str, Any]) -> MetadataRoom | None:
        is_open = self.is_open_by_default or "properties" not in rules
        for each in ("additionalProperties", "unevaluatedProperties"):
            is_open = rules[each] is not False if each in rules else is_open
        allowed = [name for name, each in rules.get("properties", {}).items() if each is not False]
        return MetadataRoom(frozenset(allowed), frozenset(rules.get("required", ())), is_open)

    def _get_parts(self, rules: Mapping[str, Any]) -> list[object]:
        parts: list[object] = [*rules.get("allOf", ())]
        if "$ref" in rules:
            parts.append(self._follow(rules["$ref"]))
        return parts

    def _follow(self, reference: str) -> object:
        """Return the schema behind a reference, or ``True``, which allows all, if it is unknown."""
        uri, _, pointer = reference.partition("#")
        found = _get(_get(self.whole, "$defs"), uri) if uri else self.root
        for step in pointer.split("/")[1:]:
            found = _get(found, step.replace("~1", "/").replace("~0", "~"))
        return True if found is None or found is self.root else found


def _get(schema: object, key: str) -> object:
    return cast("Mapping[str, object]", schema).get(key) if isinstance(schema, Mapping) else None


def _allows_objects(rules: Mapping[str, Any]) -> bool:
    kinds = rules.get("type", "object")
    return "object" in ([kinds] if isinstance(kinds, str) else kinds)
