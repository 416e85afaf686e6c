"""What the parts of the channel contract share: the harness, and what is declared."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from castore_core import (
    MessageBody,
    MessageChannel,
    MessageChannelAdapter,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
)
from castore_test_tools._contract import adapter_fixture
from castore_test_tools._json_contract import JSONContract
from castore_test_tools._messages import SOURCES, Notification, StateMessage
from castore_test_tools._values import exact

M = TypeVar("M")


class ReceivedMessage(NamedTuple):
    """A message as a consumer got it: its body, as the object that its JSON stands for.

    ``headers`` are needed where the suite declares ``carries_headers``.
    """

    body: MessageBody
    replay: bool
    headers: Mapping[str, str] = {}


class Receiver(Protocol):
    """A consumer at the other end of what an adapter publishes to."""

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return all that the consumer got from the beginning on, in the order in which it came.

        Wait until that are ``count`` messages, but not for ever.
        """
        ...


class ChannelHarness(Receiver, Protocol):
    """An adapter, and a consumer at the other end of what it publishes to."""

    @property
    def adapter(self) -> MessageChannelAdapter:
        """The adapter under test."""
        ...


Connect: TypeAlias = Callable[[Any], ChannelHarness]


@dataclass(frozen=True)
class Line(Generic[M]):
    """A channel whose consumer can be asked."""

    channel: MessageChannel[M]
    harness: ChannelHarness
    delivers_once: bool

    async def receive(self, count: int) -> list[M]:
        """Return all messages."""
        return [self.channel.parse_message(each.body) for each in await self.receive_raw(count)]

    async def receive_body(self) -> MessageBody:
        """Return the body of the only message."""
        [received] = await self.receive_raw(1)
        return received.body

    async def receive_replays(self, count: int) -> list[bool]:
        """Return whether each message was a replay."""
        return [each.replay for each in await self.receive_raw(count)]

    async def receive_raw(
        self, count: int, receiver: Receiver | None = None
    ) -> list[ReceivedMessage]:
        """Return all messages as they came, each once, at the first receiver or at another one."""
        receive = (receiver or self.harness).receive
        received = await receive(count)
        if self.delivers_once:
            return list(received)
        distinct = _drop_repeats(received)
        while len(distinct) < count:
            before = len(received)
            received = await receive(before + count - len(distinct))
            distinct = _drop_repeats(received)
            if len(received) == before:
                break
        return distinct


class ChannelContract(JSONContract):
    """The fixtures and capabilities of `MessageChannelAdapterTests`."""

    is_bus: ClassVar[bool] = False
    """Whether the adapter is made for buses; ``connect`` is given a bus then, or else a queue."""

    keeps_order: ClassVar[bool] = True
    """Whether a consumer gets the messages of one aggregate in the order of publishing."""

    delivers_once: ClassVar[bool] = True
    """Whether a consumer gets each message once, rather than at least once."""

    keeps_repeats: ClassVar[bool] = True
    """Whether a message that is published twice arrives twice, rather than being deduplicated."""

    carries_headers: ClassVar[bool] = False
    """Whether a consumer gets the headers of a message, beside its body."""

    largest_payload: ClassVar[int | None] = None
    """How many bytes of text surely fit into a payload; a message of twice as many is refused."""

    connect_receiver: Any = None
    """A fixture, for buses to which a second consumer can be connected.

    It returns a function that is given the channel, after ``connect``. It returns an object that
    has the method ``receive`` of a `ChannelHarness`.
    """

    refuse_messages: Any = None
    """A fixture, where a backend can be made to refuse messages for a test.

    It returns a function of some ids of aggregates: from then on, the backend refuses the messages
    of these, and takes all others.
    """

    @adapter_fixture
    def connect(self) -> Connect:
        """Return a function that connects an adapter and a consumer with a channel."""
        raise NotImplementedError("override the fixture `connect`: see MessageChannelAdapterTests")

    def connect_notifications(self, connect: Connect) -> Line[Notification]:
        """Return a channel of messages about events."""
        kind = NotificationMessageBus if self.is_bus else NotificationMessageQueue
        return self.connect_line(connect, kind("NOTIFICATIONS", source_event_stores=SOURCES))

    def connect_states(self, connect: Connect) -> Line[StateMessage]:
        """Return a channel of messages that carry a state."""
        kind = StateCarryingMessageBus if self.is_bus else StateCarryingMessageQueue
        return self.connect_line(connect, kind("STATES", source_event_stores=SOURCES))

    def exact_as_read(self, body: MessageBody) -> object:
        """Return a form of a body that tells types apart, as far as the channel does."""
        return exact(self.as_read(body))

    def connect_line(self, connect: Connect, channel: MessageChannel[M]) -> Line[M]:
        """Connect an adapter and a consumer with a channel."""
        harness = connect(channel)
        channel.message_channel_adapter = harness.adapter
        return Line(channel, harness, self.delivers_once)


def in_any_order(items: Iterable[object]) -> list[object]:
    """Return items in an order that does not depend on the one in which they came."""
    return sorted(items, key=repr)


def _drop_repeats(received: Sequence[ReceivedMessage]) -> list[ReceivedMessage]:
    return list({(json.dumps(each.body), each.replay): each for each in received}.values())
