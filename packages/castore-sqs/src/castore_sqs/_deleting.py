"""Deleting messages that were handled."""

from collections.abc import Sequence

from castore_core.workers import NaturalBatches, Reporter
from castore_sqs._calls import QueueCalls
from castore_sqs._in_flight import DeliveriesInFlight, Delivery
from castore_sqs._options import BATCH_SIZE
from castore_sqs._reports import DeleteFailed


class Deleter:
    """Deletes messages in batches as they come."""

    def __init__(
        self, calls: QueueCalls, in_flight: DeliveriesInFlight, reporter: Reporter
    ) -> None:
        self._calls = calls
        self._in_flight = in_flight
        self._reporter = reporter
        self._batches = NaturalBatches(self._delete, BATCH_SIZE)

    def delete(self, delivery: Delivery) -> None:
        """Delete a message soon. It stays in flight until that is done, or was given up."""
        delivery.is_handled = True
        self._batches.add(delivery)

    async def drain(self) -> None:
        """Wait until nothing is left to delete."""
        await self._batches.drain()

    async def cancel(self) -> None:
        """Delete nothing more."""
        await self._batches.cancel()

    async def _delete(self, deliveries: Sequence[Delivery]) -> None:
        refusals = await self._calls.delete([each.receipt_handle for each in deliveries])
        for each in deliveries:
            self._in_flight.drop(each)
            if refusal := refusals.get(each.receipt_handle):
                self._reporter.tell(DeleteFailed(each.message_id, refusal.reason))
