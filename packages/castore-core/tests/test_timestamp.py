"""Moments are in UTC, of millisecond precision, and written so that their texts sort."""

import asyncio
from contextvars import copy_context
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import Event, format_timestamp, parse_timestamp, use_clock

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)


class Noted(Event, type="NOTED"):
    """Something was written down."""


offsets = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets)  # noqa: DTZ001


def to_milliseconds(moment: datetime) -> datetime:
    """Cut what is finer than a millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_format_is_that_of_javascript() -> None:
    """A moment is written as JavaScript's toISOString writes it."""
    moment = datetime(2022, 1, 1, 12, 30, 5, 7999, tzinfo=UTC)

    assert "2022-01-01T12:30:05.007Z" == format_timestamp(moment)


def test_format_converts_to_utc() -> None:
    """A moment of another offset is written in UTC."""
    moment = datetime(2022, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    assert "2021-12-31T23:00:00.000Z" == format_timestamp(moment)


def test_format_refuses_a_naive_moment() -> None:
    """A naive moment stands for no moment."""
    with pytest.raises(ValueError, match="is naive"):
        format_timestamp(datetime(2022, 1, 1))  # noqa: DTZ001


@given(moments)
def test_format_and_parse_round_trip(moment: datetime) -> None:
    """What was written is read as the same moment, in UTC, to the millisecond."""
    parsed = parse_timestamp(format_timestamp(moment))

    assert to_milliseconds(moment.astimezone(UTC)) == parsed
    assert UTC is parsed.tzinfo


@given(st.lists(moments))
def test_formatted_moments_sort_as_moments(moments: list[datetime]) -> None:
    """Sorting the texts sorts the moments, to the millisecond."""
    texts = [format_timestamp(each) for each in moments]

    assert sorted(texts) == [format_timestamp(each) for each in sorted(moments)]


@pytest.mark.parametrize(
    "text",
    ["2022-01-01T00:00:00Z", "2022-01-01T02:00:00.000999+02:00", "2021-12-31T19:00:00-05:00"],
)
def test_parse_reads_any_offset_and_precision(text: str) -> None:
    """Any moment in ISO 8601 is read, to the millisecond."""
    assert datetime(2022, 1, 1, tzinfo=UTC) == parse_timestamp(text)


@pytest.mark.parametrize(
    "text", ["", "t", "2022-01-01", "2022-01-01T00:00:00", "0001-01-01T00:00:00+14:00"]
)
def test_parse_refuses_what_is_no_moment(text: str) -> None:
    """A text without a time, an offset or a place in UTC is a ValueError."""
    with pytest.raises(ValueError, match=r"naive|isoformat|outside"):
        parse_timestamp(text)


@pytest.mark.parametrize("zone", [ZoneInfo("UTC"), timezone(timedelta(0), "Z")])
def test_any_utc_is_utc(zone: Any) -> None:
    """Other objects that stand for UTC are as good."""
    assert "2022-01-01T00:00:00.000Z" == format_timestamp(datetime(2022, 1, 1, tzinfo=zone))


# The clock


def now() -> datetime:
    """Return the timestamp that an event gets."""
    return Noted(aggregate_id="a1", version=1).timestamp


def test_events_take_their_time_from_the_clock_in_use() -> None:
    """Within the context the clock is asked, once for each event; after it, the system's is."""
    moments = iter([NOON, NOON + timedelta(seconds=1)])

    with use_clock(lambda: next(moments)):
        assert [NOON, NOON + timedelta(seconds=1)] == [now(), now()]

    assert abs(datetime.now(UTC) - now()) < timedelta(minutes=1)


def test_a_timestamp_that_is_given_needs_no_clock() -> None:
    """An event with a timestamp does not ask the clock."""

    def fail() -> datetime:
        raise AssertionError

    with use_clock(fail):
        assert NOON == Noted(aggregate_id="a1", version=1, timestamp=NOON).timestamp


def test_the_moment_of_a_clock_is_brought_to_utc_and_milliseconds() -> None:
    """A clock may have any offset and precision."""
    east = timezone(timedelta(hours=2))
    with use_clock(lambda: datetime(2022, 1, 1, 14, 0, 0, 999, tzinfo=east)):
        assert NOON == now()


def test_the_innermost_clock_counts() -> None:
    """The end of a context, also by an error, brings back the clock of the outer one."""

    def fail_within() -> None:
        with use_clock(lambda: NOON + timedelta(days=1)):
            assert NOON + timedelta(days=1) == now()
            raise LookupError("within")

    with use_clock(lambda: NOON):
        with pytest.raises(LookupError, match="within"):
            fail_within()
        assert NOON == now()


def test_clocks_that_overlap() -> None:
    """Contexts that end in another order, as those of several tasks may, leave no clock behind."""
    first, second = use_clock(lambda: NOON), use_clock(lambda: NOON + timedelta(days=1))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert NOON + timedelta(days=1) == now()
    second.__exit__(None, None, None)
    assert abs(datetime.now(UTC) - now()) < timedelta(minutes=1)


def test_a_naive_clock_is_refused() -> None:
    """A clock tells aware moments."""
    with (
        use_clock(lambda: datetime(2022, 1, 1)),  # noqa: DTZ001
        pytest.raises(ValueError, match="is naive"),
    ):
        now()
    assert abs(datetime.now(UTC) - now()) < timedelta(minutes=1)


async def test_the_clock_holds_in_all_tasks_and_threads() -> None:
    """Also in a task that runs in a context from before."""
    before = copy_context()
    with use_clock(lambda: NOON):
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(now), context=before)
        assert NOON == await task


# Subclasses of datetime


class Local(datetime):
    """A moment as libraries have them: it loses its zone in arithmetic, and writes itself."""

    def __sub__(self, _: Any) -> Any:
        return datetime(2000, 1, 1)  # noqa: DTZ001 as some do

    def isoformat(self, *_: Any, **__: Any) -> str:
        """Write another text."""
        return "today"

    def astimezone(self, tz: Any = None) -> Any:
        """Return no moment."""
        return tz


def test_moment_of_a_subclass_becomes_a_plain_one() -> None:
    """Only the fields of the moment count, and not what the subclass does with them."""
    paris = timezone(timedelta(hours=2))
    event = Noted("a", 1, timestamp=Local(2022, 1, 1, 2, 0, 0, 123456, paris))

    assert datetime is type(event.timestamp)
    assert datetime(2022, 1, 1, 0, 0, 0, 123000, UTC) == event.timestamp
    assert "2022-01-01T00:00:00.123Z" == format_timestamp(Local(2022, 1, 1, 0, 0, 0, 123456, UTC))


def test_frozen_time_is_the_time_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that put a datetime of theirs into modules freeze the default timestamp."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2001, 2, 3, tzinfo=tz)

    monkeypatch.setattr("castore_core._timestamp.datetime", Frozen)
    event = Noted("a", 1)

    assert (datetime, datetime(2001, 2, 3, tzinfo=UTC)) == (type(event.timestamp), event.timestamp)
