"""Messages that a worker has in flight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeAlias

from castore_core.workers import InFlight


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
        """The handle by which SQS knows this delivery."""
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


DeliveriesInFlight: TypeAlias = InFlight[Delivery]
