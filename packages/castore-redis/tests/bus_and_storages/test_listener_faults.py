"""Listeners whose server or connection goes away: they connect again, and say what they missed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff

from castore_core import NotificationMessage
from castore_redis import ConnectionLost, MessagesMissed, RedisBusListener, listen
from listener_reports import PATIENCE, Reports, receive
from parcels import make_bus, ordered
from private_redis import PrivateRedis, private_redis
from tcp_proxy import TCPProxy, tcp_proxy


@pytest.fixture
def server() -> Generator[PrivateRedis]:
    """Give a server of the test's own."""
    with private_redis() as server:
        yield server


@pytest.fixture(params=["client-retries", "client-does-not"])
def retry(request: pytest.FixtureRequest) -> Retry:
    """Give a client's way to try again: some connect by themselves, which we have to notice."""
    if request.param == "client-retries":
        return Retry(ConstantBackoff(0.1), 30)
    return Retry(NoBackoff(), 0)


@pytest.fixture(params=["redis", "valkey"])
def proxy(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> Generator[TCPProxy]:
    """Give a proxy before a server."""
    place = urlsplit(find_server(request.param))
    with tcp_proxy(place.hostname or "", place.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def proxied(proxy: TCPProxy, retry: Retry) -> AsyncGenerator[Redis]:
    """Give a client of the proxy."""
    client = Redis(port=proxy.port, protocol=3, retry=retry)
    yield client
    await client.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_server_that_is_killed_and_restarted(
    server: PrivateRedis, prefix: str, retry: Retry, protocol: int
) -> None:
    """The listener hears what is published afterwards, and reports when it was not subscribed."""
    reports = Reports()
    client, publisher = (
        Redis(port=server.port, protocol=protocol, retry=retry),
        Redis(port=server.port),
    )
    bus = make_bus(publisher, prefix)

    async with listen(make_bus(client, prefix), on_report=reports.tell) as subscription:
        messages = aiter(subscription)
        for number in range(1, 4):
            before = datetime.now(UTC)
            await bus.publish_message(ordered(2 * number))
            assert f"p{2 * number}" == await receive(messages)
            await asyncio.to_thread(server.kill)
            killed = datetime.now(UTC)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
            started = datetime.now(UTC)
            missed = await reports.wait_for(MessagesMissed, number)
            assert before <= missed.since <= killed
            assert started - timedelta(seconds=0.5) <= missed.until <= datetime.now(UTC)
            await bus.publish_message(ordered(2 * number + 1))
            assert f"p{2 * number + 1}" == await receive(messages)

    for each in (client, publisher):
        await each.aclose()


async def test_connections_that_are_cut(proxied: Redis, proxy: TCPProxy, prefix: str) -> None:
    """Each cut is reported once, and nothing else is missed or comes twice."""
    reports = Reports()
    bus = make_bus(proxied, prefix)

    async with listen(bus, on_report=reports.tell) as subscription:
        messages = aiter(subscription)
        for number in range(1, 6):
            await asyncio.to_thread(proxy.cut)
            await reports.wait_for(MessagesMissed, number)
            await proxied.connection_pool.disconnect(inuse_connections=False)
            await bus.publish_message(ordered(number))
            assert f"p{number}" == await receive(messages)

    assert 5 == sum(isinstance(each, MessagesMissed) for each in reports.all)


async def test_a_connection_that_is_half_open(proxied: Redis, proxy: TCPProxy, prefix: str) -> None:
    """Nothing says that it is gone: the listener asks, and connects again after some silence."""
    reports = Reports()
    bus = make_bus(proxied, prefix)

    async with listen(bus, ping_interval=0.2, on_report=reports.tell) as subscription:
        await asyncio.sleep(1)
        assert [] == reports.all  # an idle connection answers
        proxy.is_silent = True
        lost = await reports.wait_for(ConnectionLost)
        assert "silent" in str(lost.error)
        proxy.is_silent = False
        await reports.wait_for(MessagesMissed)
        await proxied.connection_pool.disconnect(inuse_connections=False)
        await bus.publish_message(ordered(1))
        assert "p1" == await receive(aiter(subscription))


async def test_a_slow_consumer(server: PrivateRedis, prefix: str) -> None:
    """The server closes a connection that is not read, and the listener tells it, and goes on."""
    reports = Reports()
    client, reader = Redis(port=server.port), Redis(port=server.port)
    anything: Any = client
    await anything.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
    bus = make_bus(client, prefix)
    payload = "x" * 100_000

    async with listen(make_bus(reader, prefix), buffer_size=1, on_report=reports.tell) as messages:
        for number in range(200):
            await bus.publish_message(ordered(number, payload=payload))
        received = [await receive(aiter(messages)) for _ in range(10)]
        assert [f"p{number}" for number in range(10)] == received
        reading = asyncio.ensure_future(read_until(messages, "p1000"))
        await reports.wait_for(MessagesMissed)
        await bus.publish_message(ordered(1000))
        with anyio.fail_after(PATIENCE):
            received = await reading

    assert len(received) < 190
    for each in (client, reader):
        await each.aclose()


async def test_handlers_go_on_after_a_restart(server: PrivateRedis, prefix: str) -> None:
    """The decorator's listener connects again, too."""
    reports, heard = Reports(), list[str]()
    client = Redis(port=server.port)
    bus = make_bus(client, prefix)
    listener = RedisBusListener(bus, on_report=reports.tell)

    @listener.on
    async def hear(message: NotificationMessage[Any], _: object) -> None:
        heard.append(message.event.aggregate_id)

    async with listener:
        await asyncio.to_thread(server.kill)
        await reports.wait_for(ConnectionLost)
        await asyncio.to_thread(server.start)
        await reports.wait_for(MessagesMissed)
        await bus.publish_message(ordered(1))
        with anyio.fail_after(PATIENCE):
            while not heard:  # noqa: ASYNC110 simple
                await asyncio.sleep(0.01)

    assert ["p1"] == heard
    await client.aclose()


async def test_a_listener_ends_while_the_server_is_away(server: PrivateRedis, prefix: str) -> None:
    """It does not wait for the server."""
    reports = Reports()
    client = Redis(port=server.port, retry=Retry(ConstantBackoff(1), 100))
    with anyio.fail_after(10):
        async with listen(make_bus(client, prefix), on_report=reports.tell):
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.3)
    await client.aclose()


async def read_until(messages: Any, last: str) -> list[str]:
    """Return ids of aggregates up to the last one."""
    found: list[str] = []
    async for message in messages:
        found.append(message.event.aggregate_id)
        if found[-1] == last:
            break
    return found
