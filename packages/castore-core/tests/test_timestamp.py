"""Moments are in UTC, of millisecond precision, and written so that their texts sort."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import format_timestamp, parse_timestamp

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
