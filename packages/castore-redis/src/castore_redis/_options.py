"""The options of a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from castore_core.workers import (
    check_callable,
    check_seconds,
    check_time_limit,
    check_whole,
)
from castore_redis._reports import ReportHook

RetryDelay: TypeAlias = float | Callable[[int], float]
"""Seconds, or a function that tells them from the number of the attempt that failed."""

BATCH_SIZE: Final = 100
"""How many messages one request is about, at most, unless told otherwise."""

HANDLER_TIMEOUT: Final = 300.0
"""Seconds that a handler may take, unless told otherwise."""

_SHORTEST: Final = 0.01  # seconds
_LONGEST: Final = 2_592_000.0  # seconds: 30 days


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options of `RedisWorker`, which documents them.

    Raises:
        TypeError, ValueError: names the option that is not valid.
    """

    group: str
    consumer: str
    ordered: bool
    concurrency: int
    batch_size: int
    max_waiting: int
    wait_time: float
    visibility_timeout: float
    max_attempts: int | None
    retry_delay: RetryDelay | None
    handler_timeout: float | None
    grace_period: float
    on_report: ReportHook | None
    log_error_texts: bool

    def __post_init__(self) -> None:
        _check_name("group", self.group)
        _check_name("consumer", self.consumer)
        check_whole("concurrency", self.concurrency, 1)
        check_whole("batch_size", self.batch_size, 1)
        check_whole("max_waiting", self.max_waiting, 1)
        _check_period("wait_time", self.wait_time)
        _check_period("visibility_timeout", self.visibility_timeout)
        if self.max_attempts is not None:
            check_whole("max_attempts", self.max_attempts, 1)
        if not (self.retry_delay is None or callable(self.retry_delay)):
            check_retry_delay(self.retry_delay)
        check_time_limit("handler_timeout", self.handler_timeout, _LONGEST)
        check_seconds("grace_period", self.grace_period)
        if self.on_report is not None:
            check_callable("on_report", self.on_report)

    @property
    def idle_milliseconds(self) -> int:
        """After how many milliseconds messages and leases of a worker go to others."""
        return int(self.visibility_timeout * 1000)


def check_retry_delay(delay: object) -> None:
    """Raise a `ValueError` unless a delay is a number of seconds."""
    check_seconds("retry_delay", delay)


def _check_name(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is no name: {value!r:.100}")


def _check_period(name: str, value: float) -> None:
    check_seconds(name, value)
    if not _SHORTEST <= value <= _LONGEST:
        raise ValueError(f"{name} is not {_SHORTEST:g} to {_LONGEST:g} seconds: {value!r}")
