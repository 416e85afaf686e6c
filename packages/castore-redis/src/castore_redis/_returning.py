"""Messages that are given back: others may have them at once."""

import logging
from collections.abc import Sequence
from typing import Final

from castore_core.workers import MessageReturned, NaturalBatches, Reporter
from castore_redis._client import REDIS_ERRORS
from castore_redis._delivery import Delivery, Held
from castore_redis._stream import Stream

_BATCH_SIZE: Final = 100

_logger = logging.getLogger("castore_redis")


class Returns:
    """Gives messages back in batches, without counting an attempt that was cut short."""

    def __init__(self, held: Held, reporter: Reporter) -> None:
        self._held = held
        self._reporter = reporter
        self._batches = NaturalBatches(self._send, _BATCH_SIZE)

    def add(self, delivery: Delivery) -> None:
        """Give a message back soon. It stays in flight until that is done."""
        if not delivery.is_returned:
            delivery.is_returned = True
            self._reporter.tell(MessageReturned(delivery.message_id))
            self._batches.add(delivery)

    async def drain(self) -> None:
        """Wait until nothing is left to give back."""
        await self._batches.drain()

    async def cancel(self) -> None:
        """Give nothing more back."""
        await self._batches.cancel()

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        for stream in {each.stream for each in deliveries}:
            returned = [each for each in deliveries if each.stream is stream]
            await self._give_back(stream, returned)
            for each in returned:
                self._held.drop(each)

    async def _give_back(self, stream: Stream, deliveries: Sequence[Delivery]) -> None:
        attempts = {each.message_id: each.attempts_made for each in deliveries}
        try:
            await stream.calls.give_back(attempts)
        except REDIS_ERRORS as error:
            text = "%d messages of stream %s come again later than they could: %s"
            _logger.warning(text, len(attempts), stream.name, error)
