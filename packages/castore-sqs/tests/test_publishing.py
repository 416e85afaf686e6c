"""Messages go to the queue in as few requests as it allows, and none is lost in silence."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import BatchLimits, RetryPolicy, S3ClaimCheck
from castore_core import MessagePublishError, MessageRecord
from castore_sqs import SQSMessageQueueAdapter

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/pokemons"
RETRIES = RetryPolicy(max_attempts=3, base_delay=0)
LIMIT = 1_048_576


def make_message(aggregate_id: str = "a1", version: int = 1, payload: Any = None) -> MessageRecord:
    """Return a message about an event."""
    event = {"aggregateId": aggregate_id, "version": version, "payload": payload}
    body: Any = {"eventStoreId": "POKEMONS", "event": event}
    return MessageRecord("POKEMONS", aggregate_id, version, "T", body)


def make_adapter(client: Any, *, fifo: bool = False, **options: Any) -> SQSMessageQueueAdapter:
    """Return an adapter that retries without waiting."""
    queue_url = f"{QUEUE_URL}.fifo" if fifo else QUEUE_URL
    return SQSMessageQueueAdapter(client, queue_url, retries=RETRIES, **options)


def get_sent(client: Any) -> list[list[str]]:
    """Return the ids of the messages of each request."""
    return [
        [each["MessageAttributes"]["messageId"]["StringValue"] for each in call["Entries"]]
        for call in client.calls
    ]


def refuse(
    *numbers: int, code: str = "InternalError", sender_fault: bool = False
) -> Callable[[Any], Any]:
    """Return an answer that refuses some entries, and takes the others."""

    def answer(request: Any) -> Any:
        ids: list[str] = [each["Id"] for each in request["Entries"]]
        failed = {"SenderFault": sender_fault, "Code": code, "Message": "no"}
        refused = [ids[each] for each in numbers]
        return {
            "Successful": [{"Id": each} for each in ids if each not in refused],
            "Failed": [{"Id": each, **failed} for each in refused],
        }

    return answer


def answer_with(answer: dict[str, Any]) -> Callable[[object], Any]:
    """Return an answer that has nothing to do with the request."""
    return lambda _: answer


def get_size(request: Any) -> int:
    """Return what AWS counts of a message, as a request has it."""
    texts = [request["MessageBody"]]
    for name, attribute in request["MessageAttributes"].items():
        texts += [name, attribute["DataType"], attribute["StringValue"]]
    return sum(len(each.encode()) for each in texts)


async def fail(adapter: SQSMessageQueueAdapter, messages: list[MessageRecord]) -> dict[str, str]:
    """Publish messages that are not all taken, and return the reasons by the aggregate."""
    with pytest.raises(MessagePublishError) as caught:
        await adapter.publish_messages(messages)
    return {each.aggregate_id: reason for each, reason in caught.value.failures}


# The adapter


async def test_the_client_is_as_it_was_given(make_fake_client: Callable[..., Any]) -> None:
    """Workers use the client and the queue of an adapter."""
    client = make_fake_client()
    adapter = make_adapter(client)
    assert (client, QUEUE_URL, None) == (adapter.client, adapter.queue_url, adapter.claim_check)
    assert repr(adapter) == f"SQSMessageQueueAdapter({QUEUE_URL!r}, fifo=False)"


@pytest.mark.parametrize(
    ("queue_url", "fifo", "expected"),
    [
        (QUEUE_URL, None, False),
        (QUEUE_URL, False, False),
        (f"{QUEUE_URL}.fifo", None, True),
        (f"{QUEUE_URL}.fifo", True, True),
    ],
)
async def test_the_url_tells_a_fifo_queue(
    make_fake_client: Callable[..., Any], queue_url: str, *, fifo: bool | None, expected: bool
) -> None:
    """Nobody has to say it, as with the worker."""
    client = make_fake_client()
    adapter = SQSMessageQueueAdapter(client, queue_url, fifo)

    await adapter.publish_message(make_message())
    await adapter.publish_messages([make_message()])

    entries = [client.calls[0], *client.calls[1]["Entries"]]
    assert [expected] * 2 == ["MessageGroupId" in each for each in entries]
    assert f"fifo={expected}" in repr(adapter)


def test_a_fifo_queue_that_should_be_none(make_fake_client: Callable[..., Any]) -> None:
    """SQS would refuse each message."""
    with pytest.raises(ValueError, match="fifo=False, but this is the URL of a FIFO queue: 'https"):
        SQSMessageQueueAdapter(make_fake_client(), f"{QUEUE_URL}.fifo", fifo=False)


def test_a_queue_that_should_be_fifo(make_fake_client: Callable[..., Any]) -> None:
    """Its worker would keep no order, and SQS refuse each message."""
    with pytest.raises(ValueError, match="fifo=True, but this is the URL of no FIFO queue"):
        SQSMessageQueueAdapter(make_fake_client(), QUEUE_URL, fifo=True)


@pytest.mark.parametrize(
    "queue_url", ["", "pokemons", "arn:aws:sqs:eu-west-1:123456789012:pokemons", "x" * 10_000]
)
def test_what_is_no_url_of_a_queue(make_fake_client: Callable[..., Any], queue_url: str) -> None:
    """The error says where to get one."""
    with pytest.raises(ValueError, match="which get_queue_url of the client returns") as caught:
        SQSMessageQueueAdapter(make_fake_client(), queue_url)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("option", "kind"),
    [("claim_check", S3ClaimCheck), ("limits", BatchLimits), ("retries", RetryPolicy)],
)
def test_a_class_is_no_option(make_fake_client: Callable[..., Any], option: str, kind: Any) -> None:
    """The error names both, before anything is published."""
    options: Any = {option: kind}
    with pytest.raises(TypeError, match=f"{option} is the class {kind.__name__}"):
        SQSMessageQueueAdapter(make_fake_client(), QUEUE_URL, **options)


def test_what_is_no_client(make_fake_client: Callable[..., Any]) -> None:
    """Another service's, a class, nothing, and arguments that were swapped."""
    bus = make_fake_client()
    bus.meta.service_model.service_name = "events"
    with pytest.raises(TypeError, match="a client of 'sqs' is needed, and this is one of 'events'"):
        SQSMessageQueueAdapter(bus, QUEUE_URL)
    nobodies: list[Any] = [None, type(bus), QUEUE_URL]
    for nobody in nobodies:
        with pytest.raises(TypeError, match=r"not a client .* Make one with boto3.client\('sqs'\)"):
            SQSMessageQueueAdapter(nobody, QUEUE_URL)


# One message


async def test_a_refused_message_has_a_reason(
    make_fake_client: Callable[..., Any], make_error: Callable[..., ClientError]
) -> None:
    """The error names the message and the reason, and was caused by the error of AWS."""
    error = make_error("QueueDoesNotExist", "no such queue")
    adapter = make_adapter(make_fake_client([error]))
    message = make_message()
    with pytest.raises(MessagePublishError) as caught:
        await adapter.publish_message(message)
    assert ((message, "QueueDoesNotExist: no such queue"),) == caught.value.failures
    assert error is caught.value.__cause__
    assert caught.value.failures == pickle.loads(pickle.dumps(caught.value)).failures  # noqa: S301 our own


@pytest.mark.parametrize(
    "code",
    ["RequestThrottled", "KmsThrottled", "KMS.ThrottlingException", "ThrottlingException"],
)
async def test_a_throttled_message_is_sent_again(
    make_fake_client: Callable[..., Any], make_error: Callable[..., ClientError], code: str
) -> None:
    """Inside the bounds of the policy."""
    client = make_fake_client([make_error(code)] * 2)
    await make_adapter(client).publish_message(make_message())
    assert len(client.calls) == 3

    client = make_fake_client([make_error(code)] * 3)
    with pytest.raises(MessagePublishError, match=code):
        await make_adapter(client).publish_message(make_message())
    assert len(client.calls) == 3


async def test_a_retried_message_keeps_its_deduplication_id(
    make_fake_client: Callable[..., Any],
) -> None:
    """A FIFO queue that took it, and whose answer was lost, takes no second one; a replay too."""
    for replay in (False, True):
        client = make_fake_client([EndpointConnectionError(endpoint_url=QUEUE_URL)])
        adapter = make_adapter(client, fifo=True)
        await adapter.publish_message(make_message(), replay=replay)
        first, second = (each["MessageDeduplicationId"] for each in client.calls)
        assert first == second


async def test_each_replay_is_another_one(make_fake_client: Callable[..., Any]) -> None:
    """A FIFO queue takes a message that it got live, and in a replay, a minute ago."""
    client = make_fake_client()
    adapter = make_adapter(client, fifo=True)
    await adapter.publish_message(make_message())
    for _ in range(2):
        await adapter.publish_message(make_message(), replay=True)
    assert len({each["MessageDeduplicationId"] for each in client.calls}) == 3


# Batches


async def test_a_request_has_ten_messages(make_fake_client: Callable[..., Any]) -> None:
    """In their order, with ids that AWS allows."""
    client = make_fake_client()
    messages = [make_message(f"a{each}") for each in range(25)]
    await make_adapter(client).publish_messages(messages)
    assert [10, 10, 5] == [len(each["Entries"]) for each in client.calls]
    assert [f"POKEMONS#a{each}#1" for each in range(25)] == [
        each for sent in get_sent(client) for each in sent
    ]
    assert [str(each) for each in range(10)] == [each["Id"] for each in client.calls[0]["Entries"]]


async def test_no_message_is_no_request(make_fake_client: Callable[..., Any]) -> None:
    """AWS takes no empty batch."""
    client = make_fake_client()
    await make_adapter(client).publish_messages([])
    assert [] == client.calls


async def test_a_fifo_request_has_one_message_of_an_aggregate(
    make_fake_client: Callable[..., Any],
) -> None:
    """So that none can be taken before one that goes first."""
    client = make_fake_client()
    messages = [make_message(each, version) for version in (1, 2) for each in ("a", "b")]
    await make_adapter(client, fifo=True).publish_messages(messages)
    first, second = get_sent(client)
    assert ["POKEMONS#a#1", "POKEMONS#b#1"] == first
    assert ["POKEMONS#a#2", "POKEMONS#b#2"] == second


async def test_only_what_was_refused_is_sent_again(make_fake_client: Callable[..., Any]) -> None:
    """What SQS took is not sent twice by a retry of the others."""
    client = make_fake_client([refuse(1, 3), refuse(0)])
    await make_adapter(client).publish_messages([make_message(f"a{each}") for each in range(5)])
    ids = [f"POKEMONS#a{each}#1" for each in range(5)]
    assert [ids, [ids[1], ids[3]], [ids[1]]] == get_sent(client)


async def test_what_the_sender_did_wrong_is_not_sent_again(
    make_fake_client: Callable[..., Any],
) -> None:
    """The error has the code and the message of the entry, and names it alone."""
    client = make_fake_client([refuse(1, code="InvalidMessageContents", sender_fault=True)])
    messages = [make_message(f"a{each}") for each in range(3)]
    assert {"a1": "InvalidMessageContents: no"} == await fail(make_adapter(client), messages)
    assert len(client.calls) == 1


async def test_a_throttled_entry_is_sent_again(make_fake_client: Callable[..., Any]) -> None:
    """AWS may call it the sender's fault."""
    client = make_fake_client([refuse(0, code="RequestThrottled", sender_fault=True)])
    await make_adapter(client).publish_messages([make_message()])
    assert len(client.calls) == 2


async def test_what_is_refused_again_and_again_is_named(
    make_fake_client: Callable[..., Any],
) -> None:
    """All others of the batch, and of those that follow, are taken."""
    client = make_fake_client([refuse(2), refuse(0), refuse(0)])
    messages = [make_message(f"a{each}") for each in range(12)]
    assert {"a2": "InternalError: no"} == await fail(make_adapter(client), messages)
    assert [10, 1, 1, 2] == [len(each["Entries"]) for each in client.calls]


async def test_an_entry_without_an_answer_failed(make_fake_client: Callable[..., Any]) -> None:
    """An answer that names an entry neither here nor there does not say that it was taken."""
    client = make_fake_client([answer_with({"Successful": [{"Id": "0"}]})])
    failures = await fail(make_adapter(client), [make_message("a0"), make_message("a1")])
    assert {"a1": "the answer of SQS does not name it"} == failures


async def test_an_empty_answer_is_no_success(make_fake_client: Callable[..., Any]) -> None:
    """All its messages failed."""
    client = make_fake_client([answer_with({})])
    assert ["a0", "a1"] == sorted(
        await fail(make_adapter(client), [make_message("a0"), make_message("a1")])
    )


async def test_nothing_of_an_aggregate_follows_what_was_not_taken(
    make_fake_client: Callable[..., Any],
) -> None:
    """In a FIFO queue; other aggregates go on."""
    client = make_fake_client([refuse(0, code="InvalidMessageContents", sender_fault=True)])
    messages = [make_message(each, version) for version in (1, 2, 3) for each in ("a", "b")]
    with pytest.raises(MessagePublishError) as caught:
        await make_adapter(client, fifo=True).publish_messages(messages)
    assert [("a", 1), ("a", 2), ("a", 3)] == [
        (each.aggregate_id, each.version) for each, _ in caught.value.failures
    ]
    assert [
        ["POKEMONS#a#1", "POKEMONS#b#1"],
        ["POKEMONS#b#2"],
        ["POKEMONS#b#3"],
    ] == get_sent(client)


async def test_a_request_that_fails_stops_the_others(
    make_fake_client: Callable[..., Any], make_error: Callable[..., ClientError]
) -> None:
    """What was sent before stays sent."""
    client = make_fake_client([refuse(), make_error("QueueDoesNotExist")])
    messages = [make_message(f"a{each}") for each in range(25)]
    failures = await fail(make_adapter(client), messages)
    assert [f"a{each}" for each in range(10, 25)] == list(failures)
    assert len(client.calls) == 2


# Sizes and characters


@pytest.mark.parametrize("replay", [False, True], ids=["live", "replay"])
async def test_the_size_is_what_aws_counts(
    make_fake_client: Callable[..., Any], *, replay: bool
) -> None:
    """Body and attributes, in bytes of UTF-8: the last byte fits, and one more does not."""
    client = make_fake_client()
    adapter = make_adapter(client)
    await adapter.publish_message(make_message("ピカ", payload="⚡"), replay=replay)
    left = LIMIT - get_size(client.calls[0])

    await adapter.publish_message(make_message("ピカ", payload="⚡" + left * "x"), replay=replay)
    assert LIMIT == get_size(client.calls[1])

    with pytest.raises(MessagePublishError, match=f"it has {LIMIT + 1} bytes"):
        await adapter.publish_message(
            make_message("ピカ", payload="⚡" + (left + 1) * "x"), replay=replay
        )
    assert len(client.calls) == 2


UNSENDABLE = {
    "too large": (make_message("bad", payload="x" * LIMIT), "which is more than 1048576"),
    "no text": (make_message("bad", payload="\udc80"), "text that is not well-formed Unicode"),
    "no id": (make_message("\udc80"), "text that is not well-formed Unicode"),
}


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "FIFO"])
@pytest.mark.parametrize(("message", "reason"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
async def test_what_is_beside_what_cannot_be_sent_is_sent(
    make_fake_client: Callable[..., Any], message: MessageRecord, reason: str, *, fifo: bool
) -> None:
    """The error names the one message, and all others went."""
    client = make_fake_client()
    others = [make_message(f"a{each}") for each in range(12)]
    failures = await fail(make_adapter(client, fifo=fifo), [*others[:3], message, *others[3:]])
    assert [message.aggregate_id] == list(failures)
    assert reason in failures[message.aggregate_id]
    sent = [each for batch in get_sent(client) for each in batch]
    assert [f"POKEMONS#a{each}#1" for each in range(12)] == sent


@pytest.mark.parametrize(("message", "reason"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
async def test_one_that_cannot_be_sent(
    make_fake_client: Callable[..., Any], message: MessageRecord, reason: str
) -> None:
    """It raises the same."""
    client = make_fake_client()
    with pytest.raises(MessagePublishError) as caught:
        await make_adapter(client).publish_message(message)
    assert [message] == [each for each, _ in caught.value.failures]
    assert reason in caught.value.failures[0][1]
    assert [] == client.calls


async def test_a_fifo_queue_goes_on_without_what_can_never_be_sent(
    make_fake_client: Callable[..., Any],
) -> None:
    """Later messages of its aggregate are sent, in their order."""
    client = make_fake_client()
    messages = [make_message("a", version) for version in (1, 2, 3, 4)]
    messages[1] = make_message("a", 2, payload="x" * LIMIT)
    with pytest.raises(MessagePublishError) as caught:
        await make_adapter(client, fifo=True).publish_messages(messages)
    assert [messages[1]] == [each for each, _ in caught.value.failures]
    assert [["POKEMONS#a#1"], ["POKEMONS#a#3"], ["POKEMONS#a#4"]] == get_sent(client)


async def test_what_the_queue_does_not_take_is_found(
    make_fake_client: Callable[..., Any], make_error: Callable[..., ClientError]
) -> None:
    """SQS may refuse a request as a whole, and does not say for which message."""
    refusal = make_error("InvalidParameterValue", "One or more parameters are invalid.")
    client = make_fake_client([refusal, refuse(), refusal, refuse()])
    failures = await fail(make_adapter(client), [make_message(f"a{each}") for each in range(3)])
    assert {"a1": "InvalidParameterValue: One or more parameters are invalid."} == failures
    assert [3, 1, 1, 1] == [len(each["Entries"]) for each in client.calls]


async def test_a_request_is_not_too_large(make_fake_client: Callable[..., Any]) -> None:
    """Messages that each fit go in as many requests as they need."""
    client = make_fake_client()
    messages = [make_message(f"a{each}", payload="x" * 300_000) for each in range(7)]
    await make_adapter(client).publish_messages(messages)
    assert [3, 3, 1] == [len(each["Entries"]) for each in client.calls]
    assert all(sum(map(get_size, each["Entries"])) <= LIMIT for each in client.calls)


async def test_limits_may_be_lower(make_fake_client: Callable[..., Any]) -> None:
    """Where a queue has another maximum size of a message."""
    limits = BatchLimits(max_entries=2, max_entry_bytes=300)
    client = make_fake_client()
    adapter = make_adapter(client, limits=limits)
    await adapter.publish_messages([make_message(f"a{each}") for each in range(3)])
    assert [2, 1] == [len(each["Entries"]) for each in client.calls]
    with pytest.raises(MessagePublishError, match="more than 300"):
        await adapter.publish_message(make_message(payload="x" * 300))


async def test_characters_that_sqs_does_not_take_are_escaped(
    make_fake_client: Callable[..., Any],
) -> None:
    """The body has none of them, and is the same JSON."""
    client = make_fake_client()
    message = make_message("a\ufffe", payload={"\uffff": "\x00 \ufffe\uffff \U0001fffe \\ufffe"})
    await make_adapter(client).publish_message(message)
    [sent] = client.calls
    assert message.body == json.loads(sent["MessageBody"])
    assert not {"\ufffe", "\uffff", "\x00"} & set(sent["MessageBody"])


async def test_an_id_with_control_characters_is_hashed(
    make_fake_client: Callable[..., Any],
) -> None:
    """The attribute is for people; the body has the id."""
    client = make_fake_client()
    await make_adapter(client).publish_message(make_message("a\x00"))
    [sent] = client.calls
    assert len(sent["MessageAttributes"]["messageId"]["StringValue"]) == 64
