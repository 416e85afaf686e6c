"""Messages are handled in the order of their aggregate, and tried again until they are dead."""

import asyncio
from typing import Any

import pytest

from castore_core import NotificationMessage
from castore_redis import (
    HandlerGivenUp,
    MessageDeadLettered,
    MessageFailed,
    MessageHandled,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    RedisMessageContext,
    RedisWorker,
)

each_order = pytest.mark.parametrize("ordered", [True, False])


@each_order
async def test_all_is_handled_and_acknowledged(bench: Any, *, ordered: bool) -> None:
    """Each message once, in the order of its aggregate, and nothing stays pending."""
    names = ("bulbasaur", "charmander", "squirtle")
    for each in names:
        await bench.publish(each, range(2, 40))

    async with bench.make_worker(ordered=ordered):
        await bench.until_done()

    assert {name: list(range(2, 40)) for name in names} == {
        name: bench.versions(name) for name in names
    }
    assert {1} == set(bench.attempts)
    assert 114 == len(bench.told(MessageHandled))
    assert 114 == sum(each.count for each in bench.told(MessagesReceived))


@each_order
async def test_concurrency_is_bounded(bench: Any, *, ordered: bool) -> None:
    """So many aggregates are handled at once, and no more."""
    for number in range(20):
        await bench.publish(f"pokemon-{number}")
    running, most = 0, 0

    async def handle(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    async with bench.make_worker(handle, ordered=ordered, concurrency=4):
        await bench.until_done()

    assert 4 == most
    assert 20 == len(bench.handled)


@each_order
async def test_what_failed_is_tried_again_before_what_follows(bench: Any, *, ordered: bool) -> None:
    """Its aggregate waits for it, also with what comes later, and others go on."""
    await bench.publish("pikachu", range(2, 6))
    attempts: list[int] = []

    async def handle(event: Any, context: RedisMessageContext) -> None:
        if (event.aggregate_id, event.version) == ("pikachu", 3):
            attempts.append(context.attempt)
            if len(attempts) == 1:
                await bench.publish("pikachu", [6])
                await bench.publish("eevee", range(2, 30))
            if len(attempts) < 4:
                raise ValueError("no")

    async with bench.make_worker(handle, ordered=ordered, concurrency=1, retry_delay=0.1):
        await bench.until(lambda: len(bench.handled) == 33)
        await bench.until_done()

    assert [1, 2, 3, 4] == attempts
    assert [2, 3, 4, 5, 6] == bench.versions("pikachu")
    assert list(range(2, 30)) == bench.versions("eevee")
    assert bench.handled.index(("eevee", 29)) < bench.handled.index(("pikachu", 3))
    assert [1, 2, 3] == [each.context.attempt for each in bench.told(MessageFailed)]


async def test_after_its_attempts_a_message_is_a_dead_letter(bench: Any) -> None:
    """It is moved with all its fields, and its aggregate goes on."""
    await bench.publish("pikachu", range(2, 5))

    async def handle(event: Any, _: object) -> None:
        if event.version == 3:
            raise ValueError("no")

    async with bench.make_worker(handle, max_attempts=3):
        await bench.until_done()

    assert [2, 4] == bench.versions("pikachu")
    [letter] = await bench.dead()
    assert 3 == bench.queue.parse_message(letter[b"body"]).event.version
    [report] = bench.told(MessageDeadLettered)
    assert 3 == report.attempts
    assert (report.message_id.encode(), b"3") == (letter[b"messageId"], letter[b"attempts"])
    assert 1 == (await bench.adapter.get_lag()).dead_letters


async def test_a_message_that_kills_its_workers_is_a_dead_letter(bench: Any) -> None:
    """No handler gets it once as many workers died with it as it has attempts."""
    await bench.publish("pikachu", range(2, 5))
    await bench.die_with(1, attempts=3)

    async with bench.make_worker(max_attempts=3):
        await bench.until_done()

    assert [3, 4] == bench.versions("pikachu")
    assert [3] == [each.attempts for each in bench.told(MessageDeadLettered)]


_LATIN_1 = b"""{"eventStoreId":"POKEMONS","event":{"aggregateId":"flab\xe9b\xe9","version":2,
"type":"POKEMON_LEVELED_UP","timestamp":"2026-01-01T00:00:00.000Z"}}"""


@pytest.mark.parametrize(
    "fields",
    [{"body": "poison"}, {"other": "field"}, {"body": b"\xff", "replay": "1"}, {"body": _LATIN_1}],
)
async def test_poison_is_a_dead_letter(bench: Any, fields: Any) -> None:
    """Entries that are no message of the channel block nobody."""
    await bench.client.xadd(bench.stream, fields)
    await bench.publish("pikachu", range(2, 5))

    async with bench.make_worker(max_attempts=2, concurrency=1):
        await bench.until_done()

    assert [2, 3, 4] == bench.versions("pikachu")
    assert [1, 2] == [each.attempt for each in bench.told(MessageUnreadable)]
    assert 1 == len(await bench.dead())


async def test_other_types_are_skipped(bench: Any) -> None:
    """They count as handled where the channel skips unknown types."""
    bench.queue.skip_unknown_types = True
    body = (
        '{"eventStoreId":"POKEMONS","event":{"aggregateId":"a","version":1,"type":"OTHER",'
        '"timestamp":"2024-05-01T10:00:00.000Z"}}'
    )
    await bench.client.xadd(bench.stream, {"body": body})

    async with bench.make_worker():
        await bench.until_done()

    assert 1 == len(bench.told(MessageSkipped))
    assert [] == await bench.dead()


async def test_replays_are_told(bench: Any) -> None:
    """The context says which messages are, and which stream they came from."""
    await bench.publish("pikachu")
    await bench.publish("pikachu", replay=True)

    async with bench.make_worker():
        await bench.until_done()

    contexts = [each.context for each in bench.told(MessageHandled)]
    assert [False, True] == [each.replay for each in contexts]
    assert {bench.stream} == {each.stream for each in contexts}


async def test_the_delay_may_depend_on_the_attempt(bench: Any) -> None:
    """A function tells it; where that fails, the message waits for the visibility timeout."""
    await bench.publish("pikachu")
    asked: list[int] = []

    def get_delay(attempt: int) -> float:
        asked.append(attempt)
        return 0 if attempt == 1 else -1

    async def handle(_: object, context: RedisMessageContext) -> None:
        if context.attempt < 3:
            raise ValueError("no")

    async with bench.make_worker(handle, retry_delay=get_delay, visibility_timeout=0.3):
        await bench.until_done()

    assert [1, 2] == asked
    assert [3] == bench.attempts


async def test_waiting_messages_are_bounded(bench: Any) -> None:
    """Nothing is received while too many wait behind one that fails."""
    await bench.publish("pikachu", range(2, 60))
    is_mended = asyncio.Event()

    async def handle(*_: object) -> None:
        if not is_mended.is_set():
            raise ValueError("no")

    options: Any = {"max_attempts": None, "max_waiting": 10, "batch_size": 5, "concurrency": 5}
    async with bench.make_worker(handle, **options):
        await bench.until(lambda: len(bench.told(MessageFailed)) > 5)
        lag = await bench.adapter.get_lag()
        assert 10 <= lag.pending < 20
        assert 58 == lag.pending + lag.waiting
        is_mended.set()
        await bench.until_done()

    assert list(range(2, 60)) == bench.versions("pikachu")


async def test_a_handler_that_takes_too_long_fails(bench: Any) -> None:
    """It is cancelled, and its message is tried again."""
    await bench.publish("pikachu")

    async def handle(_: object, context: RedisMessageContext) -> None:
        if context.attempt == 1:
            await asyncio.Event().wait()

    async with bench.make_worker(handle, handler_timeout=0.05):
        await bench.until_done()

    assert [2] == bench.attempts
    assert 1 == len(bench.told(MessageTimedOut))


async def test_plain_functions_run_in_threads(bench: Any) -> None:
    """One that hangs is given up, and does not keep the worker from its other messages."""
    await bench.publish("pikachu")
    await bench.publish("eevee")
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled: list[str] = []

    def handle(message: NotificationMessage[Any], context: RedisMessageContext) -> None:
        if context.attempt == 1 and message.event.aggregate_id == "pikachu":
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        handled.append(message.event.aggregate_id)

    worker = RedisWorker(
        *(bench.queue, handle),
        handler_timeout=0.1,
        retry_delay=0.01,
        on_report=bench.reports.append,
    )
    async with worker:
        await bench.until_done()
        release.set()

    assert ["eevee", "pikachu"] == sorted(handled)[:2]
    assert 1 == len(bench.told(HandlerGivenUp))


async def test_strange_ids_keep_their_order(bench: Any) -> None:
    """Ids are data: none is mistaken for another, whatever characters it has."""
    names = ["a\0b", "a", "a#2", "é\u2028", "{x}", " ", "x" * 1000]
    for each in names:
        await bench.publish(each, range(2, 6))

    async with bench.make_worker():
        await bench.until_done()

    assert {name: [2, 3, 4, 5] for name in names} == {name: bench.versions(name) for name in names}
