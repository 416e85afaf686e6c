"""An event of pydantic, and its store, for tests of commands."""

from datetime import datetime
from typing import TypeAlias

from castore_core import EventStore
from castore_pydantic import PydanticEvent


class Caught(PydanticEvent, type="CAUGHT"):
    """A pokemon was caught."""

    payload: datetime


def reduce_last(last: Caught | None, event: Caught) -> Caught:  # noqa: ARG001 keeps the last
    """Compute the state."""
    return event


Store: TypeAlias = EventStore[Caught, Caught]
Stores: TypeAlias = tuple[Store]
