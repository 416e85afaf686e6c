"""Lambda: what it hands over of a queue, and what it is told of that."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Generic, TypeAlias, TypeVar

from castore_aws import S3ClaimCheck
from castore_core import MessageChannel
from castore_sqs._cancellation import ends_task
from castore_sqs._received import Handler, SQSMessageParser

M = TypeVar("M")

_Record: TypeAlias = Mapping[str, Any]

_logger = logging.getLogger("castore_sqs")


class SQSHandler(Generic[M]):
    """A handler for Lambda that hands the messages of a queue to yours.

    The event source mapping needs ``ReportBatchItemFailures``: without it, Lambda takes the whole
    batch for handled. What your handler raises, or what is no message of the channel, fails its
    message alone: Lambda is told so, and the queue hands it out again, until its redrive policy
    moves it away. Why it failed is logged, to the logger ``castore_sqs``. In a FIFO queue, the
    messages of the same group that follow one that failed are returned unhandled.

    Call it as it is where your handler works in any event loop: each invocation has one of its
    own. Otherwise await `handle_records`.

    Args:
        channel: the queue, or the bus, whose messages they are.
        handler: is called with a message and its `SQSMessageContext`. What it returns is awaited,
            if it can be. Messages may come more than once.
        claim_check: where bodies are that were too large for a message.
        concurrency: how many messages are under way at once, 1 or more: those of a FIFO group are
            still handled one after the other.
    """

    def __init__(
        self,
        channel: MessageChannel[M],
        handler: Handler[M],
        *,
        claim_check: S3ClaimCheck | None = None,
        concurrency: int = 1,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is not 1 or more: {concurrency}")
        self._parser = SQSMessageParser(channel, claim_check=claim_check)
        self._handler = handler
        self._concurrency = concurrency

    def __call__(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:  # noqa: ARG002 Lambda gives it
        """Handle the records of an invocation, and return what Lambda has to know."""
        return asyncio.run(self.handle_records(event["Records"]))

    async def handle_records(self, records: Sequence[_Record]) -> dict[str, Any]:
        """Handle records, and return ``batchItemFailures``: all that were not handled."""
        unhandled = {index: each["messageId"] for index, each in enumerate(records)}
        slots = asyncio.Semaphore(self._concurrency)

        async def handle_group(indexes: Iterable[int]) -> None:
            async with slots:
                for index in indexes:
                    if not await self._handle(records[index]):
                        break
                    del unhandled[index]

        async with asyncio.TaskGroup() as tasks:
            for indexes in _group(records):
                tasks.create_task(handle_group(indexes))
        return {"batchItemFailures": [{"itemIdentifier": each} for each in unhandled.values()]}

    async def _handle(self, record: _Record) -> bool:
        try:
            message, context = await self._parser.parse_record(record)
            result = self._handler(message, context)
            if isawaitable(result):
                await result
        except BaseException as error:
            if ends_task(error):
                raise
            _logger.exception("message %s of SQS was not handled", record["messageId"])
            return False
        return True


def _group(records: Iterable[_Record]) -> Iterable[list[int]]:
    """Return the indexes of what has to be handled in order: one of a standard queue is alone."""
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
