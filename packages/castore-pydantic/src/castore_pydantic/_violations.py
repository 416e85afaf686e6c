"""Violations, made of pydantic's errors. They never tell a value: it may be secret."""

import re
from collections import defaultdict
from typing import Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json
from pydantic_core.core_schema import ErrorType

from castore_core import JSONValue, Violation, format_path, join_violations
from castore_pydantic._comparison import Change
from castore_pydantic._mask import mask

# Up to the last type of each warning: the value may look as if it ended there.
_VALUES: Final = re.compile(r"input_value=(?:(?!PydanticSerial).)*, (?=input_type=)", re.DOTALL)
_RAISED: Final = re.compile(r"(Error calling function `[^`]*`: \w+).*", re.DOTALL)
_OWN: Final = ("Circular reference", "Maximum serialization depth")  # of a plain ValueError

_HIDES: Final = (
    "would be read as asterisks, which is what a SecretStr or another secret is written as: "
    "give it a serializer, such as a field_serializer that returns its get_secret_value()"
)

_REWORDED: Final = {
    "bytes_invalid_encoding": "Data should be valid {encoding}",
    "byte_size_unit": "could not interpret byte unit",
    "datetime_object_invalid": "Invalid datetime object",
    "get_attribute_error": "Error extracting attribute",
    "import_error": "Invalid python path",
    "iteration_error": "Error iterating over object",
    "mapping_type": "Input should be a valid mapping",
    "timezone_offset": "Timezone offset of {tz_expected} required",
    "union_tag_invalid": (
        "Input tag found using {discriminator} does not match any of the expected tags: "
        "{expected_tags}"
    ),
    "uuid_parsing": "Input should be a valid UUID",
    "zoneinfo_str": "invalid timezone",
}
"""Our words for errors whose text by pydantic quotes the value."""

_PLAIN: Final = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}
"""The types of errors whose words are pydantic's, and not those of a validator."""


def find_violations(error: ValueError, root: str) -> list[Violation]:
    """Return what pydantic found, without the values.

    The code of a violation is pydantic's type of the error, such as ``missing``. An error of the
    serializer is one violation, of the root.
    """
    if not isinstance(error, ValidationError):
        return [Violation(root, _explain_serialization(error), "serialization")]
    return [
        Violation(format_path(root, each["loc"]), _explain(each), each["type"])
        for each in error.errors(include_url=False)
    ]


def describe(error: ValueError, root: str) -> str:
    """Return what pydantic found as one line."""
    return join_violations(find_violations(error, root))


def explain_change(name: str, encoded: JSONValue, change: Change) -> Violation:
    """Return the violation of a value that would be read as another one."""
    is_hidden = b'"**********"' in to_json(encoded)
    reason = _HIDES if is_hidden else change.reason
    return Violation(format_path(name, change.steps), reason, "round_trip")


def _explain(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _REWORDED:
        return _REWORDED[kind].format_map(defaultdict(str, error.get("ctx", {})))
    if kind in _PLAIN:
        return error["msg"]
    return mask(error["msg"], error["input"])


def _explain_serialization(error: ValueError) -> str:
    text = str(error)
    if isinstance(error, PydanticSerializationError):
        reason = _RAISED.sub(r"\1", _VALUES.sub("", text))
        return " ".join(reason.split())
    if isinstance(error, UnicodeError):
        return "is not well-formed Unicode"
    return text if text.startswith(_OWN) else f"could not be written: {type(error).__name__}"
