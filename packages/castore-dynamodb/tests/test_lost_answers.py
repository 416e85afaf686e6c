"""A push whose answer was lost is no conflict with itself, whoever tries it again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from castore_aws import RetryPolicy
from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    StorageError,
    UnknownOutcomeError,
    VersionGapError,
)
from castore_dynamodb import DynamoDBEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class Setting(NamedTuple):
    """Adapters behind a proxy, and one that reaches the same table without it.

    ``strict`` refuses gaps.
    """

    proxy: Any
    adapter: DynamoDBEventStorageAdapter
    strict: DynamoDBEventStorageAdapter
    direct: DynamoDBEventStorageAdapter


class Caller(NamedTuple):
    """A kind of client, and how often it and the adapter try."""

    kind: str
    attempts_of_client: int
    attempts_of_adapter: int


CALLERS = {
    "boto3 retries": Caller("boto3", 3, 1),
    "the adapter retries boto3": Caller("boto3", 1, 3),
    "aioboto3 retries": Caller("aioboto3", 3, 1),
    "the adapter retries aioboto3": Caller("aioboto3", 1, 3),
}


@pytest.fixture(params=CALLERS.values(), ids=list(CALLERS))
def caller(request: pytest.FixtureRequest) -> Caller:
    """Give who tries again."""
    each: Caller = request.param
    return each


@pytest.fixture(params=["ministack", "moto"])
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give a server that knows tokens of transactions, and one that does not."""
    return find_server(request.param)


@pytest.fixture
async def setting(
    url: str,
    caller: Caller,
    make_client: Callable[..., Awaitable[Any]],
    make_proxy: Callable[..., Awaitable[Any]],
    make_table: Callable[..., Awaitable[str]],
) -> Setting:
    """Give a table, and two ways to it."""
    direct_client = await make_client(caller.kind, url)
    name = await make_table(direct_client)
    proxy = await make_proxy(url)
    options = {"total_max_attempts": caller.attempts_of_client, "mode": "standard"}
    client = await make_client(caller.kind, proxy.url, retries=options)
    policy = RetryPolicy(max_attempts=caller.attempts_of_adapter, base_delay=0)
    return Setting(
        proxy,
        DynamoDBEventStorageAdapter(client, name, retries=policy),
        DynamoDBEventStorageAdapter(client, name, allow_gaps=False, retries=policy),
        DynamoDBEventStorageAdapter(direct_client, name),
    )


def make_record(version: int = 1, payload: str = "ours") -> EventRecord:
    """Return an event to push."""
    return EventRecord("a1", version, "NOTED", MOMENT, payload)


def make_group(adapter: DynamoDBEventStorageAdapter) -> list[GroupedRecord]:
    """Return a group of versions 1 and 2."""
    return [GroupedRecord("NOTES", make_record(each), adapter) for each in (1, 2)]


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_push_finds_its_own_event(setting: Setting, lost: int) -> None:
    """The second attempt meets the event of the first, and the push succeeds."""
    setting.proxy.answers_to_drop = lost

    await setting.adapter.push_event("NOTES", make_record())

    assert 1 + lost == setting.proxy.writes
    assert [make_record()] == await setting.direct.get_events("NOTES", "a1")


async def test_an_event_of_a_stranger_is_a_conflict(setting: Setting) -> None:
    """Also where it is equal, and the answer that said so was lost."""
    await setting.direct.push_event("NOTES", make_record())
    setting.proxy.answers_to_drop = 1

    with pytest.raises(EventAlreadyExistsError):
        await setting.adapter.push_event("NOTES", make_record())

    assert 2 == setting.proxy.writes


async def test_an_event_of_castore_is_a_conflict(setting: Setting) -> None:
    """An item without a token is a stranger's."""
    await setting.direct.push_event("NOTES", make_record(), force=True)

    with pytest.raises(EventAlreadyExistsError):
        await setting.adapter.push_event("NOTES", make_record())


async def test_the_same_push_twice_is_a_conflict(setting: Setting) -> None:
    """Each push has a token of its own: only the attempts of one share it."""
    await setting.adapter.push_event("NOTES", make_record())

    with pytest.raises(EventAlreadyExistsError):
        await setting.adapter.push_event("NOTES", make_record())


async def test_a_group_finds_its_own_events(setting: Setting) -> None:
    """By the token of its transaction, or where the server forgot that, by those of its events."""
    setting.proxy.answers_to_drop = 2

    await setting.adapter.push_event_group(make_group(setting.adapter))

    assert 3 == setting.proxy.writes
    assert [make_record(1), make_record(2)] == await setting.direct.get_events("NOTES", "a1")


async def test_a_group_with_an_event_of_a_stranger_is_a_conflict(setting: Setting) -> None:
    """The error names it, and nothing of the group was written."""
    stranger = make_record(2, "stranger")
    await setting.direct.push_event("NOTES", stranger)
    setting.proxy.answers_to_drop = 1

    with pytest.raises(EventAlreadyExistsError) as caught:
        await setting.adapter.push_event_group(make_group(setting.adapter))

    assert 2 == caught.value.version
    assert [stranger] == await setting.direct.get_events("NOTES", "a1")


async def test_a_push_with_a_check_finds_its_own_event(setting: Setting) -> None:
    """Its transaction is known by its token, or its event is by the same one."""
    await setting.direct.push_event("NOTES", make_record(1))
    setting.proxy.answers_to_drop = 2

    await setting.strict.push_event("NOTES", make_record(2))

    assert 3 == setting.proxy.writes
    assert [make_record(1), make_record(2)] == await setting.direct.get_events("NOTES", "a1")


async def test_an_event_of_a_stranger_is_a_conflict_and_no_gap(setting: Setting) -> None:
    """Also where the version before is missing."""
    await setting.direct.push_event("NOTES", make_record(2))
    setting.proxy.answers_to_drop = 1

    with pytest.raises(EventAlreadyExistsError):
        await setting.strict.push_event("NOTES", make_record(2))

    assert 2 == setting.proxy.writes


async def test_a_gap_is_refused_again(setting: Setting) -> None:
    """The answer that said so was lost, and nothing was written by either attempt."""
    setting.proxy.answers_to_drop = 1

    with pytest.raises(VersionGapError):
        await setting.strict.push_event("NOTES", make_record(2))

    assert 2 == setting.proxy.writes
    assert [] == await setting.direct.get_events("NOTES", "a1")


async def test_a_group_with_an_assertion_finds_its_own_events(setting: Setting) -> None:
    """What it asserted is still so, as nobody else has moved it."""
    asserted = [AssertedVersion("NOTES", "b1", 0, setting.adapter)]
    setting.proxy.answers_to_drop = 2

    await setting.adapter.push_event_group(make_group(setting.adapter), asserted=asserted)

    assert 3 == setting.proxy.writes
    assert [make_record(1), make_record(2)] == await setting.direct.get_events("NOTES", "a1")


async def test_when_every_answer_is_lost(setting: Setting) -> None:
    """The push fails, and leaves open whether its event is there."""
    setting.proxy.answers_to_drop = 100

    with pytest.raises(UnknownOutcomeError) as caught:
        await setting.adapter.push_event("NOTES", make_record())

    assert caught.value.__cause__ is not None
    assert 3 == setting.proxy.writes
    assert [make_record()] == await setting.direct.get_events("NOTES", "a1")


async def test_of_many_writers_on_a_bad_line_one_wins(setting: Setting) -> None:
    """Who lost an answer neither loses its event nor takes another's for its own."""
    setting.proxy.answers_to_drop = 8
    records = [make_record(1, f"writer {each}") for each in range(16)]

    async def try_push(record: EventRecord) -> EventRecord | None:
        try:
            await setting.adapter.push_event("NOTES", record)
        except (EventAlreadyExistsError, StorageError):
            return None
        return record

    outcomes = await asyncio.gather(*map(try_push, records))

    winners = [each for each in outcomes if each is not None]
    assert winners == await setting.direct.get_events("NOTES", "a1")
