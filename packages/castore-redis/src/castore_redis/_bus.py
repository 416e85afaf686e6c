"""Messages of a bus on Redis Pub/Sub."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypeAlias

from redis.asyncio import RedisCluster

from castore_core import ChannelKind, MessagePublishError, MessageRecord, format_json
from castore_redis._channels import make_channel
from castore_redis._client import REDIS_ERRORS, RedisClient, check_client, describe_fault
from castore_redis._nodes import keep_cancellation

_AT_ONCE: Final = 1_000  # messages of a pipeline

_Command: TypeAlias = tuple[str, bytes, bytes]


class RedisMessageBusAdapter:
    r"""Publishes the messages of a bus on Redis Pub/Sub.

    **Pub/Sub forgets.** A message reaches the listeners that are subscribed at that moment, and is
    gone. Nothing tells the publisher whether there are any. Where each message counts, use a queue.

    Each kind of message has a channel of its own,
    ``<channel_prefix>:{<event store>}:<event type>``, and with ``:__REPLAYED__`` behind it for
    replays. In the names of stores and types, the characters ``% : { } * ? [ ] \ ^`` are
    percent-encoded. The body is the message's JSON.

    A cluster client publishes with ``SPUBLISH``: the messages of one event store go through one
    shard. A connection that breaks may make the client publish a message twice.

    Args:
        redis: a client of ``redis.asyncio``, of one server, of Sentinel's or of a cluster. It is
            yours, and never closed. It talks to a primary: a replica tells nobody but its own
            listeners.
        channel_prefix: begins the names of all channels.

    Raises:
        TypeError: ``redis`` is another kind of client.
    """

    channel_kind: ClassVar[ChannelKind] = "bus"
    messaging_system: ClassVar[str] = "redis"

    def __init__(self, redis: RedisClient, *, channel_prefix: str = "castore") -> None:
        check_client(redis)
        self._client = redis
        self._prefix = channel_prefix
        self._command = "SPUBLISH" if isinstance(redis, RedisCluster) else "PUBLISH"

    def __repr__(self) -> str:
        return f"RedisMessageBusAdapter(channel_prefix={self._prefix!r})"

    @property
    def redis(self) -> RedisClient:
        """The user's client."""
        return self._client

    @property
    def channel_prefix(self) -> str:
        """The beginning of the names of all channels."""
        return self._prefix

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Publish a message to those who listen at this moment.

        Raises:
            MessagePublishError: Redis did not take it, or the answer was lost.
        """
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Publish messages to those who listen at this moment, up to 1,000 in a request.

        Raises:
            MessagePublishError: names the messages that Redis did not take, and those whose answer
                was lost, which may have been published.
        """
        failures: list[tuple[MessageRecord, str]] = []
        commands: list[tuple[MessageRecord, _Command]] = []
        for message in messages:
            try:
                commands.append((message, self._make_command(message, replay=replay)))
            except (TypeError, ValueError, RecursionError) as error:
                failures.append((message, f"its body is not JSON: {error}"))
        while commands:
            some, commands = commands[:_AT_ONCE], commands[_AT_ONCE:]
            try:
                failures += await self._send(some)
            except REDIS_ERRORS as error:
                reason = describe_fault(error)
                failures += [(each, reason) for each, _ in [*some, *commands]]
                break
        if failures:
            raise MessagePublishError(failures)

    async def _send(
        self, messages: Sequence[tuple[MessageRecord, _Command]]
    ) -> list[tuple[MessageRecord, str]]:
        """Send messages, several in one pipeline, and return those that Redis refused."""
        client: Any = self._client
        if len(messages) == 1:
            await keep_cancellation(client.execute_command(*messages[0][1]))
            return []
        async with client.pipeline(transaction=False) as pipeline:
            for _, command in messages:
                pipeline.execute_command(*command)
            results = await keep_cancellation(pipeline.execute(raise_on_error=False))
        return [
            (message, describe_fault(result))
            for (message, _), result in zip(messages, results, strict=True)
            if isinstance(result, Exception)
        ]

    def _make_command(self, message: MessageRecord, *, replay: bool) -> _Command:
        store_id, kind = message.event_store_id, message.type
        channel = make_channel(self._prefix, store_id, kind, replay=replay)
        return self._command, channel.encode(), format_json(message.body).encode()
