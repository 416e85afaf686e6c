"""The fields of a form, from a JSON schema."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from castore_visualizer._annotation_schemas import Schema
from castore_visualizer._json_kinds import is_list, is_object

PREFIX: Final = "input."
"""The names of a form's fields begin with it; the path of the value follows."""

_DEEPEST: Final = 4
_MULTILINE: Final = 200  # characters, from which on a text has several lines

FieldKind: TypeAlias = Literal["text", "lines", "whole", "number", "switch", "choice", "json"]


@dataclass(frozen=True)
class FormField:
    """A field of a form, for a value of the input.

    Attributes:
        path: the keys that lead to the value.
        kind: what the value is, and so how it is entered.
        is_required: whether it must be there.
        choices: the values of a choice, as JSON.
        hint: what the schema says about it.
        default: what it is where nobody entered anything, as text.
    """

    path: tuple[str, ...]
    kind: FieldKind
    is_required: bool
    choices: Sequence[str] = ()
    hint: str = ""
    default: str = ""

    @property
    def name(self) -> str:
        """The name in the form."""
        return PREFIX + json.dumps(self.path)

    @property
    def label(self) -> str:
        """The path, as people read it."""
        return " / ".join(self.path) or "input"


def list_fields(schema: Schema) -> list[FormField]:
    """Return the fields for the values of a schema.

    Values without a field of their own are JSON; so are optional objects, to be left out whole.
    """
    return list(_iter_fields(schema, _resolve(schema, schema), (), is_required=True))


def _iter_fields(
    root: Schema, schema: Schema, path: tuple[str, ...], *, is_required: bool
) -> Iterator[FormField]:
    properties: Any = schema.get("properties")
    if is_object(properties) and is_required and len(path) < _DEEPEST:
        required: Any = schema.get("required", ())
        for name, each in properties.items():
            yield from _iter_fields(
                root,
                _resolve(root, each),
                (*path, name),
                is_required=name in required,
            )
    else:
        yield _make_field(schema, path, is_required=is_required)


def _make_field(schema: Schema, path: tuple[str, ...], *, is_required: bool) -> FormField:
    values = _list_choices(schema, is_required=is_required)
    default: Any = schema.get("default")
    kind = _find_kind(schema) if values is None else "choice"
    is_plain = kind in {"text", "lines"}
    return FormField(
        path,
        kind,
        is_required,
        [] if values is None else [json.dumps(each, ensure_ascii=False) for each in values],
        _make_hint(schema),
        "" if default is None else default if is_plain else json.dumps(default, ensure_ascii=False),
    )


def _list_choices(schema: Schema, *, is_required: bool) -> Any:
    if schema.get("type") == "boolean" and not is_required and schema.get("default") is None:
        return [True, False]  # a switch cannot be left out
    return schema.get("enum", [schema["const"]] if "const" in schema else None)


def _find_kind(schema: Schema) -> FieldKind:
    match schema.get("type"):
        case "string":
            longest: Any = schema.get("maxLength")
            return "lines" if isinstance(longest, int) and longest > _MULTILINE else "text"
        case "integer":
            return "whole"
        case "number":
            return "number"
        case "boolean":
            return "switch"
        case _:
            return "json"


def _make_hint(schema: Schema) -> str:
    parts = [str(schema.get("description", ""))]
    names = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
        "format": "",
        "pattern": "matches",
    }
    parts += [f"{word} {schema[key]}".strip() for key, word in names.items() if key in schema]
    return ", ".join(each for each in parts if each)


def _resolve(root: Schema, given: object) -> Schema:
    """Follow references within the schema, and take the one alternative to null."""
    schema = given if is_object(given) else {}  # true allows anything
    for _ in range(_DEEPEST):
        reference: Any = schema.get("$ref")
        options: Any = schema.get("anyOf")
        if isinstance(reference, str) and reference.startswith("#/"):
            schema = {**_look_up(root, reference), **_without(schema, "$ref")}
        elif is_list(options):
            others = [each for each in options if not is_object(each) or each.get("type") != "null"]
            if len(others) != 1 or not is_object(others[0]):
                break
            schema = {**others[0], **_without(schema, "anyOf")}
        else:
            break
    return schema


def _look_up(root: Schema, reference: str) -> Schema:
    found: Schema = root
    for step in reference.removeprefix("#/").split("/"):
        inner: object = found.get(step.replace("~1", "/").replace("~0", "~"))
        found = inner if is_object(inner) else {}
    return found


def _without(schema: Schema, key: str) -> Schema:
    return {name: each for name, each in schema.items() if name != key}
