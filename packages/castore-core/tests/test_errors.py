"""Errors form one tree, pickle, and tell what they speak of."""

import pickle
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import castore_core
from castore_core import (
    CastoreError,
    Event,
    MessageRecord,
    PushedEvent,
    Violation,
    errors,
    format_path,
)

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Counted(Event, type="COUNTED"):
    """An event that can be pickled."""


@dataclass(frozen=True)
class Counter:
    """An aggregate that can be pickled."""

    aggregate_id: str
    version: int


PUSHED = PushedEvent(Counted(aggregate_id="c", version=3, timestamp=NOW), Counter("c", 3))
MESSAGE = MessageRecord("COUNTERS", "c", 3, "COUNTED", {"eventStoreId": "COUNTERS"})

REASONS = ["too large", "throttled", "too large"]

VIOLATIONS = (
    Violation("payload.level", "is no integer", "int_type"),
    Violation("metadata", "is null"),
)
SENTENCE = "payload.level: is no integer; metadata: is null"

# Of each error: one, its attributes, and its message.
EXAMPLES: list[tuple[CastoreError, dict[str, Any], str]] = [
    (
        errors.InvalidEventError("COUNTED", "version", "is not an integer: 1.5"),
        {"event_type": "COUNTED", "field": "version", "reason": "is not an integer: 1.5"},
        "version of COUNTED is not an integer: 1.5",
    ),
    (
        errors.InvalidEventTypeError("COUNTED", "is reserved"),
        {"event_type": "COUNTED", "field": "type", "reason": "is reserved"},
        "event type 'COUNTED' is reserved",
    ),
    (
        errors.InvalidEventDataError("COUNTED", VIOLATIONS),
        {
            "event_type": "COUNTED",
            "field": "payload",
            "reason": f"is not valid: {SENTENCE}",
            "violations": VIOLATIONS,
        },
        f"payload of COUNTED is not valid: {SENTENCE}",
    ),
    (
        errors.InvalidCommandInputError("COUNT", VIOLATIONS),
        {"command_id": "COUNT", "violations": VIOLATIONS},
        f"input of command 'COUNT' is not valid: {SENTENCE}",
    ),
    (
        errors.InvalidCommandOutputError("COUNT", VIOLATIONS),
        {"command_id": "COUNT", "violations": VIOLATIONS, "is_written": True},
        (
            "output of command 'COUNT' is not valid, but what the command pushed is written: "
            f"{SENTENCE}"
        ),
    ),
    (
        errors.IdempotencyKeyReusedError("COUNT", "secret"),
        {"command_id": "COUNT", "key": "secret"},
        (
            "command 'COUNT' has run with this idempotency key and another input: "
            "give each request a key of its own"
        ),
    ),
    (
        errors.NotJSONError("payload.a", "is nan, which JSON does not have"),
        {"path": "payload.a", "reason": "is nan, which JSON does not have"},
        "payload.a is nan, which JSON does not have",
    ),
    (
        errors.ForeignEventError("COUNTERS", "COUNTED"),
        {"event_store_id": "COUNTERS", "event_type": "COUNTED"},
        (
            "the class of an event of type 'COUNTED' is not in the event_types of "
            "event store 'COUNTERS'"
        ),
    ),
    (
        errors.InvalidEventGroupError("it is too large"),
        {"reason": "it is too large"},
        "the event group cannot be pushed at once: it is too large",
    ),
    (
        errors.EventAlreadyExistsError("COUNTERS", "c", 3),
        {"event_store_id": "COUNTERS", "aggregate_id": "c", "version": 3, "retryable": True},
        "aggregate 'c' of event store 'COUNTERS' already has an event of version 3",
    ),
    (
        errors.VersionAssertionError("COUNTERS", "c", 3),
        {"event_store_id": "COUNTERS", "aggregate_id": "c", "version": 3, "retryable": True},
        "aggregate 'c' of event store 'COUNTERS' is not at version 3, as the group asserts",
    ),
    (
        errors.VersionGapError("COUNTERS", "c", 3),
        {"event_store_id": "COUNTERS", "aggregate_id": "c", "version": 3},
        (
            "version 3 of aggregate 'c' cannot follow: event store 'COUNTERS' has no event of "
            "version 2"
        ),
    ),
    (
        errors.AggregateNotFoundError("COUNTERS", "c"),
        {"event_store_id": "COUNTERS", "aggregate_id": "c"},
        "event store 'COUNTERS' has no aggregate 'c'",
    ),
    (
        errors.ReducerError("COUNTERS", "c", 3, "returned None"),
        {
            "event_store_id": "COUNTERS",
            "aggregate_id": "c",
            "version": 3,
            "reason": "returned None",
        },
        "the reducer of event store 'COUNTERS' returned None after event 3 of aggregate 'c'",
    ),
    (
        errors.UnknownEventTypeError("COUNTERS", "c", 3, "COUNTED"),
        {
            "event_store_id": "COUNTERS",
            "aggregate_id": "c",
            "version": 3,
            "event_type": "COUNTED",
        },
        (
            "event 3 of aggregate 'c' is of type 'COUNTED', which event store 'COUNTERS' does not "
            "have: add the type to event_types, or an upcaster"
        ),
    ),
    (
        errors.EventDecodeError("COUNTERS", "c", 3, "COUNTED", "payload is absent"),
        {
            "event_store_id": "COUNTERS",
            "aggregate_id": "c",
            "version": 3,
            "event_type": "COUNTED",
            "reason": "payload is absent",
        },
        "event 3 of aggregate 'c' in event store 'COUNTERS' is no 'COUNTED': payload is absent",
    ),
    (
        errors.InvalidLogPositionError("7", "it was made by another log"),
        {"position": "7", "reason": "it was made by another log"},
        "'7' is not a position of this log: it was made by another log",
    ),
    (
        errors.InvalidPageTokenError("COUNTERS", "it is damaged"),
        {"event_store_id": "COUNTERS", "reason": "it is damaged"},
        "the page token is not one of event store 'COUNTERS': it is damaged",
    ),
    (
        errors.StorageError("disk is full"),
        {"reason": "disk is full"},
        "disk is full",
    ),
    (
        errors.TransactionAbortedError("deadlock detected"),
        {"reason": "deadlock detected"},
        "deadlock detected",
    ),
    (
        errors.UnknownOutcomeError("COUNTERS", "c", 3, "no answer within 5 s"),
        {
            "event_store_id": "COUNTERS",
            "aggregate_id": "c",
            "version": 3,
            "reason": "no answer within 5 s",
        },
        (
            "the outcome of the push of event 3 of aggregate 'c' to event store 'COUNTERS' is "
            "unknown; read the aggregate before you push again: no answer within 5 s"
        ),
    ),
    (
        errors.LeaseLostError("pokedex", "worker-1"),
        {"bookmark_id": "pokedex", "owner": "worker-1"},
        "'worker-1' does not hold the lease of bookmark 'pokedex'",
    ),
    (
        errors.UndefinedStorageAdapterError("COUNTERS"),
        {"event_store_id": "COUNTERS"},
        "event store 'COUNTERS' has no storage adapter: set storage_adapter",
    ),
    (
        errors.UndefinedAggregateCodecError("COUNTERS"),
        {"event_store_id": "COUNTERS"},
        "event store 'COUNTERS' cannot turn its aggregates into JSON: give it an aggregate_codec",
    ),
    (
        errors.UndefinedReducerVersionError("COUNTERS", "reduce has no source"),
        {"event_store_id": "COUNTERS", "reason": "reduce has no source"},
        (
            "the reducer of event store 'COUNTERS' has no version, and none can be computed: "
            "reduce has no source. Give one: Snapshots(..., reducer_version='1')"
        ),
    ),
    (
        errors.UndefinedMessageChannelAdapterError("BUS"),
        {"message_channel_id": "BUS"},
        "message channel 'BUS' has no adapter: set message_channel_adapter",
    ),
    (
        errors.MessageChannelEventStoreNotFoundError("BUS", "COUNTERS"),
        {"message_channel_id": "BUS", "event_store_id": "COUNTERS"},
        "event store 'COUNTERS' is not a source of message channel 'BUS'",
    ),
    (
        errors.InvalidMessageError("BUS", "it has no event"),
        {"message_channel_id": "BUS", "reason": "it has no event"},
        "not a message of channel 'BUS': it has no event",
    ),
    (
        errors.TransactionNotPublishableError("COUNTERS"),
        {"event_store_id": "COUNTERS"},
        (
            "events pushed within a transaction of yours are not published, since it may be rolled "
            "back: push through event store 'COUNTERS' itself, and publish with a relay once the "
            "transaction has committed"
        ),
    ),
    (
        errors.MessagePublishError([(MESSAGE, each) for each in REASONS]),
        {"failures": tuple((MESSAGE, each) for each in REASONS)},
        "3 message(s) were not published: too large; throttled",
    ),
    (
        errors.EventPublishError("COUNTERS", "BUS", PUSHED),
        {
            "event_store_id": "COUNTERS",
            "message_channel_id": "BUS",
            "pushed_event": PUSHED,
            "others": (),
        },
        (
            "event 3 of aggregate 'c' is stored in event store 'COUNTERS', "
            "but was not published to 'BUS'"
        ),
    ),
]

each_example = pytest.mark.parametrize(
    ("error", "attributes", "message"),
    EXAMPLES,
    ids=[type(each).__name__ for each, *_ in EXAMPLES],
)


def subclasses(cls: type) -> list[type]:
    """Return all subclasses of castore_core, those of subclasses too."""
    own = [each for each in cls.__subclasses__() if each.__module__.startswith("castore_core")]
    return [each for child in own for each in (child, *subclasses(child))]


def test_every_error_has_an_example() -> None:
    """No error is left out here."""
    assert set(subclasses(CastoreError)) == {type(each) for each, *_ in EXAMPLES}


@each_example
def test_error_tells_what_it_speaks_of(
    error: CastoreError, attributes: dict[str, Any], message: str
) -> None:
    """An error has its values as attributes, and one sentence."""
    assert attributes == vars(error)
    assert message == str(error)


@each_example
def test_error_pickles(error: CastoreError, attributes: dict[str, Any], message: str) -> None:
    """An error crosses processes as it is."""
    read = pickle.loads(pickle.dumps(error))  # noqa: S301 our own

    assert type(error) is type(read)
    assert attributes == vars(read)
    assert message == str(read)


@each_example
def test_error_has_what_its_base_has(
    error: CastoreError,
    attributes: dict[str, Any],
    message: str,  # noqa: ARG001
) -> None:
    """Whoever catches a base can rely on its attributes."""
    bases = [each for each in EXAMPLES if isinstance(error, type(each[0]))]

    assert bases
    for _, attributes_of_base, _ in bases:
        assert attributes_of_base.keys() <= attributes.keys()


def test_retryable_survives_pickling() -> None:
    """A conflict that must not be retried stays one."""
    error = errors.EventAlreadyExistsError("COUNTERS", "c", 3)
    error.retryable = False

    assert not pickle.loads(pickle.dumps(error)).retryable  # noqa: S301 our own


def test_others_survive_pickling() -> None:
    """What else went wrong after a write is not lost on the way."""
    error = errors.EventPublishError("COUNTERS", "BUS", PUSHED)
    error.others = (errors.StorageError("disk is full"),)

    (other,) = pickle.loads(pickle.dumps(error)).others  # noqa: S301 our own
    assert "disk is full" == other.reason


def test_tree_of_the_docstring_is_the_real_one() -> None:
    """The docstring draws every error below its base, with the builtin that it also is."""
    drawn: dict[str, tuple[str, bool]] = {}
    path = ["CastoreError"]
    line = re.compile(r" {4}((?:│ {3})*)[├└]── (\w+)( \(ValueError\))? +\S")
    for prefix, name, is_value_error in line.findall(errors.__doc__ or ""):
        depth = 1 + len(prefix) // 4
        path[depth:] = [name]
        drawn[name] = (path[depth - 1], bool(is_value_error))

    real = {
        each.__name__: (each.__bases__[0].__name__, ValueError in each.__bases__)
        for each in subclasses(CastoreError)
    }
    assert real == drawn


def test_errors_are_public() -> None:
    """Every error of the module is a name of the package, and the other way round."""
    names = {each.__name__ for each in subclasses(CastoreError)} | {"CastoreError"}

    assert names == set(errors.__all__)
    assert names == {each for each in castore_core.__all__ if each.endswith("Error")}


def test_text_tells_the_first_ten_violations() -> None:
    """A long list of violations does not fill the log; the attribute has all of them."""
    violations = [Violation(f"payload[{index}]", "is bad") for index in range(1000)]
    error = errors.InvalidEventDataError("COUNTED", violations)

    assert str(error).endswith("payload[9]: is bad; and 990 more")
    assert "payload[10]" not in str(error)
    assert tuple(violations) == error.violations


def test_field_is_that_of_the_first_violation() -> None:
    """An event of which only the metadata is not valid says so."""
    error = errors.InvalidEventDataError("COUNTED", [Violation("metadata.by", "is null")])

    assert "metadata" == error.field


def test_path_of_a_violation() -> None:
    """A path reads as Python does: what is no identifier is quoted."""
    steps = ["moves", 0, "name", "first name", ""]

    assert "payload.moves[0].name['first name']['']" == format_path("payload", steps)
    assert "payload" == format_path("payload", [])


def test_refused_messages_are_those_of_the_aggregates_that_failed() -> None:
    """Where a failure names none of the messages, all of them were refused."""
    messages = [MESSAGE._replace(aggregate_id=each) for each in "abca"]
    error = errors.MessagePublishError([(messages[0], "throttled")])

    assert [0, 3] == error.find_refused(messages)
    assert [0, 1] == error.find_refused(messages[1:3])
    assert [] == error.find_refused([])
