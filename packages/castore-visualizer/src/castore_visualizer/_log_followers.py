"""Projections and relays, as far as pages need them."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from castore_core import LOG_START, LogPosition, ParkedEvent


class ParkedGroup(Protocol):
    """Parked events of one kind of failure."""

    @property
    def kind(self) -> str:
        """The kind of their failure."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def first(self) -> ParkedEvent:
        """The first one in the log."""
        ...

    @property
    def last(self) -> ParkedEvent:
        """The last one in the log."""
        ...


class LogFollower(Protocol):
    """A projection or a relay of castore-projections."""

    @property
    def name(self) -> str:
        """Tells it from others."""
        ...

    async def status(self) -> Any:
        """Tell how far it has come."""
        ...

    async def group_parked_events(self) -> Sequence[ParkedGroup]:
        """Group the parked events by the kind of their failure."""
        ...

    def iter_parked_events(self, *, after: LogPosition = LOG_START) -> AsyncIterator[ParkedEvent]:
        """Walk the parked events that follow a position of the log, in its order."""
        ...

    async def retry_parked_events(self, *, kind: str | None = None) -> int:
        """Let parked events be tried again."""
        ...

    async def drop_parked_events(self, *, kind: str | None = None) -> int:
        """Pass over parked events for good."""
        ...
