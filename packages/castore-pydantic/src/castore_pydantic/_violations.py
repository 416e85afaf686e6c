"""What pydantic found, as violations."""

import re

from pydantic import ValidationError

from castore_core import Violation, format_path, join_violations


def find_violations(error: ValueError, root: str) -> list[Violation]:
    """Return what pydantic found, without the values: they may be secret.

    The code of a violation is pydantic's type of the error, such as ``missing``. An error of the
    serializer is one violation, of the root.
    """
    if not isinstance(error, ValidationError):
        reason = re.sub(r"input_value=.*?, (?=input_type=)", "", str(error), flags=re.DOTALL)
        return [Violation(root, " ".join(reason.split()), "serialization")]
    return [
        Violation(format_path(root, each["loc"]), each["msg"], each["type"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def describe(error: ValueError, root: str) -> str:
    """Return what pydantic found as one line."""
    return join_violations(find_violations(error, root))
