"""castore with pydantic: events, commands and aggregates that are validated at run time."""

from castore_pydantic._aggregate import PydanticCodec
from castore_pydantic._command import PydanticCommand, pydantic_command
from castore_pydantic._event import PydanticEvent

__all__ = [
    "PydanticCodec",
    "PydanticCommand",
    "PydanticEvent",
    "pydantic_command",
]
