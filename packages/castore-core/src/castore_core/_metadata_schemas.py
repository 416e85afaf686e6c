"""Room for metadata, as JSON schemas tell it."""

from collections.abc import Mapping
from typing import Any, Final, cast

from castore_core._json import JSONSchema
from castore_core._metadata_room import OPEN_ROOM, MetadataRoom, meet_all

_HERE: Final = "#/"


def find_schema_room(
    schema: JSONSchema | None, *, is_open_by_default: bool = True
) -> MetadataRoom | None:
    """Return the room that the JSON schema of metadata tells.

    It knows the keys of ``properties``, also behind references within the schema. For packages
    whose events have schemas.

    Args:
        schema: of the metadata as they are stored.
        is_open_by_default: whether there is room for other keys than the ``properties`` where the
            schema does not have ``additionalProperties``.
    """
    return None if schema is None else _Schema(schema, is_open_by_default).find_room(schema)


class _Schema:
    def __init__(self, root: JSONSchema, is_open_by_default: bool) -> None:
        self._root = root
        self._is_open_by_default = is_open_by_default

    def find_room(self, schema: object) -> MetadataRoom | None:
        """Return the room of a part."""
        if not isinstance(schema, Mapping):
            return OPEN_ROOM if schema is True else None
        rules = cast("Mapping[str, Any]", schema)
        if not _allows_objects(rules):
            return None
        rooms = [self._find_own_room(rules), *map(self.find_room, self._get_parts(rules))]
        rooms += [
            meet_all(map(self.find_room, rules[each]))
            for each in ("anyOf", "oneOf")
            if each in rules
        ]
        return None if None in rooms else meet_all(rooms)

    def _find_own_room(self, rules: Mapping[str, Any]) -> MetadataRoom | None:
        is_open = self._is_open_by_default or "properties" not in rules
        for each in ("additionalProperties", "unevaluatedProperties"):
            is_open = rules[each] is not False if each in rules else is_open
        allowed = [name for name, each in rules.get("properties", {}).items() if each is not False]
        return MetadataRoom(frozenset(allowed), frozenset(rules.get("required", ())), is_open)

    def _get_parts(self, rules: Mapping[str, Any]) -> list[object]:
        parts: list[object] = [*rules.get("allOf", ())]
        if rules.get("$ref", "").startswith(_HERE):
            parts.append(self._follow(rules["$ref"]))
        return parts

    def _follow(self, reference: str) -> object:
        found: Any = self._root
        for step in reference.removeprefix(_HERE).split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return found


def _allows_objects(rules: Mapping[str, Any]) -> bool:
    kinds = rules.get("type", "object")
    return "object" in ([kinds] if isinstance(kinds, str) else kinds)
