"""Received bodies: from SQS or from EventBridge, or from one by way of the other."""

import json
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from castore_aws._claim_check import S3ClaimCheck
from castore_core import REPLAYED, InvalidMessageError, MessageChannel

M = TypeVar("M")


class ReceivedMessage(NamedTuple, Generic[M]):
    """A message, and whether it is a replay as far as its body tells."""

    message: M
    replay: bool


async def receive_message(
    channel: MessageChannel[M],
    body: str | Mapping[str, Any],
    claim_check: S3ClaimCheck | None = None,
) -> ReceivedMessage[M]:
    """Read a body: of SQS, or the event of EventBridge, that a queue may carry too.

    A body that lies in S3 is fetched from there.

    Raises:
        InvalidMessageError: the body is no message of the channel, or it lies in S3 and there is
            no claim check, or it is not there any more.
        ClientError, BotoCoreError, OSError: S3 did not answer; another attempt may succeed.
        MessageChannelEventStoreNotFoundError, UnknownEventTypeError, EventDecodeError: see
            `MessageChannel.parse_message`.
    """
    content: bytes | Mapping[str, Any]
    content, replay = _open_envelope(_to_object(channel, body))
    if S3ClaimCheck.is_claim(content):
        if claim_check is None:
            raise InvalidMessageError(
                channel.message_channel_id, "its body lies in S3: give the consumer a claim_check"
            )
        content = await _redeem(channel, content, claim_check)
    return ReceivedMessage(channel.parse_message(content), replay)


async def _redeem(
    channel: MessageChannel[Any], claim: Mapping[str, Any], claim_check: S3ClaimCheck
) -> bytes:
    try:
        return await claim_check.redeem(claim)
    except ValueError as error:
        raise InvalidMessageError(channel.message_channel_id, str(error)) from error


def _to_object(channel: MessageChannel[Any], body: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        return body
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(channel.message_channel_id, f"it is not JSON: {error}") from error
    if not isinstance(parsed, Mapping):
        raise InvalidMessageError(channel.message_channel_id, "the body is not an object")
    return cast("Mapping[str, Any]", parsed)


def _open_envelope(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return what is in an event of EventBridge, and whether that is a replay."""
    if "detail-type" in body and isinstance(body.get("detail"), Mapping):
        is_replay = body["detail-type"] == REPLAYED or "replay-name" in body  # of an archive
        return body["detail"], is_replay
    return body, False
