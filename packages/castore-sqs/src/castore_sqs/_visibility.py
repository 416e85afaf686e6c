"""How long messages in flight are hidden from others."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from castore_aws import Refusal
from castore_core.workers import HeartbeatFailed, NaturalBatches, Reporter
from castore_sqs._calls import QueueCalls
from castore_sqs._in_flight import DeliveriesInFlight, Delivery
from castore_sqs._options import BATCH_SIZE
from castore_sqs._reports import VisibilityLost

_logger = logging.getLogger("castore_sqs")


class Visibility:
    """Hides messages for as long as they are in flight, and lets them be seen again.

    Args:
        timeout: for how many seconds a message is hidden, when it is received and from each
            heartbeat on.
    """

    def __init__(
        self, calls: QueueCalls, in_flight: DeliveriesInFlight, reporter: Reporter, *, timeout: int
    ) -> None:
        self._calls = calls
        self._in_flight = in_flight
        self._reporter = reporter
        self._timeout = timeout
        self._pause = timeout / 3  # between two heartbeats, and the longest wait for an answer
        self._lock = asyncio.Lock()  # a heartbeat under way would hide returned messages again
        self._returns = NaturalBatches(self._send_returns, BATCH_SIZE)

    async def keep_hidden(self) -> None:
        """Extend the visibility timeout of all that is in flight, again and again."""
        due = monotonic() + self._pause
        while True:
            await asyncio.sleep(due - monotonic())
            due = monotonic() + self._pause
            await self._extend_all()

    def give_back(self, delivery: Delivery, seconds: int) -> None:
        """Let a message be seen again, so many seconds from now; it is in flight until then."""
        delivery.is_returned = True
        self._returns.add(_Return(delivery, seconds))

    async def drain(self) -> None:
        """Wait until nothing is left to give back."""
        await self._returns.drain()

    async def cancel(self) -> None:
        """Give nothing more back."""
        await self._returns.cancel()

    async def _extend_all(self) -> None:
        async with self._lock:
            held = [each for each in self._in_flight if not (each.is_lost or each.is_returned)]
            chunks = [held[i : i + BATCH_SIZE] for i in range(0, len(held), BATCH_SIZE)]
            await asyncio.gather(*map(self._extend, chunks))

    async def _extend(self, deliveries: Sequence[Delivery]) -> None:
        began = monotonic()
        timeouts = {each.receipt_handle: self._timeout for each in deliveries}
        refusals = await self._change(timeouts)
        for each in deliveries:
            refusal = refusals.get(each.receipt_handle)
            if refusal is None:
                each.expires_at = began + self._timeout
            elif each in self._in_flight and not each.is_handled:
                self._tell_failure(each, refusal)

    def _tell_failure(self, delivery: Delivery, refusal: Refusal) -> None:
        delivery.is_lost = delivery.has_run_out or not refusal.is_retryable
        kind = VisibilityLost if delivery.is_lost else HeartbeatFailed
        self._reporter.tell(kind(delivery.message_id, refusal.reason))

    async def _send_returns(self, returns: Sequence["_Return"]) -> None:
        timeouts = {each.delivery.receipt_handle: each.seconds for each in returns}
        async with self._lock:
            refusals = await self._change(timeouts)
        for delivery, _ in returns:
            self._in_flight.drop(delivery)
            if refusal := refusals.get(delivery.receipt_handle):
                place = delivery.message_id, refusal.reason
                _logger.warning("message %s stays hidden for a while: %s", *place)

    async def _change(self, timeouts: Mapping[str, int]) -> dict[str, Refusal]:
        """Wait no longer than until the next heartbeat is due: a connection may hang."""
        try:
            async with asyncio.timeout(self._pause):
                return await self._calls.change_visibility(timeouts)
        except TimeoutError:
            return dict.fromkeys(timeouts, Refusal(f"no answer within {self._pause:.1f} s", True))


class _Return(NamedTuple):
    delivery: Delivery
    seconds: int
