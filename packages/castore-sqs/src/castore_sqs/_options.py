"""The options of a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from castore_aws import RetryPolicy
from castore_core.workers import (
    check_callable,
    check_seconds,
    check_time_limit,
    check_type,
    check_whole,
)
from castore_sqs._reports import ReportHook

RetryDelay: TypeAlias = int | Callable[[int], int]
"""Whole seconds, or a function that tells them from the number of the attempt that failed."""

BATCH_SIZE: Final = 10
"""How many messages one request is about, at most."""

HANDLER_TIMEOUT: Final = 300.0
"""Seconds that a handler may take, unless told otherwise."""

LONGEST_TIMEOUT: Final = 43_200  # seconds; AWS's own limit
_LONGEST_WAIT: Final = 20  # seconds; AWS's own limit


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options of `SQSWorker`, which documents them.

    Raises:
        TypeError, ValueError: names the option that is not valid.
    """

    concurrency: int
    batch_size: int
    receivers: int
    wait_time: int
    visibility_timeout: int
    retry_delay: RetryDelay | None
    handler_timeout: float | None
    grace_period: float
    retries: RetryPolicy
    on_report: ReportHook | None
    log_error_texts: bool

    def __post_init__(self) -> None:
        check_whole("concurrency", self.concurrency, 1)
        check_whole("batch_size", self.batch_size, 1, BATCH_SIZE)
        check_whole("receivers", self.receivers, 1)
        check_whole("wait_time", self.wait_time, 1, _LONGEST_WAIT)
        check_whole("visibility_timeout", self.visibility_timeout, 1, LONGEST_TIMEOUT)
        if not (self.retry_delay is None or callable(self.retry_delay)):
            check_retry_delay(self.retry_delay)
        check_handler_timeout(self.handler_timeout)
        check_seconds("grace_period", self.grace_period)
        check_type("retries", self.retries, RetryPolicy)
        if self.on_report is not None:
            check_callable("on_report", self.on_report)


def check_handler_timeout(value: object) -> None:
    """Raise a `ValueError` unless a value is a time limit of a handler."""
    check_time_limit("handler_timeout", value, LONGEST_TIMEOUT)


def check_retry_delay(delay: object) -> None:
    """Raise a `ValueError` for a delay that SQS refuses, with the other messages of a request."""
    if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= LONGEST_TIMEOUT:
        raise ValueError(f"retry_delay is not 0 to {LONGEST_TIMEOUT} whole seconds: {delay!r}")
