"""Acknowledging messages that were handled."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

from castore_core.workers import NaturalBatches, Reporter
from castore_redis._client import REDIS_ERRORS, describe_fault
from castore_redis._delivery import Delivery, Held
from castore_redis._reports import AckFailed
from castore_redis._stream import Stream

_BATCH_SIZE: Final = 100
_PAUSE: Final = 0.1  # seconds between two attempts


class Acknowledger:
    """Acknowledges messages in batches as they come.

    Args:
        patience: seconds after which a batch is given up that Redis did not take.
    """

    def __init__(self, held: Held, reporter: Reporter, *, patience: float) -> None:
        self._held = held
        self._reporter = reporter
        self._patience = patience
        self._batches = NaturalBatches(self._send, _BATCH_SIZE)

    def add(self, delivery: Delivery) -> None:
        """Acknowledge a message soon. It stays in flight until that is done, or was given up."""
        delivery.is_handled = True
        self._batches.add(delivery)

    async def drain(self) -> None:
        """Wait until nothing is left to acknowledge."""
        await self._batches.drain()

    async def cancel(self) -> None:
        """Acknowledge nothing more."""
        await self._batches.cancel()

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        streams: dict[Stream, list[Delivery]] = {}
        for each in deliveries:
            streams.setdefault(each.stream, []).append(each)
        await asyncio.gather(*(self._acknowledge(*each) for each in streams.items()))

    async def _acknowledge(self, stream: Stream, deliveries: Sequence[Delivery]) -> None:
        reason = await self._try([each.message_id for each in deliveries], stream)
        for each in deliveries:
            self._held.drop(each)
            if reason is not None:
                self._reporter.tell(AckFailed(each.message_id, reason))
        if reason is None:
            stream.needs_trim = True
        else:
            stream.claim_again()

    async def _try(self, message_ids: Sequence[str], stream: Stream) -> str | None:
        """Try for a while, and return why it did not work."""
        deadline = monotonic() + self._patience
        while True:
            try:
                await stream.calls.acknowledge(message_ids)
            except REDIS_ERRORS as error:
                if monotonic() >= deadline:
                    return describe_fault(error)
                await asyncio.sleep(_PAUSE)
            else:
                return None
