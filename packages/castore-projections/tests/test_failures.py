"""Events that fail: attempts, parking, retries, drops, and the circuit."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts import Closed, Deposited, World, eventually
from castore_core import EventRecord, UnknownEventTypeError, use_clock
from castore_projections import (
    CircuitClosed,
    CircuitOpened,
    CircuitOpenError,
    EventFailed,
    EventParked,
    EventParkedError,
    EventSkipped,
    EventUnparked,
    Projection,
    ProjectionContext,
    ProjectionReport,
)


class Switch:
    """Lets the handler of closings fail, as long as it is broken."""

    def __init__(self, projection: Projection[Any]) -> None:
        self.is_broken = True
        self.handled: list[tuple[str, int]] = []
        self.attempts: list[int] = []
        projection.on(Closed)(self.close)

    async def close(self, event: Closed, context: ProjectionContext[Any]) -> None:
        """Fail, or note the event."""
        self.attempts.append(context.attempt)
        if self.is_broken:
            raise ValueError(f"secret of {event.aggregate_id}")
        self.handled.append((event.aggregate_id, event.version))


async def push_closed(world: World, *aggregate_ids: str) -> None:
    """Push an opening, a deposit of 1, and a closing of each account."""
    for each in aggregate_ids:
        await world.push(each, 1)
        await world.accounts.push_event(Closed(each, 3))


async def test_attempts_are_counted(world: World) -> None:
    """An event is tried ``max_attempts`` times; the handler knows which one it is."""
    projection = world.project(max_attempts=4)
    switch = Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()

    assert [1, 2, 3, 4] == switch.attempts
    assert {"a": 1} == await world.read()


async def test_one_attempt(world: World) -> None:
    """With one attempt, the event is parked at once."""
    projection = world.project(max_attempts=1)
    switch = Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()

    assert [1] == switch.attempts
    assert 1 == (await projection.status()).failed


async def test_events_before_a_failure_are_handled_once(world: World) -> None:
    """Deposits in the batch of an event that fails count once, also where nothing is undone."""
    projection = world.project(max_attempts=2)
    Switch(projection)
    for each in ("a", "b", "c"):
        await push_closed(world, each)
    await projection.run_once()

    assert {"a": 1, "b": 1, "c": 1} == await world.read()
    assert 3 == (await projection.status()).failed


async def test_continue_on_error(world: World) -> None:
    """The event is reported and passed over; its aggregate goes on."""
    reports: list[ProjectionReport] = []
    projection = world.project(continue_on_error=True, on_report=reports.append)
    Switch(projection)
    await push_closed(world, "a")
    await world.push("a", 5)
    await projection.run_once()

    assert {"a": 6} == await world.read()
    assert 0 == (await projection.status()).failed
    (skipped,) = [each for each in reports if isinstance(each, EventSkipped)]
    assert ("a", 3, 3) == (skipped.aggregate_id, skipped.version, skipped.attempt)


async def test_reports(world: World) -> None:
    """Each failure is reported, then the parking, then the retry."""
    reports: list[ProjectionReport] = []
    projection = world.project(max_attempts=2, on_report=reports.append)
    switch = Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()
    switch.is_broken = False
    await projection.retry_parked_events()
    await projection.run_once()

    kinds = (EventFailed, EventParked, EventUnparked)
    assert [EventFailed, EventFailed, EventParked, EventUnparked] == [
        type(each) for each in reports if isinstance(each, kinds)
    ]


async def test_log_shows_no_texts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The texts of errors are not logged by default, and the fields of reports are."""
    caplog.set_level(logging.DEBUG, "castore_projections")
    projection = world.project()
    Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()

    assert "secret of a" not in caplog.text
    (parked,) = [each for each in caplog.records if "EventParked" in each.getMessage()]
    assert "sums" == vars(parked)["castore_name"]
    assert "ValueError" == vars(parked)["castore_error"]


async def test_log_shows_texts_where_asked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """With ``log_error_texts``, it shows them."""
    projection = world.project(log_error_texts=True)
    Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()

    assert "secret of a" in caplog.text


async def test_hook_that_raises_stops_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the hook is logged."""

    def refuse(report: ProjectionReport) -> None:
        raise RuntimeError(f"no {type(report).__name__}")

    await world.push("a", 1)
    assert 1 == await world.project(on_report=refuse).run_once()
    assert "the hook for reports raised" in caplog.text


async def test_retry_fails_again(world: World) -> None:
    """A retry that fails parks the event again, with one attempt more; others stay behind it."""
    projection = world.project(max_attempts=2)
    Switch(projection)
    await push_closed(world, "a")
    await world.push("a", 5)
    await projection.run_once()
    await projection.retry_parked_events()
    await projection.run_once()

    failed, waiting = [each async for each in projection.iter_parked_events()]
    assert (3, 3) == (failed.version, failed.attempts)
    assert (4, None) == (waiting.version, waiting.failure)
    assert {"a": 1} == await world.read()


@pytest.mark.parametrize("partitions", [1, 4])
async def test_parked_events_are_walked_from_a_position(world: World, partitions: int) -> None:
    """They come in the order of the log, whatever their partitions, from a position on."""
    projection = world.project(partitions=partitions, max_attempts=1)
    Switch(projection)
    names = ("a", "b", "c", "d")
    await push_closed(world, *names)
    for _ in range(30):
        for each in names:
            await world.push(each, 1)  # it waits behind the one that fails
    await projection.run_once()

    walked = [each async for each in projection.iter_parked_events()]
    positions = [each.position for each in walked]
    assert len(walked) > 100
    assert sorted(positions) == positions
    for place in (0, 50, len(walked) - 1):
        rest = projection.iter_parked_events(after=positions[place])
        assert walked[place + 1 :] == [each async for each in rest]


async def test_drop(world: World) -> None:
    """A dropped event is never handled, and those behind it are."""
    projection = world.project()
    switch = Switch(projection)
    await push_closed(world, "a")
    await world.push("a", 5)
    await projection.run_once()
    switch.is_broken = False
    (event, _) = [each async for each in projection.iter_parked_events()]

    assert 1 == await projection.drop_parked_events(event=event)
    await projection.run_once()
    assert [] == switch.handled
    assert {"a": 6} == await world.read()


async def test_drop_needs_to_be_told(world: World) -> None:
    """Nothing is dropped by oversight."""
    with pytest.raises(ValueError, match="say which parked events to drop"):
        await world.project().drop_parked_events()


async def test_retry_reads_the_event_anew(world: World) -> None:
    """An event that was replaced while it was parked is handled as it is now."""
    projection = world.project()

    @projection.on(Deposited)
    async def check(event: Deposited, context: ProjectionContext[Any]) -> None:
        if event.payload["amount"] < 0:
            raise ValueError(context.position)

    await world.push("a", -1)
    await projection.run_once()
    await world.accounts.push_event(Deposited("a", 2, payload={"amount": 3}), force=True)
    await projection.retry_parked_events()
    await projection.run_once()
    assert 0 == (await projection.status()).failed
    assert 3 == (await world.read())["a"] + (0 if world.is_transactional else 1 * 3)


async def test_circuit(world: World) -> None:
    """When every event fails, few are parked; once one is handled, those are tried again."""
    reports: list[ProjectionReport] = []
    projection = world.project(
        max_attempts=1, circuit_threshold=2, on_report=reports.append, batch_size=1
    )
    switch = Switch(projection)
    await push_closed(world, "a", "b", "c", "d")
    # Deposits succeed: only the closings at the end fail in a row.
    for each in ("e", "f", "g"):
        await world.accounts.push_event(Closed(each, 1), force=True)
    with pytest.raises(CircuitOpenError):
        await projection.run_once()
    assert any(isinstance(each, CircuitOpened) for each in reports)
    parked = (await projection.status()).failed
    assert parked < 7

    switch.is_broken = False
    await projection.run_once()
    await projection.retry_parked_events()
    await projection.run_once()
    assert 7 == len(switch.handled)
    assert 0 == (await projection.status()).failed


async def test_circuit_closes_by_itself(world: World) -> None:
    """A running projection tries again what it parked while the circuit was open."""
    reports: list[ProjectionReport] = []

    def mend(report: ProjectionReport) -> None:
        reports.append(report)
        if isinstance(report, CircuitOpened):
            switch.is_broken = False

    projection = world.project(max_attempts=1, circuit_threshold=1, on_report=mend)
    switch = Switch(projection)

    async def are_both_handled() -> bool:
        return len(switch.handled) == 2

    for each in ("a", "b"):
        await world.accounts.push_event(Closed(each, 1))
    async with projection:
        await eventually(are_both_handled)
    assert [("b", 1), ("a", 1)] == switch.handled
    assert [1] == [each.retried for each in reports if isinstance(each, CircuitClosed)]


async def push_unknown(world: World, event_type: str = "RENAMED") -> None:
    """Write an event of a type that the store does not have."""
    await world.push("a", 1)
    adapter: Any = world.accounts.get_storage_adapter()
    opened = (await world.accounts.get_events("a"))[0]
    await adapter.push_event("ACCOUNTS", EventRecord("a", 3, event_type, opened.timestamp))
    await world.push("b", 1)


async def test_unknown_types_are_refused(world: World) -> None:
    """By default, an unknown type ends the projection; what came before is handled."""
    projection = world.project()
    await push_unknown(world)
    with pytest.raises(UnknownEventTypeError):
        await projection.run_once()
    assert {"a": 1} == await world.read()


async def test_unknown_types_end_a_run(world: World) -> None:
    """`run` raises the error itself, in no group of errors."""
    await push_unknown(world)
    with pytest.raises(UnknownEventTypeError):
        await world.project().run()


async def test_unknown_types_are_parked(world: World) -> None:
    """An unknown type can be parked, without further attempts."""
    projection = world.project(on_unknown_type="park")
    await push_unknown(world)
    await projection.run_once()

    (parked,) = [each async for each in projection.iter_parked_events()]
    assert ("RENAMED", 1) == (parked.type, parked.attempts)
    assert {"a": 1, "b": 1} == await world.read()


async def test_unknown_types_are_skipped(world: World) -> None:
    """An unknown type can be passed over."""
    projection = world.project(on_unknown_type="skip")
    await push_unknown(world)
    await projection.run_once()

    assert 0 == (await projection.status()).failed
    assert {"a": 1, "b": 1} == await world.read()


async def test_parked_events_follow_the_clock_in_use(world: World) -> None:
    """An event is parked at the moment that this clock tells, and the status is of that time."""
    now = datetime(2022, 1, 1, tzinfo=UTC)
    projection = world.project()

    @projection.on(Deposited)
    async def fail(_event: Deposited, _context: ProjectionContext[Any]) -> None:
        raise ValueError("no")

    with use_clock(lambda: now):
        await world.push("a", 1)
        await projection.run_once()
        status = await projection.status()

    parked = [each.parked_at async for each in projection.iter_parked_events()]
    assert {now} == {*parked}
    assert now == status.asked_at


async def test_wait_for_a_parked_event(world: World) -> None:
    """Whoever waits for an event that is parked, or behind one, is told."""
    projection = world.project()
    Switch(projection)
    await push_closed(world, "a")
    await projection.run_once()

    with pytest.raises(EventParkedError) as caught:
        await projection.wait_for(Closed("a", 3))
    assert "ValueError in " in (caught.value.kind or "")


async def test_event_behind_many(world: World) -> None:
    """More events than one move parks wait behind a parked one, and follow it in order."""
    projection = world.project()
    switch = Switch(projection)
    await world.accounts.push_event(Closed("a", 1))
    for number in range(2, 82):
        await world.accounts.push_event(Deposited("a", number, payload={"amount": 1}))
    await projection.run_once()
    assert (1, 80) == ((await projection.status()).failed, (await projection.status()).waiting)
    assert {} == await world.read()

    switch.is_broken = False
    await projection.retry_parked_events()
    await projection.run_once()
    assert {"a": 80} == await world.read()
