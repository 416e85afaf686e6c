"""Publishing to streams of Redis."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from castore_core import ChannelKind, MessagePublishError, MessageRecord
from castore_core.workers import check_whole
from castore_redis._client import REDIS_ERRORS, Commands, RedisClient, check_client, describe_fault
from castore_redis._entries import make_fields
from castore_redis._group import GROUP, create_group
from castore_redis._keys import check_stream, find_stream, name_streams
from castore_redis._lag import QueueLag, get_lag
from castore_redis._nodes import keep_cancellation
from castore_redis._scripts import ADD

_MOST_MESSAGES: Final = 500  # of one step, during which the server does nothing else
_MOST_CHARACTERS: Final = 4_000_000
_HELD_BACK: Final = "not sent, because messages before it were not taken"


class RedisMessageQueueAdapter:
    """Publishes the messages of a queue to a stream of Redis, or to several.

    A message that was not taken is named by a `MessagePublishError`, with the reason. One whose
    answer was lost may have been taken all the same, and may then come twice.

    With several streams, the messages of an aggregate go to one of them, the same one always:
    each stream has a worker of its own, which keeps the order. Do not change their number before
    the old streams are empty.

    Args:
        redis: a client of redis-py's asyncio, which is yours and never closed: a ``Redis``, the
            master of a ``Sentinel``, or a ``RedisCluster``.
        stream: the key of the stream, or what the keys of several begin with.
        streams: how many there are, 1 or more. Several are named ``stream:0``, ``stream:1``...

    Raises:
        TypeError: ``redis`` is no client of redis-py's asyncio.
        ValueError: an option is out of its bounds.
    """

    channel_kind: ClassVar[ChannelKind] = "queue"
    messaging_system: ClassVar[str] = "redis"

    def __init__(self, redis: RedisClient, *, stream: str, streams: int = 1) -> None:
        check_client(redis)
        check_stream(stream)
        check_whole("streams", streams, 1)
        self._redis = redis
        self._commands = Commands(redis)
        self._name = stream
        self._streams = tuple(name_streams(stream, streams))

    def __repr__(self) -> str:
        return f"RedisMessageQueueAdapter(stream={self._name!r}, streams={len(self._streams)})"

    @property
    def redis(self) -> RedisClient:
        """The user's client."""
        return self._redis

    @property
    def streams(self) -> tuple[str, ...]:
        """The keys of the streams."""
        return self._streams

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Add a message to its stream.

        Raises:
            MessagePublishError: Redis did not take it, or the body is not made of JSON values.
        """
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Add messages to their streams, up to 500 of a stream in one step.

        Redis takes all messages of a step, or none. After a step that failed, no message follows
        on its stream, so that an aggregate has no gap.

        Raises:
            MessagePublishError: names the messages that Redis did not take, and those whose body is
                not made of JSON values.
        """
        batch = _Batch(messages, replay=replay)
        groups = batch.group(self._streams)
        if len(groups) == 1:
            [(stream, entries)] = groups.items()
            await self._add_all(stream, entries, batch)
        elif groups:
            await asyncio.gather(*(self._add_all(*each, batch) for each in groups.items()))
        batch.raise_failures()

    async def create_group(self, group: str = GROUP) -> None:
        """Create the consumer group of a worker on all streams; one that exists stays as it is.

        It begins with the first message that is there.

        Raises:
            RedisError: Redis did not answer, or refused.
        """
        await create_group(self._commands, self._streams, group)

    async def get_lag(self, group: str = GROUP) -> QueueLag:
        """Return how far the workers of a group are behind.

        Raises:
            RedisError: Redis did not answer, or there is no such group.
        """
        return await get_lag(self._commands, self._streams, group)

    async def _add_all(self, stream: str, entries: "Sequence[_Entry]", batch: "_Batch") -> None:
        """Add entries, each step after the one before, until one fails."""
        steps = list(_split(entries))
        for index, step in enumerate(steps):
            try:
                await self._add(stream, step)
            except REDIS_ERRORS as error:
                batch.fail(step, describe_fault(error), error)
                for each in steps[index + 1 :]:
                    batch.fail(each, _HELD_BACK, error)
                return

    async def _add(self, stream: str, entries: "Sequence[_Entry]") -> None:
        if len(entries) == 1:
            call = self._commands.execute("XADD", stream, "*", *entries[0].fields)
        else:
            arguments: list[bytes | int] = []
            for each in entries:
                arguments += [len(each.fields), *each.fields]
            call = self._commands.run(ADD, [stream], *arguments)
        await keep_cancellation(call)


class _Entry:
    """A message of a batch, with its place."""

    def __init__(self, place: int, message: MessageRecord, fields: Sequence[bytes]) -> None:
        self.place = place
        self.message = message
        self.fields = fields
        self.size = sum(map(len, fields))


class _Batch:
    """The messages of a call, and those that failed."""

    def __init__(self, messages: Sequence[MessageRecord], *, replay: bool) -> None:
        self._failures: dict[int, tuple[MessageRecord, str]] = {}
        self._error: Exception | None = None
        self._entries: list[_Entry] = []
        for place, message in enumerate(messages):
            try:
                self._entries.append(_Entry(place, message, make_fields(message, replay=replay)))
            except (TypeError, ValueError, RecursionError) as error:
                self._failures[place] = message, f"the body is not made of JSON values: {error}"
                self._error = error

    def group(self, streams: Sequence[str]) -> dict[str, list[_Entry]]:
        """Return the entries of each stream."""
        groups: dict[str, list[_Entry]] = {}
        for each in self._entries:
            message = each.message
            stream = find_stream(streams, message.event_store_id, message.aggregate_id)
            groups.setdefault(stream, []).append(each)
        return groups

    def fail(self, entries: Iterable[_Entry], reason: str, error: Exception) -> None:
        """Note that messages were not taken."""
        self._failures |= {each.place: (each.message, reason) for each in entries}
        self._error = error

    def raise_failures(self) -> None:
        """Raise an error that names all messages that were not taken, in their order."""
        if self._failures:
            failures = [failure for _, failure in sorted(self._failures.items(), key=_get_place)]
            raise MessagePublishError(failures) from self._error


def _get_place(item: tuple[int, object]) -> int:
    return item[0]


def _split(entries: Sequence[_Entry]) -> Iterator[Sequence[_Entry]]:
    """Split entries into steps that the server makes in a few milliseconds."""
    begin = size = 0
    for end, each in enumerate(entries):
        is_full = end - begin == _MOST_MESSAGES or size + each.size > _MOST_CHARACTERS
        if is_full and end > begin:
            yield entries[begin:end]
            begin, size = end, 0
        size += each.size
    yield entries[begin:]
