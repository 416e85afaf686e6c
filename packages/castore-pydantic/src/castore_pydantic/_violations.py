"""What pydantic found, as violations."""

import re
from typing import Final

from pydantic import ValidationError
from pydantic_core import to_json

from castore_core import JSONValue, Violation, check_json, format_path, join_violations

# Up to the last type of each warning: the value may look as if it ended there.
_VALUES: Final = re.compile(r"input_value=(?:(?!PydanticSerial).)*, (?=input_type=)", re.DOTALL)

_CHANGES: Final = "would be read as another value: its type does not read what it writes"
_HIDES: Final = (
    "would be read as asterisks, which is what a SecretStr or another secret is written as: "
    "give it a serializer, such as a field_serializer that returns its get_secret_value()"
)


def find_violations(error: ValueError, root: str) -> list[Violation]:
    """Return what pydantic found, without the values: they may be secret.

    The code of a violation is pydantic's type of the error, such as ``missing``. An error of the
    serializer is one violation, of the root.
    """
    if not isinstance(error, ValidationError):
        reason = _VALUES.sub("", str(error))
        return [Violation(root, " ".join(reason.split()), "serialization")]
    return [
        Violation(format_path(root, each["loc"]), each["msg"], each["type"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def describe(error: ValueError, root: str) -> str:
    """Return what pydantic found as one line."""
    return join_violations(find_violations(error, root))


def explain_change(name: str, encoded: JSONValue) -> Violation:
    """Return the violation of a value that would be read as another one.

    Raises:
        NotJSONError: it has a number that JSON does not have. A NaN is never equal.
    """
    check_json(encoded, name)
    is_hidden = b'"**********"' in to_json(encoded)
    return Violation(name, _HIDES if is_hidden else _CHANGES, "round_trip")
