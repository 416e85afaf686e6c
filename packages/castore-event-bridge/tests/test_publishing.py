"""What the adapter puts on a bus, what it refuses, and what it does with answers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_aws import BatchLimits, RetryPolicy, S3ClaimCheck
from castore_core import AGGREGATE_EXISTS, MessagePublishError, MessageRecord
from castore_event_bridge import EventBridgeMessageBusAdapter

AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)

ClientFactory = Callable[..., Any]


def make_message(
    aggregate_id: str = "a1", event_type: str = "CAUGHT", store_id: str = "POKEMONS", **body: Any
) -> MessageRecord:
    """Return a message."""
    return MessageRecord(store_id, aggregate_id, 1, event_type, {"id": aggregate_id, **body})


def make_messages(count: int) -> list[MessageRecord]:
    """Return messages about several aggregates."""
    return [make_message(f"a{number}") for number in range(count)]


def make_adapter(client: Any, **options: Any) -> EventBridgeMessageBusAdapter:
    """Return an adapter that does not pause between attempts."""
    return EventBridgeMessageBusAdapter(client, "bus", retries=AT_ONCE, **options)


def answer(*codes: str | None) -> dict[str, Any]:
    """Return an answer with an error code, or none, for each entry."""
    entries = [
        {"ErrorCode": code, "ErrorMessage": "why"} if code else {"EventId": "e"} for code in codes
    ]
    return {"FailedEntryCount": len(codes) - codes.count(None), "Entries": entries}


def get_sent(client: Any) -> list[str]:
    """Return the aggregates of all events that were put."""
    return [json.loads(entry["Detail"])["id"] for call in client.calls for entry in call]


async def fail(adapter: EventBridgeMessageBusAdapter, *messages: MessageRecord) -> dict[str, str]:
    """Publish messages of which not all are taken, and return the reasons by aggregate."""
    with pytest.raises(MessagePublishError) as caught:
        await adapter.publish_messages(messages)
    return {message.aggregate_id: reason for message, reason in caught.value.failures}


async def test_batches_of_ten(make_fake_client: ClientFactory) -> None:
    """A request has ten events at most, and all keep their order."""
    client = make_fake_client()

    await make_adapter(client).publish_messages(make_messages(25))

    assert [10, 10, 5] == [len(each) for each in client.calls]
    details = [entry["Detail"] for call in client.calls for entry in call]
    assert [f'{{"id":"a{number}"}}' for number in range(25)] == details


async def test_no_messages(make_fake_client: ClientFactory) -> None:
    """There is no request without entries: EventBridge would refuse it."""
    client = make_fake_client()

    await make_adapter(client).publish_messages([])

    assert [] == client.calls


async def test_what_a_request_holds_is_what_eventbridge_counts(
    make_fake_client: ClientFactory,
) -> None:
    """The source, the type and the detail of each, as UTF-8."""
    messages = [make_message("é", "T", "S"), make_message("é", "T", "S")]
    size = len("S") + len("T") + len('{"id":"é"}'.encode())
    limits = [
        BatchLimits(max_entry_bytes=size, max_batch_bytes=each) for each in (2 * size - 1, 2 * size)
    ]
    clients = [make_fake_client(), make_fake_client()]

    for client, each in zip(clients, limits, strict=True):
        await make_adapter(client, limits=each).publish_messages(messages)

    assert [2, 1] == [len(client.calls) for client in clients]
    with pytest.raises(MessagePublishError, match=f"it has {size} bytes"):
        await make_adapter(
            make_fake_client(), limits=BatchLimits(max_entry_bytes=size - 1)
        ).publish_messages(messages)


async def test_what_a_target_could_not_get_is_too_large(make_fake_client: ClientFactory) -> None:
    """By default there is room for what EventBridge puts around an event."""
    client = make_fake_client()
    around = len('POKEMONSCAUGHT{"id":"a1","text":""}')
    largest = make_message(text="x" * (1_047_552 - around))
    too_large = make_message("a2", text="x" * (1_047_553 - around))

    await make_adapter(client).publish_message(largest)
    reasons = await fail(make_adapter(client), too_large)

    assert 1 == len(client.calls)
    assert "it has 1047553 bytes, which is more than 1047552" in reasons["a2"]


UNSENDABLE = {
    "too large": (make_message("bad", text="x" * 2**20), "bytes, which is more than 1047552"),
    "long type": (
        make_message("bad", "T" * 129),
        "128 characters on EventBridge, and this one 129",
    ),
    "no type": (make_message("bad", ""), "and this one 0"),
    "source of AWS": (make_message("bad", store_id="aws.x"), "no event store id like 'aws.x'"),
    "no source": (make_message("bad", store_id=""), "no event store id like ''"),
    "large": (make_message("bad", wei=10**20), "wei is an integer of more than 64 bits"),
    "just too large": (make_message("bad", level=2**63), "level is an integer of more than"),
    "small": (make_message("bad", level=[1, {"a": -(2**63) - 1}]), "level[1].a is an integer of"),
    "float": (make_message("bad", level=float(2**63)), "level is an integer of more than 64"),
    "no text": (make_message("bad", text="\ud800"), "text that is not well-formed Unicode"),
}


@pytest.mark.parametrize(("message", "reason"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
async def test_what_eventbridge_does_not_take_is_not_sent(
    make_fake_client: ClientFactory, message: MessageRecord, reason: str
) -> None:
    """The error says why."""
    client = make_fake_client()

    with pytest.raises(MessagePublishError) as caught:
        await make_adapter(client).publish_message(message)

    assert [message] == [each for each, _ in caught.value.failures]
    assert reason in caught.value.failures[0][1]
    assert [] == client.calls


@pytest.mark.parametrize(("message", "reason"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
async def test_what_is_beside_it_is_sent(
    make_fake_client: ClientFactory, message: MessageRecord, reason: str
) -> None:
    """The error names the one message, and all others went."""
    client = make_fake_client()
    others = make_messages(12)

    reasons = await fail(make_adapter(client), *others[:3], message, *others[3:])

    assert ["bad"] == list(reasons)
    assert reason in reasons["bad"]
    assert [each.aggregate_id for each in others] == get_sent(client)


async def test_what_the_region_does_not_take_is_found(
    make_fake_client: ClientFactory, make_error: Callable[..., ClientError]
) -> None:
    """EventBridge refuses its request as a whole, and does not say for which event."""
    refusal = make_error("ValidationException", "Total size of the entries is over the limit.")
    client = make_fake_client([refusal, answer(None), refusal, answer(None)])

    reasons = await fail(make_adapter(client), *make_messages(3))

    assert {"a1": "ValidationException: Total size of the entries is over the limit."} == reasons
    assert [3, 1, 1, 1] == [len(each) for each in client.calls]


async def test_a_number_is_not_quoted(make_fake_client: ClientFactory) -> None:
    """It may be a secret; where it is, is none, as far as that is short."""
    body: Any = {"x" * 10_000: {"pin": 98765432109876543210}}

    reasons = await fail(make_adapter(make_fake_client()), make_message(**body))

    assert "98765432109876543210" not in reasons["a1"]
    assert reasons["a1"].startswith("xxxx")
    assert len(reasons["a1"]) < 300


@pytest.mark.parametrize(
    "message",
    [
        make_message(event_type="\u26a1" * 128),
        make_message(store_id="aws-pokemons"),
        make_message(levels=[2**63 - 1, -(2**63), 1e22, 1e-7, "9" * 40]),
    ],
    ids=["long type", "source", "numbers"],
)
async def test_what_eventbridge_just_takes_is_sent(
    make_fake_client: ClientFactory, message: MessageRecord
) -> None:
    """The limits are inclusive, texts are no numbers, and floats have any size."""
    client = make_fake_client()

    await make_adapter(client).publish_message(message)

    assert 1 == len(client.calls)


async def test_a_long_type_does_not_hinder_its_replay(make_fake_client: ClientFactory) -> None:
    """The type of a replay is in its detail alone."""
    client = make_fake_client()

    await make_adapter(client).publish_message(make_message(event_type="T" * 129), replay=True)

    assert [["__REPLAYED__"]] == [[each["DetailType"] for each in call] for call in client.calls]


async def test_the_replay_of_an_aggregate_that_exists(make_fake_client: ClientFactory) -> None:
    """Castore gives it no mark, so that rules for such messages see it."""
    client = make_fake_client()

    await make_adapter(client).publish_message(
        make_message(event_type=AGGREGATE_EXISTS), replay=True
    )

    assert [[AGGREGATE_EXISTS]] == [[each["DetailType"] for each in call] for call in client.calls]


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "InternalException"])
async def test_what_was_refused_for_the_moment_is_put_again(
    make_fake_client: ClientFactory, code: str
) -> None:
    """It alone, and no event that was taken."""
    client = make_fake_client([answer(None, code, None, code), answer(code, None), answer(None)])

    await make_adapter(client).publish_messages(make_messages(4))

    details = [[entry["Detail"] for entry in call] for call in client.calls]
    assert [['{"id":"a1"}', '{"id":"a3"}'], ['{"id":"a1"}']] == details[1:]


async def test_attempts_are_bounded(make_fake_client: ClientFactory) -> None:
    """What is still refused after the last one is named, with the reason."""
    client = make_fake_client([answer("ThrottlingException")] * 9)

    reasons = await fail(make_adapter(client), make_message())

    assert {"a1": "ThrottlingException: why"} == reasons
    assert 3 == len(client.calls)


async def test_what_was_refused_for_good_is_named(make_fake_client: ClientFactory) -> None:
    """It is not put again, and those after it are put."""
    client = make_fake_client([answer(None, "MalformedDetail", *[None] * 8)])

    reasons = await fail(make_adapter(client), *make_messages(12))

    assert {"a1": "MalformedDetail: why"} == reasons
    assert [10, 2] == [len(each) for each in client.calls]


async def test_a_single_message_that_was_refused(make_fake_client: ClientFactory) -> None:
    """A response with status 200 is looked at for one message too."""
    client = make_fake_client([answer("NotAuthorizedForSourceException")])

    with pytest.raises(MessagePublishError, match="NotAuthorizedForSourceException: why"):
        await make_adapter(client).publish_message(make_message())


@pytest.mark.parametrize(
    "response",
    [
        {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]},
        {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}, {}]},
    ],
    ids=["too short", "empty"],
)
async def test_an_answer_that_does_not_tell_of_a_message(
    make_fake_client: ClientFactory, response: Any
) -> None:
    """It counts as not taken."""
    client = make_fake_client([response])

    assert ["a1"] == list(await fail(make_adapter(client), *make_messages(2)))


@pytest.mark.parametrize("response", [{}, {"FailedEntryCount": 1}], ids=["nothing", "count"])
async def test_an_answer_that_tells_of_none(make_fake_client: ClientFactory, response: Any) -> None:
    """None counts as taken."""
    client = make_fake_client([response])

    assert ["a0", "a1"] == list(await fail(make_adapter(client), *make_messages(2)))


async def test_a_request_that_fails(
    make_fake_client: ClientFactory, make_error: Callable[..., ClientError]
) -> None:
    """Its messages and those after it are named, none of them is sent, and the cause is kept."""
    refusal = make_error("AccessDeniedException", "no")
    client = make_fake_client([answer(*[None] * 10), refusal])

    with pytest.raises(MessagePublishError) as caught:
        await make_adapter(client).publish_messages(make_messages(25))

    assert [f"a{number}" for number in range(10, 25)] == [
        message.aggregate_id for message, _ in caught.value.failures
    ]
    assert "AccessDeniedException: no" == caught.value.failures[0][1]
    assert refusal is caught.value.__cause__
    assert 2 == len(client.calls)


async def test_a_request_that_was_throttled_is_sent_again(
    make_fake_client: ClientFactory, make_error: Callable[..., ClientError]
) -> None:
    """As a whole: nothing of it was taken."""
    client = make_fake_client([make_error("ThrottlingException"), answer(None, None)])

    await make_adapter(client).publish_messages(make_messages(2))

    assert client.calls[0] == client.calls[1]


def test_a_client_of_another_service_is_refused(make_fake_client: ClientFactory) -> None:
    """The error names both services."""
    client = make_fake_client()
    client.meta.service_model.service_name = "sqs"

    with pytest.raises(TypeError, match="'events' is needed, and this is one of 'sqs'"):
        EventBridgeMessageBusAdapter(client, "bus")


@pytest.mark.parametrize(
    ("option", "kind"),
    [("claim_check", S3ClaimCheck), ("limits", BatchLimits), ("retries", RetryPolicy)],
)
def test_a_class_is_no_option(make_fake_client: ClientFactory, option: str, kind: Any) -> None:
    """The error names both, before anything is published."""
    options: Any = {option: kind}

    with pytest.raises(TypeError, match=f"{option} is the class {kind.__name__}"):
        EventBridgeMessageBusAdapter(make_fake_client(), "bus", **options)


def test_what_it_was_given_can_be_read(make_fake_client: ClientFactory) -> None:
    """The bus is in the repr too."""
    client = make_fake_client()
    adapter = make_adapter(client)

    assert (client, "bus", None) == (adapter.client, adapter.event_bus_name, adapter.claim_check)
    assert "EventBridgeMessageBusAdapter('bus')" == repr(adapter)
