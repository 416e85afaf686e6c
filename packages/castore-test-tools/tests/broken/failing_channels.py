"""Channel adapters that take too much, or too little, for a failure."""

from collections.abc import Sequence

from castore_core import MessagePublishError, MessageRecord

from .channels import MOST_CHARACTERS, Channel


def is_too_large(message: MessageRecord) -> bool:
    """Tell whether the broker would not take a message."""
    return len(repr(message.body)) > MOST_CHARACTERS


class RefusesTheBatch(Channel):
    """Sends nothing of a batch that has a message which cannot be sent."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Look first."""
        if any(is_too_large(each) for each in messages):
            raise MessagePublishError([(each, "the batch is refused") for each in messages])
        await super().publish_messages(messages, replay=replay)


class RefusesTheAggregate(Channel):
    """Sends nothing of an aggregate after a message of it that cannot be sent."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Leave out what follows."""
        refused: set[str] = set()
        failures: list[tuple[MessageRecord, str]] = []
        for each in messages:
            if is_too_large(each) or each.aggregate_id in refused:
                refused.add(each.aggregate_id)
                failures.append((each, "its aggregate is refused"))
            else:
                await super().publish_messages([each], replay=replay)
        if failures:
            raise MessagePublishError(failures)
