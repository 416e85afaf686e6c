"""Filters of events by their timestamps."""

from datetime import datetime

from castore_core import EventRecord, JSONValue, format_timestamp, parse_timestamp


class TimestampFilter:
    """Accepts the events of a span of time; the bounds are inclusive, and ``None`` is no bound.

    Raises:
        ValueError: a bound is no moment with a time zone.
    """

    def __init__(self, from_: datetime | None, to: datetime | None) -> None:
        self.start = _check("from_", from_)
        self.end = _check("to", to)

    @property
    def accepts_all(self) -> bool:
        """Whether it has no bounds."""
        return self.start is self.end is None

    def accepts(self, record: EventRecord) -> bool:
        """Tell whether an event is wanted."""
        return (self.start is None or record.timestamp >= self.start) and (
            self.end is None or record.timestamp <= self.end
        )

    def to_json(self) -> JSONValue:
        """Return JSON values of the bounds."""
        return [_to_text(self.start), _to_text(self.end)]


def _check(name: str, moment: datetime | None) -> datetime | None:
    try:
        return moment and parse_timestamp(format_timestamp(moment))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{name} is no moment with a time zone: {moment!r}") from error


def _to_text(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)
