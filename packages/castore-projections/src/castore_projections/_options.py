"""The options that projections and relays share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

from castore_projections._reports import ReportHook

MAX_PARTITIONS: Final = 1024

RetryDelay: TypeAlias = Callable[[int], float]
"""Returns the seconds to wait, from the number of the attempt that failed, which is 1 or more."""


def double_delay(attempt: int) -> float:
    """Wait a tenth of a second after the first attempt, and twice as long after each later one."""
    return min(0.1 * 2.0 ** (min(attempt, 8) - 1), 10.0)


def double_parked_delay(attempts: int) -> float:
    """Wait two seconds after three attempts, twice as long after each later one, at most 300."""
    return min(0.25 * 2.0 ** min(attempts, 11), 300.0)


@dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """Options of reading a log and of failures: `Projection` documents them.

    Raises:
        TypeError, ValueError: names the option that is not valid.
    """

    partitions: int
    batch_size: int
    poll_interval: float
    lease_duration: timedelta
    max_attempts: int
    retry_delay: RetryDelay
    circuit_threshold: int
    grace_period: float
    on_report: ReportHook | None
    log_error_texts: bool

    def __post_init__(self) -> None:
        _check_whole("partitions", self.partitions, MAX_PARTITIONS)
        _check_whole("batch_size", self.batch_size)
        _check_whole("max_attempts", self.max_attempts)
        _check_whole("circuit_threshold", self.circuit_threshold)
        check_seconds("poll_interval", self.poll_interval, least=0.001)
        check_seconds("grace_period", self.grace_period, least=0.0)
        if not isinstance(cast("Any", self.lease_duration), timedelta):
            raise TypeError(f"lease_duration is no timedelta: {self.lease_duration!r}")
        if self.lease_duration < timedelta(milliseconds=100):
            raise ValueError(f"lease_duration is below 100 ms: {self.lease_duration}")
        for name in ("retry_delay", "on_report"):
            check_callable(name, getattr(self, name))


def _check_whole(name: str, value: Any, most: float = math.inf) -> None:
    if type(value) is not int or not 1 <= value <= most:
        bound = "or more" if most == math.inf else f"to {most:g}"
        raise ValueError(f"{name} is not a whole number of 1 {bound}: {value!r}")


def check_callable(name: str, value: Any) -> None:
    """Refuse what cannot be called, unless it is ``None``."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} is not callable: {value!r}")


def check_seconds(name: str, value: Any, *, least: float) -> None:
    """Refuse what is no number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ValueError(f"{name} is not a number of seconds, {least:g} or more: {value!r}")
