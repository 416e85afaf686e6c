"""Handlers of a bus: called one at a time, reported when they raise, and let finish at the end."""

import asyncio
import logging
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from castore_core import NotificationMessage
from castore_redis import HandlerFailed, RedisBusContext, RedisBusListener
from parcels import Delivered, Ordered, delivered, letters, make_bus, ordered, parcels, written

PATIENCE = 10  # seconds


class Notes:
    """The calls of handlers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bool]] = []
        self._changed = asyncio.Event()

    def note(self, name: str, message: NotificationMessage[Any], context: RedisBusContext) -> None:
        """Note a call."""
        self.calls.append((name, message.event.type, context.replay))
        self._changed.set()

    async def wait_for(self, count: int) -> list[tuple[str, str, bool]]:
        """Return the calls, once there are so many."""
        with anyio.fail_after(PATIENCE):
            while len(self.calls) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.calls


async def test_handlers_get_what_they_want(redis: Redis, prefix: str) -> None:
    """Each message once, in the order of publishing, with its channel and its flag."""
    bus, notes = make_bus(redis, prefix), Notes()
    listener = RedisBusListener(bus)

    @listener.on
    async def every(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.note("every", message, context)

    @listener.on(event_types=[Delivered], event_stores=[parcels])
    async def some(message: NotificationMessage[Delivered], context: RedisBusContext) -> None:
        assert f"{prefix}:{{PARCELS}}:DELIVERED" == context.channel.removesuffix(":__REPLAYED__")
        notes.note("some", message, context)

    @listener.on(event_stores=[letters], replays=True)
    def replays(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.calls.append(("replays", message.event.type, context.replay))

    async with listener:
        for replay in (False, True):
            await bus.publish_messages([ordered(1), delivered(1), written(1)], replay=replay)
        await bus.publish_message(ordered(2))
        await notes.wait_for(10)

    assert [
        *(("every", "ORDERED", False), ("every", "DELIVERED", False), ("some", "DELIVERED", False)),
        *(("every", "WRITTEN", False), ("every", "ORDERED", True)),
        *(("every", "DELIVERED", True), ("some", "DELIVERED", True)),
        *(("every", "WRITTEN", True), ("replays", "WRITTEN", True), ("every", "ORDERED", False)),
    ] == notes.calls


async def test_a_handler_that_raises_is_reported(
    redis: Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are called, the next message comes, and the log has no value of the payload."""
    bus, notes, reports = make_bus(redis, prefix), Notes(), list[Any]()
    listener = RedisBusListener(bus, on_report=reports.append)
    error = LookupError("s3cret")

    @listener.on
    async def fail(_: NotificationMessage[Any], __: RedisBusContext) -> None:
        raise error

    @listener.on
    async def other(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.note("other", message, context)

    async with listener:
        await bus.publish_messages([message := ordered(1, payload="s3cret"), delivered(1)])
        await notes.wait_for(2)

    assert [HandlerFailed, HandlerFailed] == [type(each) for each in reports]
    assert (error, message) == (reports[0].error, reports[0].message)
    assert reports[0].handler.endswith("fail")
    assert "LookupError" in caplog.text
    assert "s3cret" not in caplog.text + repr(reports)


async def test_a_hook_that_raises_stops_nothing(redis: Redis, prefix: str) -> None:
    """The listener goes on."""
    bus, notes = make_bus(redis, prefix), Notes()

    def complain(_: object) -> None:
        raise LookupError("the hook is to blame")

    listener = RedisBusListener(bus, on_report=complain)

    @listener.on
    async def note_and_fail(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.note("", message, context)
        raise LookupError("the handler is to blame")

    async with listener:
        await bus.publish_messages([ordered(1), ordered(2)])
        await notes.wait_for(2)


async def test_a_running_handler_may_finish(redis: Redis, prefix: str) -> None:
    """The handler that runs finishes when the listener is stopped, and no other begins."""
    bus, calls, begun = make_bus(redis, prefix), list[str](), asyncio.Event()
    listener = RedisBusListener(bus)

    @listener.on
    async def slow(message: NotificationMessage[Any], _: RedisBusContext) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        calls.append(message.event.aggregate_id)

    runner = asyncio.ensure_future(listener.run())
    await publish_until(begun, bus)
    listener.stop()
    with anyio.fail_after(PATIENCE):
        await runner

    assert ["p1"] == calls


async def test_a_handler_that_does_not_finish_is_cancelled(redis: Redis, prefix: str) -> None:
    """After the grace period."""
    bus, begun, cancelled = make_bus(redis, prefix), asyncio.Event(), asyncio.Event()
    listener = RedisBusListener(bus, grace_period=0.05)

    @listener.on
    async def hang(_: NotificationMessage[Any], __: RedisBusContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with anyio.fail_after(PATIENCE):
        async with listener:
            await bus.publish_message(ordered(1))
            await begun.wait()

    assert cancelled.is_set()


async def test_a_scope_that_cancels_repeatedly(redis: Redis, prefix: str) -> None:
    """A handler may finish although its scope cancels again and again."""
    bus, begun, finished = make_bus(redis, prefix), asyncio.Event(), asyncio.Event()
    listener = RedisBusListener(bus)

    @listener.on
    async def slow(_: NotificationMessage[Any], __: RedisBusContext) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        finished.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.run)
            await publish_until(begun, bus)
            tasks.cancel_scope.cancel()

    assert finished.is_set()
    client: Any = redis
    assert 0 == await client.publish(f"{prefix}:{{PARCELS}}:ORDERED", "{}")


async def test_a_cancelled_thing_in_a_handler_is_a_failure(redis: Redis, prefix: str) -> None:
    """The handler awaited something that was cancelled; the listener was not."""
    bus, notes, reports = make_bus(redis, prefix), Notes(), list[Any]()
    listener = RedisBusListener(bus, on_report=reports.append)

    @listener.on
    async def await_cancelled(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.note("", message, context)
        raise asyncio.CancelledError

    async with listener:
        await bus.publish_messages([ordered(1), ordered(2)])
        await notes.wait_for(2)

    assert {HandlerFailed} == {type(each) for each in reports}


async def test_a_handler_that_cancels_its_task_is_a_failure(redis: Redis, prefix: str) -> None:
    """The listener goes on: its end would be silent."""
    bus, notes, reports = make_bus(redis, prefix), Notes(), list[Any]()
    listener = RedisBusListener(bus, on_report=reports.append)

    @listener.on
    async def handle(message: NotificationMessage[Any], context: RedisBusContext) -> None:
        notes.note("handle", message, context)
        if message.event.aggregate_id == "p1":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    async with listener:
        await bus.publish_messages([ordered(1), ordered(2)])
        await notes.wait_for(2)
    assert [HandlerFailed] == [type(each) for each in reports]


async def test_mistakes(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    """A listener needs handlers, runs once, and takes no class for a handler."""
    caplog.set_level(logging.CRITICAL)
    listener = RedisBusListener(make_bus(Redis(), prefix))
    anything: Any = listener

    with pytest.raises(RuntimeError, match="has no handlers"):
        await listener.run()
    with pytest.raises(RuntimeError, match="has run already"):
        await listener.run()
    with pytest.raises(TypeError, match="class"):
        anything.on(Ordered)
    with pytest.raises(TypeError, match="does not take a message"):
        anything.on(len)
    with pytest.raises(ValueError, match="grace_period"):
        RedisBusListener(make_bus(Redis(), prefix), grace_period=-1)


async def publish_until(begun: asyncio.Event, bus: Any) -> None:
    """Publish one message, again and again until somebody is there."""
    with anyio.fail_after(PATIENCE):
        while not begun.is_set():
            await bus.publish_message(ordered(1))
            with anyio.move_on_after(0.05):
                await begun.wait()
