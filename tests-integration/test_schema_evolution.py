"""A store with events of every form that was ever written still builds its aggregates."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired, TypeAlias

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from sqlalchemy import create_engine
from typing_extensions import TypedDict

from castore_core import (
    ABSENT,
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    UnknownEventTypeError,
)
from castore_pydantic import PydanticEvent
from castore_sql import SQLEventStorageAdapter

MOMENT = "2019-01-01T00:00:00.000Z"

# What three versions of a program wrote, as it lies in the table.
OLDEST = [
    ("ACCOUNT_OPENED", {"owner": "Ada"}, None),
    ("ACCOUNT_CHANGED", {"amount": 100}, None),
    ("ACCOUNT_CHANGED", {"amount": -30}, None),
    ("ACCOUNT_AUDITED", {"by": "Eve"}, {"office": 3}),
    ("ACCOUNT_RENAMED", {"holder": "Ada L."}, None),
]
MIDDLE = [
    ("ACCOUNT_OPENED", {"owner": "Grace", "currency": "USD"}, None),
    ("DEPOSITED", {"cents": 500}, None),
    ("ACCOUNT_RENAMED", {"owner": "Grace H."}, None),
]
NEWEST = [
    ("ACCOUNT_OPENED", {"owner": "Alan", "currency": "GBP", "limit": 5}, {"channel": "web"}),
    ("WITHDRAWN", {"cents": 200}, {"channel": "app"}),
]


@dataclass(frozen=True)
class Account:
    """An aggregate."""

    aggregate_id: str
    version: int
    owner: str
    currency: str
    limit: int | None
    cents: int = 0


ADA = Account("ada", 5, "Ada L.", "EUR", None, 7000)
GRACE = Account("grace", 3, "Grace H.", "USD", None, 500)
ALAN = Account("alan", 2, "Alan", "GBP", 5, -200)


class Channel(BaseModel):
    """A metadata that the oldest events do not have."""

    channel: str


class Opened(BaseModel):
    """Two keys were added, one after the other."""

    model_config = ConfigDict(frozen=True)
    owner: str
    currency: str = "EUR"
    limit: int | None = None


class AccountOpened(PydanticEvent, type="ACCOUNT_OPENED"):
    """It is there from the beginning."""

    payload: Opened
    metadata: Channel | None = None


class Renamed(BaseModel):
    """Its key was renamed: the model itself reads both."""

    owner: str = Field(
        validation_alias=AliasChoices("owner", "holder"), serialization_alias="owner"
    )


class AccountRenamed(PydanticEvent, type="ACCOUNT_RENAMED"):
    """It is there from the beginning."""

    payload: Renamed


class Amount(BaseModel):
    """What was an amount of euros."""

    cents: int = Field(ge=0)


class Deposited(PydanticEvent, type="DEPOSITED"):
    """One half of ACCOUNT_CHANGED."""

    payload: Amount
    metadata: Channel | None = None


class Withdrawn(PydanticEvent, type="WITHDRAWN"):
    """The other half."""

    payload: Amount
    metadata: Channel | None = None


class Retired(Event, type="RETIRED"):
    """What became of ACCOUNT_AUDITED."""


AccountEvent: TypeAlias = AccountOpened | AccountRenamed | Deposited | Withdrawn | Retired


def reduce_account(account: Account | None, event: AccountEvent) -> Account:
    """Compute the state."""
    if isinstance(event, AccountOpened):
        payload = event.payload
        return Account(event.aggregate_id, 1, payload.owner, payload.currency, payload.limit)
    assert account is not None
    account = replace(account, version=event.version)
    match event:
        case AccountRenamed(payload=Renamed(owner=owner)):
            return replace(account, owner=owner)
        case Deposited(payload=Amount(cents=cents)):
            return replace(account, cents=account.cents + cents)
        case Withdrawn(payload=Amount(cents=cents)):
            return replace(account, cents=account.cents - cents)
        case Retired():
            return account


class PlainOpened(TypedDict):
    """The keys that were added may be missing."""

    owner: str
    currency: NotRequired[str]
    limit: NotRequired[int]


class PlainAccountOpened(Event, type="ACCOUNT_OPENED"):
    """A plain event."""

    payload: PlainOpened


class PlainAccountRenamed(Event, type="ACCOUNT_RENAMED"):
    """A plain event."""

    payload: dict[str, str]


class PlainDeposited(Event, type="DEPOSITED"):
    """A plain event."""

    payload: dict[str, int]


class PlainWithdrawn(Event, type="WITHDRAWN"):
    """A plain event."""

    payload: dict[str, int]


PlainEvent: TypeAlias = (
    PlainAccountOpened | PlainAccountRenamed | PlainDeposited | PlainWithdrawn | Retired
)


def reduce_plain(account: Account | None, event: PlainEvent) -> Account:
    """Compute the state."""
    if isinstance(event, PlainAccountOpened):
        payload = event.payload
        currency, limit = payload.get("currency", "EUR"), payload.get("limit")
        return Account(event.aggregate_id, 1, payload["owner"], currency, limit)
    assert account is not None
    account = replace(account, version=event.version)
    match event:
        case PlainAccountRenamed(payload=names):
            return replace(account, owner=names["owner"])
        case PlainDeposited(payload=amount):
            return replace(account, cents=account.cents + amount["cents"])
        case PlainWithdrawn(payload=amount):
            return replace(account, cents=account.cents - amount["cents"])
        case Retired():
            return account


def rename_holder(record: EventRecord) -> EventRecord:
    """Rename a key."""
    match record:
        case EventRecord(type="ACCOUNT_RENAMED", payload={"holder": owner}):
            return record._replace(payload={"owner": owner})
        case _:
            return record


def split_changed(record: EventRecord) -> EventRecord:
    """Split an event type, and change the unit."""
    match record:
        case EventRecord(type="ACCOUNT_CHANGED", payload={"amount": int(amount)}):
            event_type = "WITHDRAWN" if amount < 0 else "DEPOSITED"
            return record._replace(type=event_type, payload={"cents": 100 * abs(amount)})
        case _:
            return record


def retire_audited(record: EventRecord) -> EventRecord:
    """Retire an event type."""
    if record.type != "ACCOUNT_AUDITED":
        return record
    return record._replace(type="RETIRED", payload=ABSENT, metadata=ABSENT)


UPCASTERS = [rename_holder, split_changed, retire_audited]


@pytest.fixture
async def adapter(tmp_path: Path) -> SQLEventStorageAdapter:
    """Return an adapter on a file with rows of every form, written by hand."""
    path = tmp_path / "accounts.db"
    adapter = SQLEventStorageAdapter(create_engine(f"sqlite:///{path}"))
    await adapter.create_tables()
    with closing(sqlite3.connect(path)) as connection, connection:
        for aggregate_id, events in (("ada", OLDEST), ("grace", MIDDLE), ("alan", NEWEST)):
            connection.executemany(
                "INSERT INTO event (aggregate_name, aggregate_id, version, type, data, metadata, "
                "timestamp) VALUES ('ACCOUNTS', ?, ?, ?, ?, ?, ?)",
                [
                    (aggregate_id, version, event_type, to_text(data), to_text(metadata), MOMENT)
                    for version, (event_type, data, metadata) in enumerate(events, 1)
                ],
            )
    return adapter


def to_text(value: dict[str, Any] | None) -> str | None:
    """Return what a column holds."""
    return None if value is None else json.dumps(value)


def make_store(adapter: SQLEventStorageAdapter) -> EventStore[AccountEvent, Account]:
    """Return a store of validated events."""
    return EventStore(
        "ACCOUNTS",
        event_types=[AccountOpened, AccountRenamed, Deposited, Withdrawn, Retired],
        reduce=reduce_account,
        storage_adapter=adapter,
        upcasters=[split_changed, retire_audited],  # a model knows the renamed key
    )


async def test_validated_events_of_every_form(adapter: SQLEventStorageAdapter) -> None:
    """Added, renamed, split and retired: pydantic's events read them all."""
    store = make_store(adapter)
    ids = [each async for each in store.iter_aggregate_ids()]
    aggregates = [(await store.get_existing_aggregate(each)).aggregate for each in ids]

    assert [ADA, ALAN, GRACE] == aggregates


async def test_plain_events_of_every_form(adapter: SQLEventStorageAdapter) -> None:
    """Plain events read them all, with the same upcasters."""
    store = EventStore(
        "ACCOUNTS",
        event_types=[
            PlainAccountOpened,
            PlainAccountRenamed,
            PlainDeposited,
            PlainWithdrawn,
            Retired,
        ],
        reduce=reduce_plain,
        storage_adapter=adapter,
        upcasters=UPCASTERS,
    )
    aggregates = [
        (await store.get_existing_aggregate(each)).aggregate for each in ("ada", "alan", "grace")
    ]

    assert [ADA, ALAN, GRACE] == aggregates


async def test_new_events_follow_old_ones(adapter: SQLEventStorageAdapter) -> None:
    """An aggregate of old events goes on, and what is written has the newest form."""
    store = make_store(adapter)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    renamed = AccountRenamed(
        aggregate_id="ada",
        version=6,
        timestamp=moment,
        payload=Renamed.model_validate({"owner": "Ada"}),
    )
    pushed = await store.push_event(renamed, prev_aggregate=ADA)
    records = await adapter.get_events("ACCOUNTS", "ada", min_version=5)

    assert replace(ADA, version=6, owner="Ada") == pushed.next_aggregate
    assert [{"holder": "Ada L."}, {"owner": "Ada"}] == [each.payload for each in records]
    assert renamed == (await store.get_events("ada"))[-1]


async def test_form_that_was_forgotten(adapter: SQLEventStorageAdapter) -> None:
    """Without their upcaster, old events are an error that says where they are."""
    store = make_store(adapter)
    await adapter.push_event(
        "ACCOUNTS",
        EventRecord("eve", 1, "ACCOUNT_OPENED", datetime(2019, 1, 1, tzinfo=UTC), {"name": "Eve"}),
    )
    forgetful = EventStore(
        "ACCOUNTS",
        event_types=store.event_types,
        reduce=reduce_account,
        storage_adapter=adapter,
    )

    with pytest.raises(EventDecodeError, match=r"event 1 of aggregate 'eve' .* payload\.owner: Fi"):
        await store.get_events("eve")
    with pytest.raises(UnknownEventTypeError, match="event 2 of aggregate 'ada'"):
        await forgetful.get_events("ada")
