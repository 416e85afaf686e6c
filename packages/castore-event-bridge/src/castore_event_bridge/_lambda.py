"""A ready handler for Lambda."""

import asyncio
import logging
from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from castore_aws import S3ClaimCheck
from castore_core import CastoreError, MessageChannel
from castore_core.telemetry import Observation, describe_message_handling, installed
from castore_core.workers import handling
from castore_event_bridge._received import (
    EventBridgeMessageContext,
    EventBridgeMessageParser,
    Handler,
)

M = TypeVar("M")

_logger = logging.getLogger("castore_event_bridge")


class EventBridgeHandler(Generic[M]):
    """A Lambda function that is the target of a rule.

    It hands each message to ``handler``, and raises what that raises. So it does for an event that
    is no message of the channel, whose id it logs to the logger ``castore_event_bridge`` too, with
    the type of the error: its text may have values of the message. Lambda then tries again, and at
    last gives the event to the function's dead-letter queue or its ``OnFailure`` destination:
    without one, Lambda drops it.

    Call it as it is where the client of the claim check, if there is one, is of boto3; otherwise
    await `handle_event`.

    Args:
        channel: the bus whose messages are handled.
        handler: a function or a coroutine function of the message and its context.
        claim_check: where bodies are that were too large for a message.
    """

    def __init__(
        self,
        channel: MessageChannel[M],
        handler: Handler[M],
        *,
        claim_check: S3ClaimCheck | None = None,
    ) -> None:
        self._parser = EventBridgeMessageParser(channel, claim_check=claim_check)
        self._handler = handler

    def __call__(self, event: Mapping[str, Any], context: object = None) -> None:  # noqa: ARG002 Lambda gives it
        """Handle an invocation."""
        asyncio.run(self.handle_event(event))

    async def handle_event(self, event: Mapping[str, Any]) -> None:
        """Handle an event.

        Raises:
            Exception: whatever the parser or ``handler`` raises.
        """
        try:
            message, context = await self._parser.parse_event(event)
        except CastoreError as error:
            if self._parser.skips(error):
                return
            place = event.get("id"), type(error).__name__
            _logger.error("event %.100s is no message of the channel: %s", *place)  # noqa: TRY400 its text may have values
            raise
        with handling(message):
            if installed.telemetry is None:
                await self._call(message, context)
            else:
                destination = self._parser.destination
                with Observation(describe_message_handling(destination, message, context)):
                    await self._call(message, context)

    async def _call(self, message: M, context: EventBridgeMessageContext) -> None:
        result = self._handler(message, context)
        if isawaitable(result):
            await result
