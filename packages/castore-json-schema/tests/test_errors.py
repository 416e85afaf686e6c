"""Errors are of castore's tree, pickle, and tell what they speak of."""

import pickle
from typing import Any

import pytest

from castore_core import CastoreError
from castore_json_schema import (
    InvalidCommandInputError,
    InvalidCommandOutputError,
    InvalidEventDataError,
    InvalidSchemaError,
    Violation,
    errors,
)

VIOLATIONS = (
    Violation("payload.level", '"5" is not of type "integer"'),
    Violation("metadata", "null is not allowed"),
)
SENTENCE = 'payload.level: "5" is not of type "integer"; metadata: null is not allowed'

# Of each error: one, its attributes, and its message.
EXAMPLES: list[tuple[CastoreError, dict[str, Any], str]] = [
    (
        InvalidEventDataError("COUNTED", VIOLATIONS),
        {
            "event_type": "COUNTED",
            "field": "payload",
            "reason": f"does not fit its schema: {SENTENCE}",
            "violations": VIOLATIONS,
        },
        f"payload of COUNTED does not fit its schema: {SENTENCE}",
    ),
    (
        InvalidCommandInputError("COUNT", VIOLATIONS),
        {"command_id": "COUNT", "violations": VIOLATIONS},
        f"input of command 'COUNT' does not fit its schema: {SENTENCE}",
    ),
    (
        InvalidCommandOutputError("COUNT", VIOLATIONS),
        {"command_id": "COUNT", "violations": VIOLATIONS},
        f"output of command 'COUNT' does not fit its schema: {SENTENCE}",
    ),
    (
        InvalidSchemaError("Counted", VIOLATIONS),
        {"owner": "Counted", "violations": VIOLATIONS},
        f"schema of Counted is broken: {SENTENCE}",
    ),
]


def test_every_error_has_an_example() -> None:
    """No error is forgotten here."""
    assert errors.__all__ == sorted(type(error).__name__ for error, _, _ in EXAMPLES)


@pytest.mark.parametrize(
    ("error", "attributes", "message"), EXAMPLES, ids=lambda each: type(each).__name__
)
def test_error_tells_and_pickles(
    error: CastoreError, attributes: dict[str, Any], message: str
) -> None:
    """An error has its values as attributes, and comes back whole from a pickle."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 our own

    for each in (error, copy):
        assert type(each) is type(error)
        assert attributes == {name: getattr(each, name) for name in attributes}
        assert message == str(each)


def test_text_tells_the_first_ten() -> None:
    """A long list of violations does not fill the log; the attribute has all of them."""
    violations = [Violation(f"payload[{index}]", "is bad") for index in range(1000)]
    error = InvalidEventDataError("COUNTED", violations)

    assert str(error).endswith("payload[9]: is bad; and 990 more")
    assert "payload[10]" not in str(error)
    assert tuple(violations) == error.violations
