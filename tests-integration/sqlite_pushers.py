"""A process that forks others, which push events to a SQLite file and say what was pushed.

It is a program of its own, so that it imports everything once and starts a pusher in no time. It
reads commands: ``start KIND URL`` forks a pusher, and ``wait`` waits until all of them have ended.

It writes lines of JSON, ``{"started": PID}`` and ``{"ended": PID, "status": STATUS}``; those of the
pushers are among them, ``{"pushed": [[STORE_ID, AGGREGATE_ID, VERSION], ...], "token": TOKEN}``.
Each is one system call, so that not even a kill tears it.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import Event, EventAlreadyExistsError, EventStore, VersionGapError
from castore_sql import SQLEventStorageAdapter

CONTENDED = ("contended-1", "contended-2")
PUSHES_OF_A_CONTENDER = 25


class Counted(Event, type="COUNTED"):
    """One more of something; the payload tells the push from all others."""

    payload: str


@dataclass(frozen=True)
class Counter:
    """How many there are."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Count one more."""
    return Counter(event.aggregate_id, event.version)


@dataclass(frozen=True)
class Stores:
    """Two event stores in one file."""

    left: EventStore[Counted, Counter]
    right: EventStore[Counted, Counter]


Pusher = Callable[[Stores], Awaitable[None]]


def tell(**values: object) -> None:
    """Write a line, at once."""
    os.write(sys.stdout.fileno(), json.dumps(values).encode() + b"\n")


def acknowledge(token: str, *places: tuple[EventStore[Counted, Counter], str, int]) -> None:
    """Say what was pushed."""
    tell(pushed=[[store.event_store_id, *place] for store, *place in places], token=token)


def make_token() -> str:
    """Return a payload that no other push has."""
    return os.urandom(8).hex()


async def get_next_version(store: EventStore[Counted, Counter], aggregate_id: str) -> int:
    """Return the version that is free by now."""
    last = await store.get_events(aggregate_id, reverse=True, limit=1)
    return last[0].version + 1 if last else 1


async def push_alone(stores: Stores, name: str) -> None:
    """Push to an aggregate that nobody else pushes to, for ever."""
    for version in itertools.count(await get_next_version(stores.left, name)):
        token = make_token()
        await stores.left.push_event(Counted(aggregate_id=name, version=version, payload=token))
        acknowledge(token, (stores.left, name, version))


async def push_groups(stores: Stores, name: str) -> None:
    """Push to an aggregate of each store at once, for ever."""
    for version in itertools.count(await get_next_version(stores.left, name)):
        token = make_token()
        event = Counted(aggregate_id=name, version=version, payload=token)
        await EventStore.push_event_group(
            stores.left.group_event(event), stores.right.group_event(event)
        )
        acknowledge(token, (stores.left, name, version), (stores.right, name, version))


async def push_torn_groups(stores: Stores, name: str) -> None:
    """Do what `push_groups` does, but wrong: with a commit for each event."""
    for version in itertools.count(await get_next_version(stores.left, name)):
        token = make_token()
        event = Counted(aggregate_id=name, version=version, payload=token)
        await stores.left.push_event(event)
        await stores.right.push_event(event)
        acknowledge(token, (stores.left, name, version), (stores.right, name, version))


async def push_after_telling(stores: Stores, name: str) -> None:
    """Do what `push_alone` does, but wrong: the acknowledgement comes before the commit."""
    for version in itertools.count(await get_next_version(stores.left, name)):
        token = make_token()
        acknowledge(token, (stores.left, name, version))
        await stores.left.push_event(Counted(aggregate_id=name, version=version, payload=token))


async def contend(stores: Stores, name: str) -> None:
    """Push some events to an aggregate that others push to as well."""
    for _ in range(PUSHES_OF_A_CONTENDER):
        token = make_token()
        while True:
            version = await get_next_version(stores.left, name)
            event = Counted(aggregate_id=name, version=version, payload=token)
            try:
                await stores.left.push_event(event)
            except EventAlreadyExistsError:
                continue
            break
        acknowledge(token, (stores.left, name, version))


async def leap(stores: Stores, name: str) -> None:
    """Push some events to an aggregate that others push to as well, some of them too far ahead."""
    for _ in range(PUSHES_OF_A_CONTENDER):
        token = make_token()
        while True:
            version = await get_next_version(stores.left, name) + random.randrange(3)
            event = Counted(aggregate_id=name, version=version, payload=token)
            try:
                await stores.left.push_event(event)
            except (EventAlreadyExistsError, VersionGapError):
                continue
            break
        acknowledge(token, (stores.left, name, version))


async def push_everything(stores: Stores) -> None:
    """Push single events and groups, at the same time and for ever."""
    await asyncio.gather(
        *(push_alone(stores, f"alone-{number}") for number in range(6)),
        *(push_groups(stores, f"group-{number}") for number in range(3)),
    )


async def push_one_group_after_another(stores: Stores) -> None:
    """Push groups, torn, for ever."""
    await push_torn_groups(stores, "group-torn")


async def push_too_early(stores: Stores) -> None:
    """Acknowledge before the commit, for ever."""
    await push_after_telling(stores, "too-early")


async def push_with_others(stores: Stores) -> None:
    """Contend, four tasks at a time."""
    await asyncio.gather(*(contend(stores, each) for each in CONTENDED * 2))


async def leap_with_others(stores: Stores) -> None:
    """Leap, four tasks at a time."""
    await asyncio.gather(*(leap(stores, each) for each in CONTENDED * 2))


async def leave(_: Stores) -> None:
    """Push nothing: the tables were created."""


PUSHERS: dict[str, Pusher] = {
    "sound": push_everything,
    "torn": push_one_group_after_another,
    "too-early": push_too_early,
    "contending": push_with_others,
    "leaping": leap_with_others,
    "creating": leave,
}


def make_stores(adapter: SQLEventStorageAdapter) -> Stores:
    """Return the two stores on an adapter."""
    return Stores(
        *(
            EventStore(each, event_types=[Counted], reduce=count, storage_adapter=adapter)
            for each in ("LEFT", "RIGHT")
        )
    )


async def push(kind: str, url: str) -> None:
    """Be a pusher."""
    is_async = "+aiosqlite" in url
    adapter = SQLEventStorageAdapter(create_async_engine(url) if is_async else create_engine(url))
    await adapter.create_tables()
    await PUSHERS[kind](make_stores(adapter))


def lock(url: str) -> None:
    """Hold the lock of the database, for ever."""
    with closing(sqlite3.connect(str(make_url(url).database), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        tell(locked=True)
        signal.pause()


def start(kind: str, url: str) -> None:
    """Fork a pusher."""
    if os.fork():
        return
    status = 1
    try:
        tell(started=os.getpid())
        if kind == "locking":
            lock(url)
        else:
            asyncio.run(push(kind, url))
        status = 0
    except BaseException:  # noqa: BLE001 whatever it is, the parent's loop must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def wait() -> None:
    """Wait until all pushers have ended."""
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        tell(ended=pid, status=os.waitstatus_to_exitcode(status))
    tell(waited=True)


def main() -> None:
    """Do what stdin says."""
    for line in sys.stdin:
        match line.split(maxsplit=2):
            case ["start", kind, url]:
                start(kind, url.strip())
            case _:
                wait()


if __name__ == "__main__":
    main()
