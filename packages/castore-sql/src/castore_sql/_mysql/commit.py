"""Commits on MySQL and MariaDB: pushes that come together share a statement and a commit."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    StorageError,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql._connection import Connection
from castore_sql._group_commit import Outcome
from castore_sql._mysql.errors import DUPLICATE_KEY, NOT_NULL, get_code, is_primary
from castore_sql._mysql.schema import LONGEST_ID, LONGEST_STORE_ID
from castore_sql._mysql.server import get_server
from castore_sql._mysql.table import MySQLEventTable
from castore_sql._queries import Query, Row, execute, fetch
from castore_sql._writes import ROW_COLUMNS, Assertion, Insert, Write, group_by_table

IS_COMMITTING: Final = "castore_is_committing"
"""The note that the transaction of a connection may be committed by now."""

_LONGEST_BYTES: Final = 4  # of a character; an escaped one has two
_ESCAPED: Final = "\0\n\r\x1a\"'\\"
_OVERHEAD: Final = 8_192  # the longest names and keys, which a statement has twice, and its words


def commit(
    connection: Connection, writes: Sequence[Write], is_repeated: bool, /
) -> Sequence[Outcome]:
    """Write all in one transaction; a refusal makes each push a statement of its own."""
    if _has_many_inserts(writes):
        with _transaction(connection) as transaction:
            if _insert_all(connection, writes):
                return [None] * len(writes)
            transaction.is_refused = True
    with _transaction(connection):
        outcomes = [write_inside(connection, each) for each in writes]
    if not is_repeated:
        return outcomes
    return [
        error and find_outcome(connection, write, error)
        for write, error in zip(writes, outcomes, strict=True)
    ]


def write_inside(connection: Connection, write: Write) -> CastoreError | None:
    """Write inside a transaction that goes on. Only a savepoint takes back a part of a group."""
    if len(write) == 1 and isinstance(write[0], Insert):
        return _insert(connection, write[0], follows=False)
    execute(connection, Query("SAVEPOINT castore_group"))
    try:
        error = _take_all(connection, write)
    except Exception:
        with suppress(Exception):  # the savepoint is gone with a transaction that was rolled back
            execute(connection, Query("ROLLBACK TO SAVEPOINT castore_group"))
        raise
    if error is not None:
        execute(connection, Query("ROLLBACK TO SAVEPOINT castore_group"))
    execute(connection, Query("RELEASE SAVEPOINT castore_group"))
    return error


class _Transaction:
    """Whether a transaction is to be rolled back at its end."""

    is_refused = False


@contextmanager
def _transaction(connection: Connection) -> Generator[_Transaction]:
    """Commit at the end of a block, or roll back if it raises or refuses."""
    transaction = _Transaction()
    connection.info[IS_COMMITTING] = False
    if connection.driver_connection.get_autocommit():  # else it begins by itself
        execute(connection, Query("BEGIN"))
    try:
        yield transaction
        connection.info[IS_COMMITTING] = not transaction.is_refused
        execute(connection, Query("ROLLBACK" if transaction.is_refused else "COMMIT"))
        connection.info[IS_COMMITTING] = False
    except Exception:
        with suppress(Exception):  # the first error says more
            execute(connection, Query("ROLLBACK"))
        raise


def _has_many_inserts(writes: Sequence[Write]) -> bool:
    steps = [step for write in writes for step in write]
    return len(steps) > 1 and all(isinstance(each, Insert) and not each.force for each in steps)


def _insert_all(connection: Connection, writes: Sequence[Write]) -> bool:
    """Insert all the events, and say whether all of them found their place."""
    # In the order of their keys, so that those of two processes do not wait for each other.
    ordered = sorted(cast("Sequence[Sequence[Insert]]", writes), key=lambda each: each[0].key)
    by_table = list(group_by_table([insert for write in ordered for insert in write]))
    if not all(_have_place(connection, inserts) for inserts in by_table):
        return False
    return all(_insert_rows(connection, inserts) for inserts in by_table)


def _have_place(connection: Connection, inserts: Sequence[Insert]) -> bool:
    """Tell whether the version before each event is there, or earlier in the same push or cohort.

    All the events are inserted, or none.
    """
    table = _get_table(inserts[0])
    seen: set[tuple[str, str, int]] = set()
    before: set[tuple[str, str, int]] = set()
    for insert in inserts:
        name, aggregate_id, version = insert.key
        key_before = (name, aggregate_id, version - 1)
        may_lack = version == 1 or _get_table(insert).allow_gaps
        if not may_lack and key_before not in seen:
            before.add(key_before)
        seen.add((name, aggregate_id, version))
    if not before:
        return True
    return before == {
        tuple(row) for row in fetch(connection, table.statements.select_keys([*before]))
    }


def _insert_rows(connection: Connection, inserts: Sequence[Insert]) -> bool:
    table = _get_table(inserts[0])
    for rows in _split([each.row for each in inserts], get_server(connection).most_bytes):
        if _run_insert(connection, table.statements.insert(rows)) is None:
            return False
    return True


def _run_insert(connection: Connection, query: Query) -> int | None:
    """Insert, and return how many rows were; ``None`` where a version is taken.

    None are inserted where the version is null, because the one before is not there.
    """
    while True:
        try:
            return execute(connection, query)
        except Exception as error:
            if get_code(error) == NOT_NULL:
                return 0
            if get_code(error) != DUPLICATE_KEY:
                raise
            if not is_primary(error):
                return None
        # A reader has closed the hole that the event was to fill: the next id is another.


def _take_all(connection: Connection, write: Write) -> CastoreError | None:
    """Take all the steps of a write, until one fails."""
    seen: set[tuple[MySQLEventTable, str, str, int]] = set()
    for step in write:
        if isinstance(step, Assertion):
            error = _check(connection, step)
        else:
            name, aggregate_id, version = step.key
            table = _get_table(step)
            follows = (table, name, aggregate_id, version - 1) in seen
            error = _insert(connection, step, follows=follows)
            seen.add((table, name, aggregate_id, version))
        if error is not None:
            return error
    return None


def _insert(connection: Connection, insert: Insert, *, follows: bool) -> CastoreError | None:
    table, row = _get_table(insert), insert.row
    for _ in _split([row], get_server(connection).most_bytes):
        pass
    if insert.force:
        _replace(connection, table, row)
        return None
    is_free = follows or table.allow_gaps or insert.key[2] == 1
    query = table.statements.insert([row]) if is_free else table.statements.insert_next(row)
    count = _run_insert(connection, query)
    if count == 1:
        return None
    if count is None or _is_there(connection, table, *insert.key):
        return EventAlreadyExistsError(*insert.key)
    return VersionGapError(*insert.key)


def _replace(connection: Connection, table: MySQLEventTable, row: Row) -> None:
    """Update an event, or insert it. Its id stays, and never is a tombstone's."""
    update = table.statements.replace.bind(**dict(zip(ROW_COLUMNS, row, strict=True)))
    while execute(connection, update) == 0:  # it is changed in any case: the token is new
        if _run_insert(connection, table.statements.insert([row])) is not None:
            return


def _check(connection: Connection, assertion: Assertion) -> CastoreError | None:
    """Check a version, and keep it until the end of the transaction.

    The next version is inserted and deleted again: another transaction that inserts it waits.
    """
    event_store_id, aggregate_id, version = assertion.key
    table = cast("MySQLEventTable", assertion.table)
    if len(event_store_id) > LONGEST_STORE_ID or len(aggregate_id) > LONGEST_ID:
        # No such aggregate can be there, and a lenient server would claim another.
        return VersionAssertionError(*assertion.key) if version else None
    claim = (event_store_id, aggregate_id, version + 1, "", None, None, "", None)
    if _run_insert(connection, table.statements.insert([claim])) is not None:
        place: dict[str, Any] = {"aggregate_name": event_store_id, "aggregate_id": aggregate_id}
        execute(connection, table.statements.delete.bind(**place, version=version + 1))
        later = fetch(connection, table.statements.select_later.bind(**place, version=version))
        is_there = version == 0 or _is_there(connection, table, *assertion.key)
        if is_there and not later:
            return None
    return VersionAssertionError(event_store_id, aggregate_id, version)


def _is_there(
    connection: Connection,
    table: MySQLEventTable,
    event_store_id: str,
    aggregate_id: str,
    version: int,
) -> bool:
    query = table.statements.lock_version.bind(
        aggregate_name=event_store_id, aggregate_id=aggregate_id, version=version
    )
    return bool(fetch(connection, query))


def find_outcome(
    connection: Connection, write: Write, error: CastoreError, /
) -> CastoreError | None:
    """Tell the refusal of a push from that of its own repetition, by the tokens of its events.

    A group of assertions alone has stored nothing: it was refused.
    """
    if not any(isinstance(each, Insert) for each in write):
        return error
    for group in group_by_table(write):
        query = _get_table(group[0]).statements.select_tokens([each.key for each in group])
        if {token for (token,) in fetch(connection, query)} != {each.row[-1] for each in group}:
            return error
    return None


def _split(rows: Sequence[Row], most_bytes: int) -> Iterable[Sequence[Row]]:
    """Split rows for statements that the server takes.

    Raises:
        StorageError: a row alone is too large.
    """
    part: list[Row] = []
    room = most_bytes
    for row in rows:
        size = _estimate(row)
        if size > most_bytes and (size := _measure(row)) > most_bytes:
            event_store_id, aggregate_id, version = row[:3]
            raise StorageError(
                f"event {version} of aggregate {aggregate_id!r} of event store {event_store_id!r} "
                f"has {size} bytes: max_allowed_packet of the server is {most_bytes}"
            )
        if part and size > room:
            yield part
            part, room = [], most_bytes
        part.append(row)
        room -= size
    yield part


def _estimate(row: Row) -> int:
    return _OVERHEAD + _LONGEST_BYTES * sum(len(each) for each in row if isinstance(each, str))


def _measure(row: Row) -> int:
    texts = [each for each in row if isinstance(each, str)]
    escaped = sum(each.count(character) for each in texts for character in _ESCAPED)
    return _OVERHEAD + escaped + sum(len(each.encode()) for each in texts)


def _get_table(insert: Insert) -> MySQLEventTable:
    return cast("MySQLEventTable", insert.table)
