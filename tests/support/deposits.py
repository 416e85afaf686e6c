"""Commands whose effects can be counted, and clients that insist on an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, TypeVar
from uuid import uuid4

from castore_core import (
    AggregateCommands,
    Command,
    Event,
    EventDraft,
    EventStorageAdapter,
    EventStore,
    StorageError,
)

T = TypeVar("T")


class Deposit(TypedDict):
    """The request of a client; no two requests have one id."""

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
