"""Messages of a bus as events of EventBridge."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, ClassVar, Final

from castore_aws import (
    AWSClient,
    BatchLimits,
    Client,
    Entry,
    Refusal,
    RetryPolicy,
    S3ClaimCheck,
    check_options,
    count_bytes,
    is_retryable_code,
    make_entries,
    send_batches,
)
from castore_core import AGGREGATE_EXISTS, REPLAYED, MessageRecord
from castore_event_bridge._numbers import check_numbers

# A target gets an event with more around it than PutEvents counts, and a queue or a function has
# the limit of the bus: what would fill that could be put, and never delivered.
_LIMITS: Final = BatchLimits(max_entry_bytes=1_048_576 - 1_024)
_MOST_CHARACTERS_OF_A_DETAIL_TYPE: Final = 128


class EventBridgeMessageBusAdapter:
    """Publishes the messages of a bus to EventBridge, as Castore does.

    The ``Source`` is the id of the event store, the ``DetailType`` the type of the event. That is
    ``__REPLAYED__`` for a replay, and ``__AGGREGATE_EXISTS__`` for a message that an aggregate
    exists, which is not marked as a replay. EventBridge keeps no order, and delivers a message
    at least once. It takes, and drops, events for a bus that does not exist.

    Args:
        client: a client of boto3 or aioboto3 for ``events``, which is yours and never closed.
        event_bus_name: the name of the bus, or its ARN.
        claim_check: where the bodies of messages go that are over ``limits.max_entry_bytes``.
            Without one, such a message is not sent.
        limits: 10 messages and 1 MiB for a request, and 1 KiB less for a message.
        retries: bounds the attempts of each request.

    Raises:
        TypeError: ``client`` is not a client for ``events``, or an option is a class.
    """

    messaging_system: ClassVar[str] = "aws_eventbridge"

    def __init__(
        self,
        client: Client,
        event_bus_name: str,
        *,
        claim_check: S3ClaimCheck | None = None,
        limits: BatchLimits | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        check_options(claim_check=claim_check, limits=limits, retries=retries)
        self._retries = RetryPolicy() if retries is None else retries
        self._aws = AWSClient(client, "events", retries=self._retries)
        self._event_bus_name = event_bus_name
        self._claim_check = claim_check
        self._limits = _LIMITS if limits is None else limits

    def __repr__(self) -> str:
        return f"EventBridgeMessageBusAdapter({self._event_bus_name!r})"

    @property
    def client(self) -> Client:
        """The user's client."""
        return self._aws.client

    @property
    def event_bus_name(self) -> str:
        """The name of the bus, or its ARN."""
        return self._event_bus_name

    @property
    def claim_check(self) -> S3ClaimCheck | None:
        """The claim check for bodies that are too large for a message."""
        return self._claim_check

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Put a message on the bus.

        Raises:
            MessagePublishError: EventBridge did not take it, or the answer was lost.
        """
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Put messages on the bus, in as few requests as they need.

        A message that EventBridge takes none like is not sent, and all others are.

        Raises:
            MessagePublishError: names the messages that were not sent, or that EventBridge did not
                take.
        """
        entries = await make_entries(
            messages,
            partial(self._make_entry, replay=replay),
            limits=self._limits,
            claim_check=self._claim_check,
        )
        await send_batches(entries, self._send, limits=self._limits, retries=self._retries)

    def _make_entry(self, message: MessageRecord, detail: str, *, replay: bool) -> Entry:
        source = message.event_store_id
        detail_type = REPLAYED if replay and message.type != AGGREGATE_EXISTS else message.type
        _check_source(source)
        _check_detail_type(detail_type)
        check_numbers(message.body, detail)
        parameters = {
            "Source": source,
            "DetailType": detail_type,
            "Detail": detail,
            "EventBusName": self._event_bus_name,
        }
        size = sum(map(count_bytes, (source, detail_type, detail)))
        return Entry(message, parameters, size)

    async def _send(self, entries: Sequence[Entry]) -> list[Refusal | None]:
        request = {"Entries": [each.parameters for each in entries]}
        response = await self._aws.call("put_events", request)
        results: list[Mapping[str, Any]] = [*response.get("Entries", []), *repeat({}, len(entries))]
        return [_find_refusal(each) for each in results[: len(entries)]]


def _find_refusal(result: Mapping[str, Any]) -> Refusal | None:
    code = result.get("ErrorCode")
    if code:
        return Refusal(f"{code}: {result.get('ErrorMessage', '')}", is_retryable_code(code))
    if not result.get("EventId"):
        return Refusal("EventBridge did not say whether it took it")
    return None


def _check_source(source: str) -> None:
    if not source or source.startswith("aws."):
        raise ValueError(f"EventBridge takes no event store id like {source!r:.100}")


def _check_detail_type(detail_type: str) -> None:
    if not 1 <= len(detail_type) <= _MOST_CHARACTERS_OF_A_DETAIL_TYPE:
        raise ValueError(
            f"an event type has 1 to {_MOST_CHARACTERS_OF_A_DETAIL_TYPE} characters on "
            f"EventBridge, and this one {len(detail_type)}: {detail_type!r:.150}"
        )
