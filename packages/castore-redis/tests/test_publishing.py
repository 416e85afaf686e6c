"""Publishing sends messages, and names those that were not taken."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from castore_core import JSONValue, MessagePublishError, MessageRecord
from castore_redis import RedisMessageQueueAdapter

Make = Callable[..., Awaitable[Any]]


def make_record(
    aggregate_id: str = "pikachu", version: int = 1, payload: JSONValue = None
) -> MessageRecord:
    """Return a message."""
    body: dict[str, JSONValue] = {"eventStoreId": "POKEMONS", "event": {"payload": payload}}
    return MessageRecord("POKEMONS", aggregate_id, version, "NOTED", body)


@pytest.fixture
async def client(make_client: Make, url: str) -> Any:
    """Give the client of adapters."""
    return await make_client(url, decode_responses=True)


async def test_an_entry_has_the_message_and_its_place(client: Any, stream: str) -> None:
    """The JSON, the ids that tell its aggregate, and a flag on replays alone."""
    adapter = RedisMessageQueueAdapter(client, stream=stream)
    await adapter.publish_message(make_record())
    await adapter.publish_messages([make_record(), make_record()], replay=True)

    fields = {
        "eventStoreId": "POKEMONS",
        "aggregateId": "pikachu",
        "body": '{"eventStoreId":"POKEMONS","event":{"payload":null}}',
    }
    replayed = {**fields, "replay": "1"}
    entries = await client.xrange(stream)
    assert [fields, replayed, replayed] == [each for _, each in entries]


async def test_an_aggregate_has_one_stream(client: Any, stream: str) -> None:
    """All streams are used, and each aggregate's messages are in one, in their order."""
    adapter = RedisMessageQueueAdapter(client, stream=stream, streams=3)
    await adapter.publish_messages(
        [make_record(str(number), version) for version in (1, 2) for number in range(30)]
    )

    names = [f"{stream}:{number}" for number in range(3)]
    assert tuple(names) == adapter.streams
    found = [[each["aggregateId"] for _, each in await client.xrange(name)] for name in names]
    assert all(each[: len(each) // 2] == each[len(each) // 2 :] for each in found)
    assert sorted(map(str, range(30))) == sorted({each for ids in found for each in ids})


async def test_bodies_that_are_no_json_are_named(client: Any, stream: str) -> None:
    """In the order of the batch, and all others go."""
    adapter = RedisMessageQueueAdapter(client, stream=stream)
    bad: Any = object()
    records = [make_record(version=1), make_record(version=2, payload=bad), make_record(version=3)]

    with pytest.raises(MessagePublishError, match="not made of JSON values") as caught:
        await adapter.publish_messages(records)

    assert [records[1]] == [each for each, _ in caught.value.failures]
    assert 2 == await client.xlen(stream)


async def test_what_one_stream_refuses_is_named(client: Any, stream: str) -> None:
    """With what would have followed it there; the other streams take theirs."""
    adapter = RedisMessageQueueAdapter(client, stream=stream, streams=2)
    await client.set(adapter.streams[0], "no stream")
    records = [make_record(str(number), payload="secret") for number in range(2000)]

    with pytest.raises(MessagePublishError, match="WRONGTYPE") as caught:
        await adapter.publish_messages(records)

    failed = [each for each, _ in caught.value.failures]
    assert 2000 == len(failed) + await client.xlen(adapter.streams[1])
    assert sorted(failed, key=records.index) == failed
    reasons = {reason for _, reason in caught.value.failures}
    assert 2 == len(reasons)
    assert "secret" not in str(reasons)
    assert failed == [each for each, _ in pickle.loads(pickle.dumps(caught.value)).failures]  # noqa: S301


async def test_a_cancelled_publish_leaves_the_client_usable(client: Any, stream: str) -> None:
    """At whatever moment: later answers are not mistaken for its own."""
    adapter = RedisMessageQueueAdapter(client, stream=stream)
    for turns in range(30):
        task = asyncio.create_task(adapter.publish_messages([make_record(), make_record()]))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await client.set(f"{stream}:turns", turns)
        assert str(turns) == await client.get(f"{stream}:turns")
    await adapter.publish_message(make_record("last"))

    [(_, fields)] = await client.xrevrange(stream, count=1)
    assert "last" == fields["aggregateId"]
    assert 1 == await client.xlen(stream) % 2  # each batch as a whole, or not at all


async def test_a_server_that_is_down(make_client: Make, stream: str) -> None:
    """The error names all messages, with the reason."""
    client = await make_client("redis://127.0.0.1:1", socket_connect_timeout=0.1)
    adapter = RedisMessageQueueAdapter(client, stream=stream)
    records = [make_record(version=each) for each in range(1, 4)]

    with pytest.raises(MessagePublishError, match="ConnectionError") as caught:
        await adapter.publish_messages(records)

    assert records == [each for each, _ in caught.value.failures]


async def test_nothing_is_published(client: Any, stream: str) -> None:
    """A batch without messages makes no request."""
    await RedisMessageQueueAdapter(client, stream=stream).publish_messages([])
    assert not await client.exists(stream)
