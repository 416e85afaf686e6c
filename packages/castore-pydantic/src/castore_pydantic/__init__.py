"""castore with pydantic: events, commands and aggregates that are validated at run time."""

from castore_pydantic._aggregate import PydanticCodec
from castore_pydantic._command import PydanticCommand, pydantic_command
from castore_pydantic._event import PydanticEvent
from castore_pydantic._violations import Violation
from castore_pydantic.errors import (
    InvalidCommandInputError,
    InvalidCommandOutputError,
    InvalidEventDataError,
)

__all__ = [
    "InvalidCommandInputError",
    "InvalidCommandOutputError",
    "InvalidEventDataError",
    "PydanticCodec",
    "PydanticCommand",
    "PydanticEvent",
    "Violation",
    "pydantic_command",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_pydantic."):
        _public.__module__ = "castore_pydantic"  # what reprs, tracebacks and pickles name
