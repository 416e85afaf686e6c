"""A message channel adapter that keeps what is published, for a test to look at."""

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple, TypeVar, cast

from castore_core import ConnectedEventStore, MessageChannel, MessagePublishError, MessageRecord

M = TypeVar("M")


class RecordedMessage(NamedTuple):
    """A message as an adapter is given it, and whether it was published as a replay."""

    record: MessageRecord
    replay: bool


class RecordedMessageChannelAdapter:
    """Takes messages of any channel, hands them to nobody, and remembers them."""

    def __init__(self) -> None:
        self._messages: list[RecordedMessage] = []
        self._refusal: str | None = None

    @property
    def messages(self) -> list[RecordedMessage]:
        """The published messages, in that order."""
        return [*self._messages]

    def parse(self, channel: MessageChannel[M]) -> list[M]:
        """Return what was published as typed messages of a channel.

        Raises:
            InvalidMessageError: a message is of another kind than those of the channel.
            MessageChannelEventStoreNotFoundError: a message is about no source of the channel.
        """
        return [channel.parse_message(each.record.body) for each in self._messages]

    def fail_next(self, reason: str = "the recorded channel was told to fail") -> None:
        """Let the next publish raise a `MessagePublishError`; the ones after it go well again."""
        self._refusal = reason

    def clear(self) -> None:
        """Forget what was published, and that the next publish was to fail."""
        self._messages.clear()
        self._refusal = None

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Remember a message.

        Raises:
            MessagePublishError: the adapter was told to fail.
        """
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Remember several messages.

        Raises:
            MessagePublishError: the adapter was told to fail. It names all of them.
        """
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise MessagePublishError([(each, refusal) for each in messages])
        self._messages += [RecordedMessage(deepcopy(each), replay) for each in messages]


def channel_of(event_store: ConnectedEventStore) -> MessageChannel:
    """Return the channel of a connected store, if it is one whose adapter can be exchanged.

    Raises:
        TypeError: it is none of the channels of castore_core.
    """
    channel = event_store.message_channel
    if not isinstance(channel, MessageChannel):
        raise TypeError(f"{channel!r} is no MessageChannel: its adapter cannot be exchanged")
    return cast("MessageChannel", channel)
