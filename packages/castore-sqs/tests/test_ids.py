"""The ids that SQS is given: within its rules, and never one for two messages."""

import re

from hypothesis import given
from hypothesis import strategies as st

from castore_core import MessageRecord
from castore_sqs._ids import make_deduplication_id, make_group_id, make_message_id

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
FIFO_ID = re.compile(r"""[a-zA-Z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}""")
TEXT = re.compile("[\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

ids = (
    st.text(st.sampled_from("a#1"), min_size=1, max_size=4)  # what is mistaken most easily
    | st.text(min_size=1)
    | st.text(min_size=100, max_size=200)
)


def make_record(store: str, aggregate_id: str, version: int | None) -> MessageRecord:
    """Return a message."""
    return MessageRecord(store, aggregate_id, version, "T", {})


records = st.builds(make_record, ids, ids, st.none() | st.integers(1, 12))


@given(records, st.none() | st.just("replay-1"))
def test_ids_of_fifo_queues_are_allowed(message: MessageRecord, replay: str | None) -> None:
    """They have the characters and the length that AWS documents."""
    assert FIFO_ID.fullmatch(make_group_id(message))
    assert FIFO_ID.fullmatch(make_deduplication_id(message, replay))


@given(records)
def test_message_ids_are_allowed(message: MessageRecord) -> None:
    """They have the characters that AWS documents."""
    assert TEXT.fullmatch(make_message_id(message))


@given(records, records, st.none() | st.just("replay-1"))
def test_two_messages_have_two_deduplication_ids(
    one: MessageRecord, other: MessageRecord, replay: str | None
) -> None:
    """Otherwise a queue would take one of them, and lose the other in silence."""
    is_same = one == other
    assert is_same == (make_deduplication_id(one, replay) == make_deduplication_id(other, replay))


@given(records, records)
def test_a_replay_and_a_live_message_have_two_deduplication_ids(
    one: MessageRecord, other: MessageRecord
) -> None:
    """A queue takes the replay of a message that it got a minute ago."""
    assert make_deduplication_id(one, None) != make_deduplication_id(other, "replay-1")


def test_an_event_and_an_aggregate_are_told_apart() -> None:
    """Castore has one id for event 1 of aggregate b, and for aggregate b#1."""
    event, aggregate = make_record("A", "b", 1), make_record("A", "b#1", None)
    assert make_deduplication_id(event, None) == "A#b#1"
    assert len(make_deduplication_id(aggregate, None)) == 64
    assert make_message_id(event) == make_message_id(aggregate) == "A#b#1"


def test_ids_are_the_same_in_every_process() -> None:
    """A message that is sent again by another process is deduplicated too."""
    message = make_record("POKEMONS", "ピカチュウ", 1)
    assert (
        make_deduplication_id(message, None)
        == "a14d483305a246bf2d7db6423fcb855881aab456c6248840ba98155a00b3f52f"
    )


def test_messages_of_an_aggregate_have_one_group() -> None:
    """Whatever its id is, and whatever they tell."""
    for aggregate_id in ("pikachu1", "ピカチュウ", "p" * 200):
        groups = {
            make_group_id(make_record("POKEMONS", aggregate_id, version))
            for version in (None, 1, 2, 30)
        }
        assert len(groups) == 1


def test_long_message_ids_are_hashed() -> None:
    """An attribute must not take the place of the body."""
    assert make_message_id(make_record("A", "b" * 2_044, 1)) == f"A#{'b' * 2_044}#1"
    assert len(make_message_id(make_record("A", "b" * 2_045, 1))) == 64
