"""The calls that a worker makes to its queue."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from castore_aws import AWSClient, Refusal, RetryPolicy, describe_fault
from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._options import WorkerOptions
from castore_sqs._refusals import to_refusal

_ONCE = RetryPolicy(max_attempts=1)


class QueueCalls:
    """Receives from a queue, deletes, and changes visibility, in as many attempts as allowed."""

    def __init__(self, adapter: SQSMessageQueueAdapter, options: WorkerOptions) -> None:
        self._queue = {"QueueUrl": adapter.queue_url}
        self._aws = AWSClient(adapter.client, "sqs", retries=options.retries)
        self._aws_once = AWSClient(adapter.client, "sqs", retries=_ONCE)
        self._retries = options.retries
        self._receive_request = {
            **self._queue,
            "WaitTimeSeconds": options.wait_time,
            "VisibilityTimeout": options.visibility_timeout,
            # MessageSystemAttributeNames, the newer name, is unknown to older clients.
            "AttributeNames": ["ApproximateReceiveCount", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        }

    async def receive(self, most: int, attempt_id: str | None) -> Sequence[Mapping[str, Any]]:
        """Receive messages, in one attempt.

        On a FIFO queue ``attempt_id`` names the attempt: a repeated one gets the messages whose
        answer was lost.

        Raises:
            ClientError, BotoCoreError: the queue did not answer.
        """
        request = {**self._receive_request, "MaxNumberOfMessages": most}
        if attempt_id is not None:
            request["ReceiveRequestAttemptId"] = attempt_id
        answer = await self._aws_once.call("receive_message", request)
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", ())
        return messages

    async def delete(self, receipt_handles: Sequence[str]) -> dict[str, Refusal]:
        """Delete messages, at most ten, and return by receipt handle why some were not."""
        entries = [{"ReceiptHandle": each} for each in receipt_handles]
        return await self._send("delete_message_batch", entries)

    async def change_visibility(self, timeouts: Mapping[str, int]) -> dict[str, Refusal]:
        """Hide messages, at most ten, for seconds from now, and return why some were not.

        What is retryable says nothing of the message: the queue did not get to it.
        """
        entries = [
            {"ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for handle, seconds in timeouts.items()
        ]
        return await self._send("change_message_visibility_batch", entries)

    async def _send(self, operation: str, entries: Sequence[dict[str, Any]]) -> dict[str, Refusal]:
        numbered = {str(number): each for number, each in enumerate(entries)}
        pending = list(numbered)
        refusals: dict[str, Refusal] = {}

        async def attempt() -> None:
            nonlocal pending
            batch = [{"Id": number, **numbered[number]} for number in pending]
            answer = await self._aws.call(operation, {**self._queue, "Entries": batch})
            for number in pending:
                refusals.pop(number, None)
            refusals.update({each["Id"]: to_refusal(each) for each in answer.get("Failed", ())})
            pending = [each for each, refusal in refusals.items() if refusal.is_retryable]
            if pending:
                raise _PartialFailureError

        try:
            with suppress(_PartialFailureError):  # the refusals tell
                await self._retries.run(attempt, _is_partial_failure)
        except Exception as error:  # noqa: BLE001 a client that was closed raises what it likes
            refusals.update(dict.fromkeys(pending, Refusal(describe_fault(error), True)))
        return {numbered[each]["ReceiptHandle"]: refusal for each, refusal in refusals.items()}


class _PartialFailureError(Exception):
    """Some entries are worth another attempt."""


def _is_partial_failure(error: Exception) -> bool:
    return isinstance(error, _PartialFailureError)
