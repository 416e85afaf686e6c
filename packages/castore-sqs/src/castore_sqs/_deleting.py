"""Deleting what was handled."""

from collections.abc import Sequence

from castore_sqs._calls import BATCH_SIZE, QueueCalls
from castore_sqs._in_hand import Delivery, InHand
from castore_sqs._natural_batches import NaturalBatches
from castore_sqs._reports import DeleteFailed, Reporter


class Deleter:
    """Deletes messages in batches as they come."""

    def __init__(self, calls: QueueCalls, in_hand: InHand, reporter: Reporter) -> None:
        self._calls = calls
        self._in_hand = in_hand
        self._reporter = reporter
        self._batches = NaturalBatches(self._delete, BATCH_SIZE)

    def delete(self, delivery: Delivery) -> None:
        """Delete a message soon. It stays in hand until that is done, or was given up."""
        delivery.is_handled = True
        self._batches.add(delivery)

    async def drain(self) -> None:
        """Wait until nothing is left to delete."""
        await self._batches.drain()

    async def _delete(self, deliveries: Sequence[Delivery]) -> None:
        refusals = await self._calls.delete([each.receipt_handle for each in deliveries])
        for each in deliveries:
            self._in_hand.drop(each)
            if refusal := refusals.get(each.receipt_handle):
                self._reporter.tell(DeleteFailed(each.message_id, refusal.reason))
