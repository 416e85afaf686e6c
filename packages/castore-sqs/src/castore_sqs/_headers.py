"""Headers of a message: its attributes of type String, apart from those of castore."""

import re
from collections.abc import Mapping
from typing import Any, Final

_OWN: Final = ("messageId", "replay")
_NAME: Final = re.compile(r"(?!(?:aws|amazon)\.)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.IGNORECASE)
_LONGEST: Final = 256  # characters of a name


def is_header(name: str) -> bool:
    """Tell whether an attribute of that name can carry a header."""
    return name not in _OWN and len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def read_headers(attributes: Mapping[str, Any], value_key: str) -> Mapping[str, str]:
    """Return the headers among the attributes of a message."""
    values = {name: each.get(value_key) for name, each in attributes.items() if is_header(name)}
    return {name: value for name, value in values.items() if isinstance(value, str)}
