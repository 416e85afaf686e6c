"""The messages that a worker has in flight, and how many more it may take."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any


@dataclass(eq=False, slots=True)
class Delivery:
    """A message as the queue handed it out.

    ``expires_at`` is when others may get it, on the monotonic clock. ``is_lost`` tells that they
    may already, whatever the clock says.
    """

    record: Mapping[str, Any] = field(repr=False)  # asyncio's debug mode logs arguments
    expires_at: float
    is_lost: bool = False
    is_handled: bool = False
    is_returned: bool = False

    @property
    def message_id(self) -> str:
        """The id that SQS gave to the message."""
        return str(self.record["MessageId"])

    @property
    def receipt_handle(self) -> str:
        """What SQS knows this delivery by."""
        return str(self.record["ReceiptHandle"])

    @property
    def group_id(self) -> str | None:
        """The group of the message, if it has one."""
        group_id: str | None = self.record.get("Attributes", {}).get("MessageGroupId")
        return group_id

    @property
    def attempt(self) -> int:
        """How often SQS handed the message out, this time included."""
        return int(self.record.get("Attributes", {}).get("ApproximateReceiveCount", 1))

    @property
    def has_run_out(self) -> bool:
        """Whether others may get the message."""
        return self.is_lost or monotonic() >= self.expires_at


class InFlight:
    """All that was received, and is neither deleted nor left to the queue again."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._reserved = 0
        self._deliveries: set[Delivery] = set()
        self._is_closed = False
        self._has_changed = asyncio.Event()

    def __iter__(self) -> Iterator[Delivery]:
        return iter(tuple(self._deliveries))

    def __contains__(self, delivery: object) -> bool:
        return delivery in self._deliveries

    async def reserve(self, most: int) -> int:
        """Wait for room, and keep it for what is about to be received: 0 when closed."""
        while not self._is_closed:
            room = self._capacity - self._reserved - len(self._deliveries)
            if room > 0:
                self._reserved += (reserved := min(room, most))
                return reserved
            self._has_changed.clear()
            await self._has_changed.wait()
        return 0

    def take(self, deliveries: Iterable[Delivery], reserved: int) -> None:
        """Keep what was received, and give up what was reserved for it."""
        self._reserved -= reserved
        self._deliveries.update(deliveries)
        self._has_changed.set()

    def drop(self, delivery: Delivery) -> None:
        """Forget a message."""
        self._deliveries.discard(delivery)
        self._has_changed.set()

    def close(self) -> None:
        """Reserve nothing any more."""
        self._is_closed = True
        self._has_changed.set()
