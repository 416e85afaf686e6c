"""Without leases, workers share a stream, and what a dead one had is claimed."""

import asyncio
from typing import Any

from castore_redis import MessageHandled, MessageLost


async def test_workers_share_a_stream(bench: Any) -> None:
    """Each message is handled by one of them."""
    both = asyncio.Barrier(2)

    async def handle(*_: object) -> None:
        await both.wait()

    options: Any = {"ordered": False, "concurrency": 1}
    async with bench.make_worker(handle, **options), bench.make_worker(handle, **options):
        for number in range(20):
            await bench.publish(f"pokemon-{number}")
        await bench.until_done()

    assert 20 == len(set(bench.handled)) == len(bench.handled)


async def test_what_a_dead_worker_had_is_claimed(bench: Any) -> None:
    """After the visibility timeout, and its consumer is removed when it was idle for long."""
    await bench.publish("pikachu", range(2, 300))
    await bench.die_with(150)

    async with bench.make_worker(ordered=False, visibility_timeout=0.2):
        await bench.until_done()
        await bench.until(lambda: _is_forgotten(bench, b"dead"))

    assert 298 == len(set(bench.handled)) == len(bench.handled)
    assert [1] * 148 + [2] * 150 == sorted(bench.attempts)


async def _is_forgotten(bench: Any, consumer: bytes) -> bool:
    consumers = await bench.client.xinfo_consumers(bench.stream, "castore")
    return consumer not in [each["name"] for each in consumers]


async def test_a_slow_handler_keeps_its_message(bench: Any) -> None:
    """Heartbeats reset its idle time, and do not count as attempts."""
    await bench.publish("pikachu")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.9)

    options: Any = {"ordered": False, "visibility_timeout": 0.3}
    async with bench.make_worker(handle, **options), bench.make_worker(handle, **options):
        await bench.until_done()

    assert [("pikachu", 2)] == bench.handled
    assert [1] == bench.attempts


async def test_a_message_that_was_claimed_is_left_to_others(bench: Any) -> None:
    """That is told. A handler that runs goes on; what failed is not tried again here."""
    await bench.publish("pikachu")
    await bench.publish("eevee")

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id == "pikachu":
            await bench.until(lambda: bench.told(MessageLost))
        else:
            raise ValueError("no")

    async with bench.make_worker(handle, ordered=False, visibility_timeout=0.3, retry_delay=0.5):
        await bench.until(lambda: len(bench.reports) > 2)
        pending = await bench.client.xpending_range(bench.stream, "castore", "-", "+", 10)
        ids = [each["message_id"] for each in pending]
        await bench.client.xclaim(bench.stream, "castore", "another", 0, ids)
        await bench.until(lambda: len(bench.told(MessageLost)) == 2)
        await bench.until(lambda: bench.told(MessageHandled))

    assert [("pikachu", 2)] == bench.handled[:1]
