"""Publishing to a bus: what is refused is named, and all other messages are published."""

from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from castore_core import MessagePublishError, MessageRecord, NotificationMessageQueue
from castore_redis import RedisMessageBusAdapter, listen
from listener_reports import Reports, receive
from parcels import delivered, make_bus, ordered, written


async def test_channels_that_a_user_may_not_use(
    redis: Redis, reader: Redis, place: tuple[str, int], prefix: str
) -> None:
    """The messages on them are named, each with the server's reason, and all others arrive."""
    anything: Any = reader
    name = f"u{uuid4().hex}"
    allowed = f"&{prefix}:{{PARCELS}}:ORDERED"
    await anything.execute_command(
        *("ACL", "SETUSER", name, "on", ">pw", "+@all", "resetchannels", allowed)
    )
    pool: Any = reader.connection_pool
    port: int = pool.connection_kwargs["port"]
    user = Redis(port=port, username=name, password="pw", protocol=place[1])  # noqa: S106 of a test

    async with listen(make_bus(redis, prefix)) as messages:
        expected = [ordered(1), ordered(2)]
        with pytest.raises(MessagePublishError) as caught:
            await make_bus(user, prefix).publish_messages(
                [expected[0], delivered(1), written(1), expected[1]]
            )
        received = aiter(messages)
        assert expected == [await anext(received), await anext(received)]

    with pytest.raises(MessagePublishError) as alone:
        await make_bus(user, prefix).publish_message(delivered(1))
    failures = [*caught.value.failures, *alone.value.failures]
    names = [(message.type, reason) for message, reason in failures]
    assert ["DELIVERED", "WRITTEN", "DELIVERED"] == [each for each, _ in names]
    assert all("NoPermissionError" in reason for _, reason in names)
    await user.aclose()
    await anything.execute_command("ACL", "DELUSER", name)


async def test_more_than_a_pipeline_takes(redis: Redis, prefix: str) -> None:
    """They arrive all, in their order."""
    bus = make_bus(redis, prefix)
    expected = [ordered(number) for number in range(2_500)]

    async with listen(bus) as messages:
        await bus.publish_messages(expected)
        received = aiter(messages)
        assert expected == [await anext(received) for _ in expected]


async def test_a_body_that_is_nested_too_deeply(redis: Redis, prefix: str) -> None:
    """Its message is named, and all others are published."""
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    deep, plain = (
        MessageRecord("PARCELS", "p1", 1, "ORDERED", body) for body in ({"deep": nested}, {})
    )

    with pytest.raises(MessagePublishError) as caught:
        await RedisMessageBusAdapter(redis, channel_prefix=prefix).publish_messages([deep, plain])
    assert [deep] == [each for each, _ in caught.value.failures]


async def test_mistakes(redis: Redis) -> None:
    """A queue does not take the adapter of a bus, and a URL is no client."""
    anything: Any = RedisMessageBusAdapter
    with pytest.raises(TypeError, match="is for a bus"):
        NotificationMessageQueue(
            "QUEUE", source_event_stores=(), message_channel_adapter=RedisMessageBusAdapter(redis)
        )
    with pytest.raises(TypeError, match=r"none of redis\.asyncio"):
        anything("redis://")
    adapter = RedisMessageBusAdapter(redis, channel_prefix="post")
    assert ("RedisMessageBusAdapter(channel_prefix='post')", redis, "post") == (
        repr(adapter),
        adapter.redis,
        adapter.channel_prefix,
    )


@pytest.mark.parametrize(
    "strange",
    [
        MessageRecord("PARCELS", "p2", 1, "ORDERED", {"eventStoreId": "\ud800"}),
        MessageRecord("PARCELS", "p2", 1, "\ud800", {"eventStoreId": "PARCELS"}),
    ],
)
async def test_text_that_is_not_well_formed(
    redis: Redis, prefix: str, strange: MessageRecord
) -> None:
    """Its message is named, and the others go."""
    bus = make_bus(redis, prefix)
    adapter = RedisMessageBusAdapter(redis, channel_prefix=prefix)
    fine = MessageRecord("PARCELS", "p1", 1, "DELIVERED", {"eventStoreId": "PARCELS"})
    reports = Reports()

    async with listen(bus, on_report=reports.tell) as messages:
        with pytest.raises(MessagePublishError) as caught:
            await adapter.publish_messages([fine, strange, fine])
        await bus.publish_message(ordered(3))
        assert "p3" == await receive(aiter(messages))

    assert [strange] == [each for each, _ in caught.value.failures]
    assert 2 == len(reports.all)
