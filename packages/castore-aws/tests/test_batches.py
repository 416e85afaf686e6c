"""Several messages in one request: what is sent, what again, and what is told of the rest."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from castore_aws import BatchLimits, Entry, Refusal, RetryPolicy, Unsent, send_batches
from castore_core import MessagePublishError, MessageRecord

ATTEMPTS = 3
AT_ONCE = RetryPolicy(max_attempts=ATTEMPTS, base_delay=0)
TAKEN = None
FOR_GOOD = Refusal("malformed")
FOR_NOW = Refusal("throttled", is_retryable=True)
DOWN = EndpointConnectionError(endpoint_url="https://aws")


def make_error(code: str, message: str = "no", status: int = 400) -> ClientError:
    """Return the error of a request that AWS refused as a whole."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Send")


INVALID = make_error("ValidationException")


class Backend:
    """Plays a script: an outcome for each entry that is sent, or a failure of the request.

    After its end, it takes everything but requests with a ``poison`` in them.
    """

    def __init__(
        self,
        script: Sequence[Refusal | Exception | None] = (),
        poison: Sequence[str] = (),
        error: Exception = INVALID,
    ) -> None:
        self.script = list(script)
        self.poison = set(poison)
        self.error = error
        self.requests: list[list[Entry]] = []
        self.taken: list[Entry] = []
        self.repeated: list[Entry] = []

    async def send(self, entries: Sequence[Entry]) -> list[Refusal | None]:
        """Send a request."""
        self.requests.append(list(entries))
        self.repeated += [each for each in entries if each in self.taken]
        await asyncio.sleep(0)
        if self.poison.intersection(names(entries)):
            raise self.error
        outcomes: list[Refusal | None] = []
        for _ in entries:
            outcome = self.script.pop(0) if self.script else TAKEN
            if isinstance(outcome, Exception):
                raise outcome
            outcomes.append(outcome)
        self.taken += [
            each for each, outcome in zip(entries, outcomes, strict=True) if outcome is TAKEN
        ]
        return outcomes

    async def publish(
        self, entries: Sequence[Entry | Unsent], limits: BatchLimits | None = None
    ) -> dict[str, str]:
        """Send entries, and return what was not taken, with the reasons."""
        try:
            await send_batches(entries, self.send, limits=limits or BatchLimits(), retries=AT_ONCE)
        except MessagePublishError as error:
            return {message.aggregate_id: reason for message, reason in error.failures}
        return {}


def make_entry(name: str, group: str | None = None, size: int = 1) -> Entry:
    """Return an entry with a name."""
    return Entry(MessageRecord("STORE", name, 1, "TYPE", {}), {"name": name}, size, group)


def make_entries(count: int, group: str | None = None) -> list[Entry]:
    """Return entries with numbers for names."""
    return [make_entry(str(number), group) for number in range(count)]


def make_unsent(name: str, group: str | None = None) -> Unsent:
    """Return a message that is not sent; with a group, what comes after it waits for it."""
    error = ValueError(f"{name} is too large")
    return Unsent(MessageRecord("STORE", name, 1, "TYPE", {}), str(error), error, group)


def names(entries: Sequence[Entry | Unsent]) -> list[str]:
    """Return the names of entries."""
    return [each.message.aggregate_id for each in entries]


def is_in_group(entry: Entry, group: str | None) -> bool:
    """Tell whether an entry is one of a group that has an order."""
    return group is not None and entry.group == group


@st.composite
def entry_lists(draw: st.DrawFn) -> list[Entry]:
    """Entries of any groups and sizes."""
    places = st.tuples(st.sampled_from([None, "g1", "g2", "g3"]), st.integers(1, 10))
    drawn = draw(st.lists(places, max_size=30))
    return [make_entry(str(number), *place) for number, place in enumerate(drawn)]


@st.composite
def lists_with_unsent(draw: st.DrawFn) -> list[Entry | Unsent]:
    """Entries, and messages between them that are not sent."""
    mixed: list[Entry | Unsent] = []
    for entry in draw(entry_lists()):
        name, group = entry.message.aggregate_id, entry.group
        kind = draw(st.sampled_from(["entry", "entry", "entry", "never", "later"]))
        if kind == "entry":
            mixed.append(entry)
        else:
            mixed.append(make_unsent(name, group if kind == "later" else None))
    return mixed


limits = st.builds(
    BatchLimits,
    max_entries=st.integers(1, 10),
    max_entry_bytes=st.just(10),
    max_batch_bytes=st.integers(10, 70),
)
refusals = st.sampled_from([TAKEN, TAKEN, TAKEN, FOR_GOOD, FOR_NOW])
scripts = st.lists(refusals, max_size=60)
scripts_with_failures = st.lists(refusals | st.sampled_from([TAKEN, DOWN]), max_size=60)
any_scripts = st.lists(refusals | st.sampled_from([TAKEN, DOWN, INVALID]), max_size=60)


@given(entry_lists(), limits, any_scripts)
async def test_limits_hold(entries: list[Entry], limits: BatchLimits, script: list[Any]) -> None:
    """No request is empty, has too many entries, or too many bytes."""
    backend = Backend(script)

    await backend.publish(entries, limits)

    for request in backend.requests:
        assert 1 <= len(request) <= limits.max_entries
        assert sum(each.size for each in request) <= limits.max_batch_bytes


@given(lists_with_unsent(), limits, any_scripts)
async def test_the_error_names_just_what_was_not_taken(
    entries: list[Entry | Unsent], limits: BatchLimits, script: list[Any]
) -> None:
    """Each once, in the order of the batch, with a reason; without such, there is no error."""
    backend = Backend(script)

    failures = await backend.publish(entries, limits)

    assert [each for each in names(entries) if each not in names(backend.taken)] == list(failures)
    assert all(failures.values())


@given(entry_lists(), limits, scripts_with_failures)
async def test_nothing_that_was_taken_is_sent_again(
    entries: list[Entry], limits: BatchLimits, script: list[Any]
) -> None:
    """Nor is anything sent more often than the policy has attempts."""
    backend = Backend(script)

    await backend.publish(entries, limits)

    sent = [each for request in backend.requests for each in names(request)]
    assert [] == backend.repeated
    assert all(sent.count(each) <= ATTEMPTS for each in sent)


@given(entry_lists(), limits, any_scripts)
async def test_what_is_taken_of_a_group_is_its_beginning(
    entries: list[Entry], limits: BatchLimits, script: list[Any]
) -> None:
    """In its order, whatever was refused, and however often."""
    backend = Backend(script)

    await backend.publish(entries, limits)

    for group in ("g1", "g2", "g3"):
        whole = names([each for each in entries if is_in_group(each, group)])
        taken = names([each for each in backend.taken if is_in_group(each, group)])
        assert whole[: len(taken)] == taken


@given(entry_lists(), limits, scripts)
async def test_a_refusal_stops_its_group_alone(
    entries: list[Entry], limits: BatchLimits, script: list[Any]
) -> None:
    """Where no request fails as a whole, whatever has no group is sent."""
    backend = Backend(script)

    await backend.publish(entries, limits)

    sent = {each for request in backend.requests for each in names(request)}
    assert {each.message.aggregate_id for each in entries if each.group is None} <= sent


@given(lists_with_unsent(), limits, scripts)
async def test_what_cannot_be_sent_stops_nothing(
    entries: list[Entry | Unsent], limits: BatchLimits, script: list[Any]
) -> None:
    """Whatever has no group is sent; no message that cannot be is."""
    backend = Backend(script)

    await backend.publish(entries, limits)

    sent = {each for request in backend.requests for each in names(request)}
    sendable = [each for each in entries if isinstance(each, Entry)]
    assert {each.message.aggregate_id for each in sendable if each.group is None} <= sent
    assert sent <= set(names(sendable))


@given(entry_lists(), limits, st.integers(0, 29))
async def test_a_poison_takes_nothing_along(
    entries: list[Entry], limits: BatchLimits, number: int
) -> None:
    """AWS refuses its request as a whole: all others are taken, but for those of its group."""
    backend = Backend(poison=[str(number)])
    groups = [each.group for each in entries if each.message.aggregate_id == str(number)]

    await backend.publish(entries, limits)

    others = [each for each in entries if each.group is None or each.group not in groups]
    assert {*names(others)} - {str(number)} <= set(names(backend.taken))


async def test_as_few_requests_as_the_limits_allow() -> None:
    """Entries without a group fill the requests, in their order."""
    backend = Backend()

    await backend.publish(make_entries(25))

    assert [10, 10, 5] == [len(each) for each in backend.requests]
    assert names(make_entries(25)) == names(backend.taken)


async def test_a_request_has_one_of_a_group() -> None:
    """Those of several groups go side by side."""
    entries = [make_entry(f"{group}{number}", group) for group in "abc" for number in range(2)]
    backend = Backend()

    await backend.publish(entries)

    assert [["a0", "b0", "c0"], ["a1", "b1", "c1"]] == [names(each) for each in backend.requests]


async def test_only_what_was_refused_for_the_moment_is_sent_again() -> None:
    """And only it is named when the attempts are used up."""
    backend = Backend([TAKEN, FOR_NOW, FOR_GOOD, FOR_NOW, FOR_NOW, TAKEN, FOR_NOW])

    failures = await backend.publish(make_entries(4))

    assert [["0", "1", "2", "3"], ["1", "3"], ["1"]] == [names(each) for each in backend.requests]
    assert {"1": "throttled", "2": "malformed"} == failures


async def test_after_a_refusal_the_rest_of_its_group_is_not_sent() -> None:
    """The error says that it was not, and why."""
    entries = [make_entry("a0", "a"), make_entry("a1", "a"), make_entry("a2", "a"), make_entry("b")]
    backend = Backend([FOR_GOOD])

    failures = await backend.publish(entries)

    assert ["b"] == names(backend.taken)
    assert "malformed" == failures["a0"]
    assert failures["a1"] == failures["a2"]
    assert "one before it in its group" in failures["a1"]


async def test_what_cannot_be_sent_is_named_in_its_place() -> None:
    """With its reason; the first one is the cause of the error."""
    unsent = [make_unsent("a"), make_unsent("c")]
    entries = [unsent[0], make_entry("b"), unsent[1], make_entry("d"), make_entry("e")]
    backend = Backend([TAKEN, FOR_GOOD])

    with pytest.raises(MessagePublishError) as caught:
        await send_batches(entries, backend.send, limits=BatchLimits(), retries=AT_ONCE)

    assert ["a is too large", "c is too large", "malformed"] == [
        reason for _, reason in caught.value.failures
    ]
    assert ["a", "c", "d"] == [each.aggregate_id for each, _ in caught.value.failures]
    assert ["b", "e"] == names(backend.taken)
    assert unsent[0].error is caught.value.__cause__


async def test_only_unsent_messages_are_no_request() -> None:
    """AWS takes no empty batch."""
    backend = Backend()

    assert {"a": "a is too large"} == await backend.publish([make_unsent("a")])
    assert [] == backend.requests


async def test_nothing_waits_for_what_can_never_be_sent() -> None:
    """Later messages of its aggregate go, in their order."""
    entries = [make_entry("a1", "a"), make_unsent("a2"), make_entry("a3", "a"), make_entry("b")]
    backend = Backend()

    assert ["a2"] == list(await backend.publish(entries))
    assert [["a1", "b"], ["a3"]] == [names(each) for each in backend.requests]


async def test_a_group_waits_for_what_may_be_sent_later() -> None:
    """What came before it in its group goes, and all other groups."""
    entries = [
        make_entry("a1", "a"),
        make_unsent("a2", "a"),
        make_entry("a3", "a"),
        make_entry("b", "b"),
        make_entry("c"),
    ]
    backend = Backend()

    failures = await backend.publish(entries)

    assert ["a1", "b", "c"] == names(backend.taken)
    assert ["a2", "a3"] == list(failures)
    assert "one before it in its group" in failures["a3"]


@pytest.mark.parametrize(
    "error",
    [
        INVALID,
        make_error("InvalidParameterValue"),
        make_error("AWS.SimpleQueueService.BatchRequestTooLong"),
        make_error("413", status=413),
        ParamValidationError(report="Invalid type for parameter"),
    ],
    ids=["validation", "value", "too long", "status", "client"],
)
async def test_a_request_that_is_refused_for_what_is_in_it(error: Exception) -> None:
    """Its entries are sent alone, so that just the one is named that AWS refuses."""
    backend = Backend(poison=["4"], error=error)

    failures = await backend.publish(make_entries(25))

    assert ["4"] == list(failures)
    assert type(error).__name__ in failures["4"] or "no" in failures["4"]
    assert [10, *[1] * 10, 10, 5] == [len(each) for each in backend.requests]


async def test_a_request_of_which_each_entry_is_refused() -> None:
    """Then it is no matter of the entries, and nothing more is sent."""
    backend = Backend(poison=[str(each) for each in range(10)])

    failures = await backend.publish(make_entries(25))

    assert 11 == len(backend.requests)
    assert names(make_entries(25)) == list(failures)
    assert "not sent after a request that failed: ValidationException: no" == failures["10"]


async def test_one_that_is_refused_alone_stops_nothing() -> None:
    """It was in a request of its own from the beginning."""
    backend = Backend(poison=["1"])

    assert ["1"] == list(await backend.publish(make_entries(4), BatchLimits(max_entries=1)))
    assert 4 == len(backend.requests)


async def test_a_request_that_fails_while_its_entries_go_alone() -> None:
    """What was not sent again keeps the reason of the request."""
    backend = Backend([INVALID, TAKEN, DOWN])

    failures = await backend.publish(make_entries(12))

    assert ["0"] == names(backend.taken)
    assert "EndpointConnectionError" in failures["1"]
    assert "ValidationException: no" == failures["2"]
    assert "not sent after a request that failed" in failures["10"]


async def test_after_a_request_that_failed_nothing_is_sent() -> None:
    """The cause of the error is the one of the request."""
    failure = make_error("AccessDenied")
    backend = Backend([*[TAKEN] * 10, failure])

    with pytest.raises(MessagePublishError) as caught:
        await send_batches(make_entries(25), backend.send, limits=BatchLimits(), retries=AT_ONCE)

    assert failure is caught.value.__cause__
    reasons = [reason for _, reason in caught.value.failures]
    assert ["AccessDenied: no"] * 10 == reasons[:10]
    assert ["not sent after a request that failed: AccessDenied: no"] * 5 == reasons[10:]
    assert 2 == len(backend.requests)


async def test_equal_messages_are_several() -> None:
    """Of two that are equal, one may be taken, and the other not."""
    twice = [make_entry("same"), make_entry("same")]
    backend = Backend([TAKEN, FOR_GOOD])

    with pytest.raises(MessagePublishError) as caught:
        await send_batches(twice, backend.send, limits=BatchLimits(), retries=AT_ONCE)

    assert 1 == len(caught.value.failures)


async def test_after_any_error_what_was_taken_is_known() -> None:
    """A client raises other errors too, such as those of credentials that cannot be renewed."""
    failure = RuntimeError("the refreshed credentials are still expired")
    backend = Backend([*[TAKEN] * 10, failure])

    with pytest.raises(MessagePublishError) as caught:
        await send_batches(make_entries(25), backend.send, limits=BatchLimits(), retries=AT_ONCE)

    assert failure is caught.value.__cause__
    assert names(make_entries(25))[10:] == [each.aggregate_id for each, _ in caught.value.failures]
    assert "RuntimeError: the refreshed credentials are" in caught.value.failures[0][1]


async def test_a_cancelled_batch_stops() -> None:
    """What was being sent may have been taken; nothing more is sent."""
    backend = Backend()

    task = asyncio.create_task(backend.publish(make_entries(25)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == len(backend.requests)


@pytest.mark.parametrize(
    "options",
    [
        {"max_entries": 0},
        {"max_entries": 11},
        {"max_entry_bytes": 0},
        {"max_entry_bytes": 11, "max_batch_bytes": 10},
    ],
)
def test_limits_that_cannot_be_are_refused(options: dict[str, int]) -> None:
    """AWS takes ten, and a message has to fit into a request."""
    with pytest.raises(ValueError, match=next(iter(options))):
        BatchLimits(**options)
