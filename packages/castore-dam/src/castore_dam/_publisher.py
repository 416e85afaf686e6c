"""Publishing stored events again, in batches, at a rate."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from castore_core import EventRecord, MessageChannel, MessageRecord
from castore_core.workers import check_whole, run_all
from castore_dam._rate import RateLimit

T = TypeVar("T")

_STATES_AT_ONCE = 10


class Publisher:
    """Publishes to a channel, as a replay.

    Args:
        message_channel: the channel.
        rate_limit: the most messages a second; ``None`` is no limit.
        batch_size: the most messages of a batch.
        dry_run: makes the messages, and publishes none.

    Raises:
        ValueError: an option is out of its bounds.
    """

    def __init__(
        self,
        message_channel: MessageChannel[Any],
        *,
        rate_limit: float | None,
        batch_size: int,
        dry_run: bool,
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        self._channel = message_channel
        self._dry_run = dry_run
        self._rate = RateLimit(rate_limit)
        self.batch_size = self._rate.bound_batch(batch_size)

    def split(self, items: Sequence[T]) -> Sequence[Sequence[T]]:
        """Return the batches that are published together."""
        size = self.batch_size
        return [items[begin : begin + size] for begin in range(0, len(items), size)]

    async def publish_events(
        self, events: Sequence[tuple[str, EventRecord]]
    ) -> Sequence[tuple[str, EventRecord]]:
        """Publish a batch of events of event stores, and return those that have a message.

        Raises:
            MessagePublishError: names the messages that were not taken; all others were.
        """
        made = await self._make_messages(events)
        messages = [each for each in made if each is not None]
        await self.publish_messages(messages)
        if len(messages) == len(events):
            return events
        return [event for event, message in zip(events, made, strict=True) if message is not None]

    async def publish_messages(self, messages: Sequence[MessageRecord]) -> None:
        """Publish a batch, when its time comes.

        Raises:
            MessagePublishError: names the messages that were not taken; all others were.
        """
        if messages and not self._dry_run:
            await self._rate.wait(len(messages))
            await self._channel.publish_records(messages, replay=True)

    async def _make_messages(
        self, events: Sequence[tuple[str, EventRecord]]
    ) -> Sequence[MessageRecord | None]:
        to_message = self._channel.record_to_message
        jobs = [partial(to_message, *each) for each in events]
        carries_state = getattr(self._channel, "carries_state", False)
        return await run_all(jobs, at_once=_STATES_AT_ONCE if carries_state else 1)
