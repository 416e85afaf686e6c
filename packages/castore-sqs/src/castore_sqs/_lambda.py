"""Lambda: what it hands over of a queue, and what it is told of that."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from castore_aws import S3ClaimCheck
from castore_core import MessageChannel
from castore_core.workers import (
    Attempts,
    Ending,
    HandlerCalls,
    HandlerFunction,
    MessageReturned,
    Outcome,
    Reporter,
    begin,
    check_callable,
    check_seconds,
    check_type,
    check_whole,
    finish,
)
from castore_sqs._brief_loop import run_briefly
from castore_sqs._context import SQSMessageContext
from castore_sqs._options import check_handler_timeout
from castore_sqs._received import Handler, SQSMessage, SQSMessageParser
from castore_sqs._reports import ReportHook, describe_report

M = TypeVar("M")

_Record: TypeAlias = Mapping[str, Any]

_LEAST_GRACE: Final = 0.1  # seconds

_logger = logging.getLogger("castore_sqs")


class SQSHandler(Generic[M]):
    """A handler for Lambda that hands the messages of a queue to yours.

    The event source mapping needs ``ReportBatchItemFailures``: without it, Lambda takes the whole
    batch for handled. An error of your handler fails its message alone, and so does a body that is
    no message of the channel: Lambda is told, and the queue hands the message out again, until its
    redrive policy moves it away. The logger ``castore_sqs`` has the reason. In a FIFO queue, the
    messages of the same group that follow one that failed are returned unhandled.

    Shortly before Lambda's time is up, handlers are cancelled, and their messages are returned
    with those that were not begun. Those that were handled by then are not.

    Call it as it is where your handler works in any event loop: each invocation has one of its
    own. Otherwise await `handle_records`.

    Args:
        channel: the queue, or the bus, whose messages they are.
        handler: is called with a message and its `SQSMessageContext`. A coroutine function is
            awaited. A plain function runs in a thread. Awaitable results are awaited. Messages may
            come more than once.
        claim_check: where bodies are that were too large for a message.
        concurrency: how many messages are under way at once, 1 or more: those of a FIFO group are
            still handled one after the other.
        handler_timeout: how many seconds a handler may take, more than 0 and up to 43,200, or
            ``None`` for the time that Lambda has left. Then it is cancelled, and its message fails.
        grace_period: how many seconds before Lambda's time is up handlers are cancelled, 0 or
            more, but no more than a quarter of that time. A handler that does not end in half of
            the ``grace_period`` is given up.
        on_report: is called with a report of each message, as the worker's.
        log_error_texts: whether the log has the texts of errors too. They may hold values of the
            payload, which are left out by default.

    Raises:
        TypeError: an argument is of the wrong type, such as a handler that is a class.
        ValueError: an option is out of its bounds.
    """

    def __init__(
        self,
        channel: MessageChannel[M],
        handler: Handler[M],
        *,
        claim_check: S3ClaimCheck | None = None,
        concurrency: int = 1,
        handler_timeout: float | None = None,
        grace_period: float = 1.0,
        on_report: ReportHook | None = None,
        log_error_texts: bool = False,
    ) -> None:
        check_type("channel", channel, MessageChannel)
        check_whole("concurrency", concurrency, 1)
        check_handler_timeout(handler_timeout)
        check_seconds("grace_period", grace_period)
        if on_report is not None:
            check_callable("on_report", on_report)
        self._parser = SQSMessageParser(channel, claim_check=claim_check)
        self._handler = HandlerFunction(handler)
        self._concurrency = concurrency
        self._handler_timeout = handler_timeout
        self._grace_period = grace_period
        self._reporter = Reporter(
            on_report, logger=_logger, describe=describe_report, log_error_texts=log_error_texts
        )

    def __call__(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
        """Handle the records of an invocation, and return what Lambda has to know.

        Raises:
            RuntimeError: an event loop runs already; await `handle_records` in it.
        """
        time_limit = _get_time_left(context)
        return run_briefly(self.handle_records(event["Records"], time_limit=time_limit))

    async def handle_records(
        self, records: Sequence[_Record], *, time_limit: float | None = None
    ) -> dict[str, Any]:
        """Handle records, and return ``batchItemFailures``: all that were not handled.

        With a ``time_limit`` it returns within so many seconds. A cancellation cancels the
        handlers, which have half of the ``grace_period`` to end.
        """
        grace = max(_LEAST_GRACE, self._get_grace(time_limit))
        calls = HandlerCalls(self._handler, timeout=self._handler_timeout, grace=grace / 2)
        attempts = Attempts(
            self._read,
            calls,
            self._reporter,
            skips=self._parser.skips,
            destination=self._parser.destination,
        )
        batch = _Batch(records, attempts, self._reporter, self._concurrency)
        tasks = [begin(batch.handle_group(each)) for each in _group(records)]
        try:
            await _wait(tasks, None if time_limit is None else time_limit - grace)
            calls.stop(grace / 2, Ending.TIMED_OUT)
        finally:
            batch.stop()
            calls.stop(grace / 2, Ending.STOPPED)
            await finish(_end(tasks, grace * 0.75), within=grace)
        return batch.get_answer()

    def _get_grace(self, time_limit: float | None) -> float:
        if time_limit is None:
            return self._grace_period
        return min(self._grace_period, time_limit / 4)

    async def _read(self, record: "_LambdaRecord") -> SQSMessage[M]:
        return await self._parser.parse_record(record.content)


@dataclass(frozen=True)
class _LambdaRecord:
    content: _Record = field(repr=False)

    @property
    def message_id(self) -> str:
        return str(self.content["messageId"])

    @property
    def attempt(self) -> int:
        try:
            return int(self.content["attributes"]["ApproximateReceiveCount"])
        except (KeyError, TypeError, ValueError):
            return 1


class _Batch:
    """The records of an invocation, and their outcomes."""

    def __init__(
        self,
        records: Iterable[_Record],
        attempts: Attempts[_LambdaRecord, SQSMessageContext],
        reporter: Reporter,
        concurrency: int,
    ) -> None:
        self._records = [_LambdaRecord(each) for each in records]
        self._ids = [each.message_id for each in self._records]
        self._attempts = attempts
        self._reporter = reporter
        self._slots = asyncio.Semaphore(concurrency)
        self._outcomes: dict[int, Outcome] = {}
        self._is_stopped = False

    async def handle_group(self, indexes: Iterable[int]) -> None:
        """Handle records one after the other, up to the first that fails."""
        async with self._slots:
            for index in indexes:
                if self._is_stopped:
                    break
                self._outcomes[index] = await self._attempts.attempt(self._records[index])
                if self._outcomes[index] is not Outcome.HANDLED:
                    break

    def stop(self) -> None:
        """Begin no further record."""
        self._is_stopped = True

    def get_answer(self) -> dict[str, Any]:
        """Return ``batchItemFailures``, and report the records that have no outcome."""
        outcomes = [self._outcomes.get(index, Outcome.STOPPED) for index in range(len(self._ids))]
        told = list(zip(self._ids, outcomes, strict=True))
        for message_id, outcome in told:
            if outcome is Outcome.STOPPED:
                self._reporter.tell(MessageReturned(message_id))
        unhandled = [each for each, outcome in told if outcome is not Outcome.HANDLED]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in unhandled]}


async def _wait(tasks: Sequence[asyncio.Task[None]], seconds: float | None) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


async def _end(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Wait for tasks, cancel those whose bodies are still being fetched then, and raise errors."""
    await _wait(tasks, seconds)
    for each in tasks:
        each.cancel()
    await _wait(tasks, None)
    for each in tasks:
        if not each.cancelled():
            each.result()


def _get_time_left(context: object) -> float | None:
    """Return the seconds that an invocation may still take, as its context tells."""
    get_milliseconds = getattr(context, "get_remaining_time_in_millis", None)
    return None if get_milliseconds is None else get_milliseconds() / 1000


def _group(records: Iterable[_Record]) -> Iterable[list[int]]:
    """Return the indexes of records that need an order; one of a standard queue is alone."""
    groups: dict[object, list[int]] = {}
    for index, record in enumerate(records):
        group_id = _get_group_id(record)
        groups.setdefault(index if group_id is None else group_id, []).append(index)
    return groups.values()


def _get_group_id(record: _Record) -> str | None:
    """Return the group whose order counts: standard queues may have groups too, without order."""
    if not record.get("eventSourceARN", ".fifo").endswith(".fifo"):
        return None
    group_id: str | None = record.get("attributes", {}).get("MessageGroupId")
    return group_id
