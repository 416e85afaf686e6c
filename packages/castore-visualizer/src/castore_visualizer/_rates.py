"""Rates: the latest events of a log, counted over time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from castore_core import LogEntry

NEWEST: Final = 1_000
"""Rates are computed from so many of the latest events."""

_BUCKETS: Final = 60
_STEPS: Final = (
    *(timedelta(seconds=each) for each in (1, 5, 15, 30, 60, 300, 900, 1800)),
    *(timedelta(hours=each) for each in (1, 3, 6, 12)),
    *(timedelta(days=each) for each in (1, 7, 30, 91, 365)),
)


@dataclass(frozen=True)
class Rates:
    """How many events there were in each of some equal steps of time.

    Attributes:
        step: the length of a step.
        starts: the beginning of each step, in seconds since 1970.
        series: the numbers of events of each store, one for each step.
    """

    step: timedelta
    starts: Sequence[int] = ()
    series: dict[str, list[int]] = field(default_factory=dict[str, list[int]])


def compute_rates(entries: Sequence[LogEntry], now: datetime) -> Rates:
    """Return the rates of some events, up to now where that is near, or else to the last one."""
    moments = [each.record.timestamp for each in entries if each.record.timestamp <= now]
    if not moments:
        return Rates(_STEPS[0])
    first, last = min(moments), max(moments)
    if now - last < (last - first) / 2 or now - last < timedelta(minutes=1):
        last = now
    step = next((each for each in _STEPS if (last - first) / each < _BUCKETS), _STEPS[-1])
    size = int(step.total_seconds())
    start = int(first.timestamp()) // size * size
    count = min((int(last.timestamp()) - start) // size + 1, 10 * _BUCKETS)
    counters: dict[str, Counter[int]] = {}
    for each in entries:
        index = (int(each.record.timestamp.timestamp()) - start) // size
        counters.setdefault(each.event_store_id, Counter())[index] += 1
    series = {
        store_id: [counter[index] for index in range(count)]
        for store_id, counter in sorted(counters.items())
    }
    return Rates(step, [start + index * size for index in range(count)], series)
