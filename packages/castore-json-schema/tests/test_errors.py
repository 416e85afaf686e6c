"""The error of a broken schema is of castore's tree, pickles, and tells what it speaks of."""

import pickle

from castore_core import CastoreError, Violation
from castore_json_schema import InvalidSchemaError

VIOLATIONS = (
    Violation("payload_schema.minLength", "-1 is less than the minimum of 0"),
    Violation("payload_schema.type", "'int' is not valid"),
)


def test_error_tells_and_pickles() -> None:
    """It has its values as attributes, and comes back whole from a pickle."""
    error = InvalidSchemaError("Counted", VIOLATIONS)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 our own

    assert isinstance(error, CastoreError)
    assert isinstance(error, ValueError)
    for each in (error, copy):
        assert ("Counted", VIOLATIONS) == (each.owner, each.violations)
        assert (
            "schema of Counted is broken: payload_schema.minLength: -1 is less than the minimum "
            "of 0; payload_schema.type: 'int' is not valid"
        ) == str(each)
