"""An event storage that fails at every point, and the commands of a test that count effects."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import TypedDict, TypeVar, cast
from uuid import uuid4

from castore_core import (
    AggregateCommands,
    AggregateIdsSlice,
    AssertedVersion,
    Command,
    Event,
    EventDraft,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    GroupedRecord,
    JSONValue,
    StorageError,
    UnknownOutcomeError,
)

T = TypeVar("T")


class Point(Enum):
    """Where a storage fails."""

    BEFORE_WRITE = auto()
    LOST_ANSWER = auto()
    """The write is done, and its outcome is said to be unknown."""
    FAILED_AFTER_WRITE = auto()
    """The write is done, and the storage says that it failed."""
    CANCELLED_BEFORE_WRITE = auto()
    CANCELLED_AFTER_WRITE = auto()
    READ = auto()
    CANCELLED_READ = auto()


AROUND_WRITES = [each for each in Point if "READ" not in each.name]
AROUND_READS = [each for each in Point if "READ" in each.name]


class FaultyStorage:
    """Passes calls on to another storage, and fails at each point of a call, at a given rate."""

    def __init__(self, storage_adapter: EventStorageAdapter, rate: float, seed: int = 0) -> None:
        self.joins_transaction = False
        self.faults = dict.fromkeys(Point, 0)
        self.adapter = storage_adapter
        self._rate = rate
        self._random = random.Random(seed)

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, or fail before or after it."""
        await self._write(
            lambda: self.adapter.push_event(event_store_id, record, force=force),
            UnknownOutcomeError(event_store_id, record.aggregate_id, record.version),
        )

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write a group, or fail before or after it."""
        event_store_id, record, _ = group[0]
        await self._write(
            lambda: self.adapter.push_event_group(
                [each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in group],
                asserted=[
                    each._replace(storage_adapter=_unwrap(each.storage_adapter))
                    for each in asserted
                ],
                force=force,
            ),
            UnknownOutcomeError(event_store_id, record.aggregate_id, record.version),
        )

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Sequence[EventRecord]:
        """Read events, or fail."""
        self._fail(Point.READ, StorageError("the read failed"))
        self._fail(Point.CANCELLED_READ, asyncio.CancelledError())
        return await self.adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List aggregates."""
        return await self.adapter.list_aggregate_ids(
            event_store_id,
            limit=limit,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
            reverse=reverse,
            cursor=cursor,
        )

    async def _write(
        self, write: Callable[[], Awaitable[None]], unknown: UnknownOutcomeError
    ) -> None:
        self._fail(Point.BEFORE_WRITE, StorageError("nothing was written"))
        self._fail(Point.CANCELLED_BEFORE_WRITE, asyncio.CancelledError())
        await write()
        self._fail(Point.LOST_ANSWER, unknown)
        self._fail(Point.FAILED_AFTER_WRITE, StorageError("all was written"))
        self._fail(Point.CANCELLED_AFTER_WRITE, asyncio.CancelledError())

    def _fail(self, point: Point, error: BaseException) -> None:
        if self._random.random() < self._rate:
            self.faults[point] += 1
            raise error


def _unwrap(storage_adapter: EventStorageAdapter) -> EventStorageAdapter:
    return cast("FaultyStorage", storage_adapter).adapter


class Deposit(TypedDict):
    """What a request asks for; no two requests have one id."""

    request: str


class Deposited(Event, type="DEPOSITED"):
    """An effect."""

    payload: Deposit


@dataclass(frozen=True)
class Deposits:
    """An aggregate with the requests whose effects it has."""

    aggregate_id: str
    version: int
    requests: tuple[str, ...]


def reduce_deposits(deposits: Deposits | None, event: Deposited) -> Deposits:
    """Add an effect."""
    before = deposits.requests if deposits else ()
    return Deposits(event.aggregate_id, event.version, (*before, event.payload["request"]))


Store = EventStore[Deposited, Deposits]


def make_store(storage_adapter: EventStorageAdapter) -> Store:
    """Return an event store."""
    return EventStore(
        "DEPOSITS",
        event_types=[Deposited],
        reduce=reduce_deposits,
        storage_adapter=storage_adapter,
    )


async def _deposit(request: str, event_stores: tuple[Store], account: str) -> str:
    (store,) = event_stores
    last = await store.get_events(account, limit=1, reverse=True)
    version = last[0].version + 1 if last else 1
    await store.push_event(Deposited(account, version, payload={"request": request}))
    return f"{account} {version} {uuid4()}"


def make_deposit(store: Store) -> Command[str, tuple[Store], [str], str]:
    """Return a command that has an effect each time, and returns another text each time."""
    return Command(
        "DEPOSIT",
        required_event_stores=(store,),
        handler=_deposit,
        event_already_exists_pause=0.001,
    )


def make_commands(store: Store) -> AggregateCommands[Deposited, Deposits]:
    """Return commands of one aggregate, with one that has an effect each time."""
    commands = AggregateCommands(store, event_already_exists_pause=0.001)

    @commands.handler
    def deposit(_: Deposits | None, *, request: str) -> EventDraft[Deposited]:
        return Deposited.draft(payload={"request": request})

    return commands


async def insist(call: Callable[[], Awaitable[T]], most: int = 100) -> T:
    """Be a client that sends its request again, after each failure, until it is answered."""
    for _ in range(most):
        try:
            return await call()
        except (StorageError, asyncio.CancelledError):
            continue
    raise AssertionError(f"not answered {most} times")


async def send(
    store: Store, account: str, requests: Sequence[str], *, is_keyed: bool = True
) -> list[str]:
    """Send requests one after the other, each until it is answered; return the answers.

    A client hears the answer to every other request once more, from a command of its own.
    """
    deposit = make_deposit(store)
    answers: list[str] = []
    for number, request in enumerate(requests):
        keyed = deposit.with_idempotency_key(request) if is_keyed else deposit
        answers.append(await insist(partial(keyed, request, (store,), account)))
        if is_keyed and number % 2:
            again = make_deposit(store).with_idempotency_key(request)
            assert answers[-1] == await insist(partial(again, request, (store,), account))
    return answers


async def send_all(
    store: Store, count: int, clients: int, accounts: int, *, is_keyed: bool = True
) -> list[str]:
    """Send requests from clients at the same time, and return those of the requests."""
    requests = [f"request {number}" for number in range(count)]
    await asyncio.gather(
        *(
            send(store, f"account {each % accounts}", requests[each::clients], is_keyed=is_keyed)
            for each in range(clients)
        )
    )
    return requests


async def find_effects(storage_adapter: EventStorageAdapter, accounts: int) -> list[str]:
    """Return the requests that had an effect, once for each effect."""
    store = make_store(storage_adapter)
    loaded = [await store.get_aggregate(f"account {each}") for each in range(accounts)]
    return sorted(
        request for each in loaded if each.aggregate for request in each.aggregate.requests
    )
