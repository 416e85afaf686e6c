"""Transactions of the user's, by the tasks that opened them.

A push waits for other writers of the database. A task that pushes inside a transaction of its own
would wait for itself. Where no transaction is open, a push only looks at an empty dictionary.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

from sqlalchemy import Connection, Engine, event

from castore_core import CallingThread, StorageError, find_calling_thread
from castore_sql._sqlite.aiosqlite import run_in_driver
from castore_sql._sqlite.transactions import is_writing

_Owner: TypeAlias = asyncio.Task[Any] | threading.Thread


class _Transaction(NamedTuple):
    connection: ref[Connection]
    owner: ref[_Owner]


_open: dict[int, _Transaction] = {}


def watch(engine: Engine) -> None:
    """Note the transactions that are opened on an engine from now on."""
    event.listen(engine, "begin", _note)
    event.listen(engine, "commit", _forget)
    event.listen(engine, "rollback", _forget)


def check_own_lock(engine: Engine) -> Awaitable[None] | None:
    """Return a check that refuses a push which would wait for a transaction of its own task.

    Returns ``None`` where no transaction is open on any engine that is watched.

    Raises:
        StorageError: the transaction has written, or locked the database to write.
    """
    return _refuse_own_lock(engine) if _open else None


async def _refuse_own_lock(engine: Engine) -> None:
    for connection in _find_own(engine):
        if await _is_writing(connection):
            raise StorageError(
                "the transaction of yours on this engine, open in this task, keeps the database "
                "locked: push inside it, with adapter.within(connection), or end it before a push"
            )


def _note(connection: Connection) -> None:
    if (owner := _get_owner()) is None:
        return
    key = id(connection)
    _open[key] = _Transaction(ref(connection, lambda _: _open.pop(key, None)), ref(owner))


def _forget(connection: Connection) -> None:
    _open.pop(id(connection), None)


def _get_owner() -> _Owner | None:
    """Return the task that runs, or the thread where no event loop runs in it."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return threading.current_thread()


def _find_own(engine: Engine) -> list[Connection]:
    """Return the connections whose transaction this task opened, or its thread before the loop.

    Under a façade it is also the thread that waits for it.
    """
    caller = _find_waiting_thread()
    thread = threading.current_thread() if caller is None else caller.thread
    own = (asyncio.current_task(), thread)
    found = [each.connection() for each in list(_open.values()) if each.owner() in own]
    return [
        each
        for each in found
        # An engine shares its dialect with those that its `execution_options` returned.
        if each is not None and each.dialect is engine.dialect and not _is_lost(each)
    ]


def _find_waiting_thread() -> CallingThread | None:
    caller = find_calling_thread()
    return caller if caller is not None and caller.is_waiting else None


def _is_lost(connection: Connection) -> bool:
    return connection.closed or connection.invalidated


async def _is_writing(connection: Connection) -> bool:
    driver_connection = connection.connection.driver_connection
    if not isinstance(driver_connection, sqlite3.Connection):
        return await run_in_driver(driver_connection, is_writing)
    caller = _find_waiting_thread()
    try:
        if caller is not None:
            return await caller.run(partial(is_writing, driver_connection))
        return is_writing(driver_connection)
    except sqlite3.ProgrammingError:  # it is closed, or another thread's
        return False
    except RuntimeError:
        if caller is None or caller.is_waiting:
            raise
        return False  # the call has ended meanwhile: its thread does not wait for the push
