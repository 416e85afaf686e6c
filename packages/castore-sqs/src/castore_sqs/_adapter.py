"""Publishing to a queue of SQS."""

from collections.abc import Sequence
from typing import ClassVar

from castore_aws import (
    AWS_ERRORS,
    AWSClient,
    BatchLimits,
    Client,
    Entry,
    Refusal,
    RetryPolicy,
    S3ClaimCheck,
    Unsent,
    check_options,
    describe_fault,
    make_entries,
    send_batches,
)
from castore_core import MessagePublishError, MessageRecord
from castore_sqs._entries import EntryWriter
from castore_sqs._refusals import to_refusal


class SQSMessageQueueAdapter:
    """Publishes the messages of a queue to SQS, in the format of Castore.

    A message that was not taken is named by a `MessagePublishError`, with the reason. One whose
    answer was lost may have been taken all the same: a FIFO queue takes it once, another one may
    deliver it twice.

    A FIFO queue has a group for each aggregate, and keeps the order within it. It takes a message
    once in five minutes; a replay is another message each time.

    Args:
        client: a client of boto3 or aioboto3 for ``sqs``, which is yours and never closed.
        queue_url: the URL of the queue.
        fifo: whether it is a FIFO queue. By default its URL tells, which ends with ``.fifo``.
        claim_check: takes the bodies that are too large for a message.
        limits: what a request may hold, where that is less than AWS allows.
        retries: bounds the attempts of each request.

    Raises:
        TypeError: ``client`` is not a client for ``sqs``, or an option is a class.
        ValueError: ``queue_url`` is no URL, or ``fifo`` contradicts it.
    """

    messaging_system: ClassVar[str] = "aws_sqs"

    def __init__(
        self,
        client: Client,
        queue_url: str,
        fifo: bool | None = None,
        *,
        claim_check: S3ClaimCheck | None = None,
        limits: BatchLimits | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        check_options(claim_check=claim_check, limits=limits, retries=retries)
        self._retries = RetryPolicy() if retries is None else retries
        self._aws = AWSClient(client, "sqs", retries=self._retries)
        self._queue_url = _check_url(queue_url)
        self._fifo = _check_fifo(queue_url, fifo)
        self._claim_check = claim_check
        self._limits = BatchLimits() if limits is None else limits

    def __repr__(self) -> str:
        return f"SQSMessageQueueAdapter({self._queue_url!r}, fifo={self._fifo})"

    @property
    def client(self) -> Client:
        """The user's client."""
        return self._aws.client

    @property
    def queue_url(self) -> str:
        """The URL of the queue."""
        return self._queue_url

    @property
    def claim_check(self) -> S3ClaimCheck | None:
        """The claim check for bodies that are too large for a message."""
        return self._claim_check

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Send a message.

        Raises:
            MessagePublishError: SQS did not take it, or it is too large, or the claim check failed.
        """
        (entry,) = await self._make_entries([message], replay=replay)
        if isinstance(entry, Unsent):
            raise MessagePublishError([(message, entry.reason)]) from entry.error
        try:
            await self._aws.call("send_message", {"QueueUrl": self._queue_url, **entry.parameters})
        except AWS_ERRORS as error:
            raise MessagePublishError([(message, describe_fault(error))]) from error

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Send messages, as many in a request as it may hold.

        A message that is too large is not sent, and all others are. Messages that SQS refuses for
        the moment are sent again, without those that it took. In a FIFO queue, no message of an
        aggregate follows one that SQS or the claim check did not take.

        Raises:
            MessagePublishError: names the messages that were not sent, or that SQS did not take.
        """
        entries = await self._make_entries(messages, replay=replay)
        await send_batches(entries, self._send, limits=self._limits, retries=self._retries)

    async def _make_entries(
        self, messages: Sequence[MessageRecord], *, replay: bool
    ) -> list[Entry | Unsent]:
        max_bytes = self._limits.max_entry_bytes
        writer = EntryWriter.begin(fifo=self._fifo, replay=replay, max_bytes=max_bytes)
        return await make_entries(
            messages, writer.make_entry, limits=self._limits, claim_check=self._claim_check
        )

    async def _send(self, entries: Sequence[Entry]) -> list[Refusal | None]:
        ids = [str(number) for number in range(len(entries))]
        batch = [{"Id": i, **each.parameters} for i, each in zip(ids, entries, strict=True)]
        request = {"QueueUrl": self._queue_url, "Entries": batch}
        answer = await self._aws.call("send_message_batch", request)
        refusals: dict[str, Refusal | None] = {
            each["Id"]: None for each in answer.get("Successful", ())
        }
        refusals |= {each["Id"]: to_refusal(each) for each in answer.get("Failed", ())}
        return [refusals.get(each, _UNANSWERED) for each in ids]


_UNANSWERED = Refusal("the answer of SQS does not name it")


def _check_url(queue_url: str) -> str:
    if not queue_url.startswith(("https://", "http://")):
        raise ValueError(
            f"not the URL of a queue, which get_queue_url of the client returns: {queue_url!r:.200}"
        )
    return queue_url


def _check_fifo(queue_url: str, fifo: bool | None) -> bool:
    is_fifo = queue_url.endswith(".fifo")  # AWS lets no other queue's name end so
    if fifo is None or fifo == is_fifo:
        return is_fifo
    kind = "a FIFO queue" if is_fifo else "no FIFO queue, whose name would end with .fifo"
    raise ValueError(f"fifo={fifo!r}, but this is the URL of {kind}: {queue_url!r:.200}")
