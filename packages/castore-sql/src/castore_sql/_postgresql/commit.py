"""Commits on PostgreSQL: pushes that come together are one statement, in one round trip."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeGuard, cast

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    StorageError,
    UnknownOutcomeError,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql._connection import Connection
from castore_sql._group_commit import NotYet, Outcome
from castore_sql._postgresql.errors import NOT_NULL_VIOLATION, UNIQUE_VIOLATION, get_sqlstate
from castore_sql._postgresql.statements import WriteStatements
from castore_sql._postgresql.table import PostgreSQLEventTable
from castore_sql._postgresql.transactions import transaction
from castore_sql._postgresql.values import find_unfit
from castore_sql._queries import Query, Statement, execute, fetch, fetch_value
from castore_sql._writes import ROW_COLUMNS, Assertion, Insert, Write, group_by_table

_Inserts: TypeAlias = Sequence[Insert]
_Keys: TypeAlias = Collection[tuple[str, str, int]]

_ATTEMPTS: Final = 5  # at a push whose version is taken, and free again when looked up


def commit(
    connection: Connection, writes: Sequence[Write], is_repeated: bool, /
) -> Sequence[Outcome]:
    """Write all in one statement if that is possible; writes that are in its way go alone."""
    errors: list[Outcome] = [_find_unfit(connection, each) for each in writes]
    fit = [each for each, error in zip(writes, errors, strict=True) if error is None]
    outcomes = iter(_commit_fit(connection, fit, is_repeated=is_repeated) if fit else ())
    return [next(outcomes) if error is None else error for error in errors]


def _commit_fit(
    connection: Connection, writes: Sequence[Write], *, is_repeated: bool
) -> Sequence[Outcome]:
    if len(writes) == 1:
        return [_commit_alone(connection, writes[0], is_repeated=is_repeated)]
    # In the order of their keys, so that those of two processes do not wait for each other.
    plain = sorted(filter(_is_plain, writes), key=lambda each: each[0].key)
    rivals = _find_rivals(plain)
    together = [each for each in plain if id(each) not in rivals]
    if len(plain) == len(writes) and _has_group_of_one_table(together):
        inserts = [insert for each in together for insert in each]
        if _insert_all(connection, inserts):
            return [NotYet.TOGETHER if id(each) in rivals else None for each in writes]
    # Of one table: where a second statement fails, the first would have been written already.
    singles = [each[0] for each in plain if len(each) == 1 and each[0].table is plain[0][0].table]
    inserted = _insert_free(connection, singles, [False] * len(singles))
    rest = [each for each in writes if id(each[0]) not in inserted]
    # A repeated write may have met its own event.
    conflicts = {} if is_repeated else _look_for_conflicts(connection, filter(_is_plain, rest))
    return [
        None if id(each[0]) in inserted else conflicts.get(id(each), NotYet.ALONE)
        for each in writes
    ]


def _find_rivals(writes: Sequence[_Inserts]) -> set[int]:
    """Return the `id` of each write with a version that an earlier one has, too."""
    taken: set[tuple[str, tuple[str, str, int]]] = set()
    rivals: set[int] = set()
    for write in writes:
        places = {(each.table.name, each.key) for each in write}
        if places & taken:
            rivals.add(id(write))
        else:
            taken |= places
    return rivals


def _look_for_conflicts(
    connection: Connection, writes: Iterable[_Inserts]
) -> dict[int, EventAlreadyExistsError]:
    """Do as `_find_conflicts`, or return nothing if that fails.

    An error would be that of all writes, and those before it are committed.
    """
    try:
        return _find_conflicts(connection, [*writes])
    except Exception:  # noqa: BLE001 the writes go alone, and meet it again
        return {}


def _find_conflicts(
    connection: Connection, writes: Sequence[_Inserts]
) -> dict[int, EventAlreadyExistsError]:
    """Return the errors of writes whose versions are stored, by the `id` of the write."""
    stored: set[tuple[str, tuple[str, str, int]]] = set()
    for inserts in group_by_table([insert for each in writes for insert in each]):
        query = _bind_keys(
            _prepare(connection, inserts).select_keys, {each.key for each in inserts}
        )
        stored |= {(inserts[0].table.name, tuple(row)) for row in fetch(connection, query)}
    conflicts: dict[int, EventAlreadyExistsError] = {}
    for write in writes:
        for each in write:
            if (each.table.name, each.key) in stored:
                conflicts.setdefault(id(write), EventAlreadyExistsError(*each.key))
    return conflicts


def write_inside(connection: Connection, write: Write) -> CastoreError | None:
    """Write inside the user's transaction. Only a savepoint takes back a part of a group."""
    error: CastoreError | None = _find_unfit(connection, write)
    if error is not None:
        return error
    if _is_plain(write) and len(write) == 1:
        return _take(connection, write)
    execute(connection, Query("SAVEPOINT castore_group"))
    error = _take(connection, write)
    if error is not None:
        execute(connection, Query("ROLLBACK TO SAVEPOINT castore_group"))
    execute(connection, Query("RELEASE SAVEPOINT castore_group"))
    return error


def _commit_alone(connection: Connection, write: Write, *, is_repeated: bool) -> Outcome:
    error = _try_alone(connection, write)
    if error is None or not is_repeated:
        return error
    return find_outcome(connection, write, error)


def _try_alone(connection: Connection, write: Write) -> CastoreError | None:
    if len(write) == 1 and isinstance(write[0], Insert):
        return _take(connection, write)
    if _is_of_one_table(write):
        if _insert_all(connection, write):
            return None
        if conflict := _find_conflicts(connection, [write]):
            return conflict[id(write)]
    with transaction(connection):
        return write_inside(connection, write)


def find_outcome(
    connection: Connection, write: Write, error: CastoreError, /
) -> CastoreError | None:
    """Tell the refusal of a push from that of its own repetition, by the tokens of its events.

    A group of assertions alone has stored nothing: it was refused.
    """
    if not any(isinstance(each, Insert) for each in write):
        return error
    for inserts in group_by_table(write):
        statements = _prepare(connection, inserts)
        if statements.select_tokens is None:
            reason = "the connection was lost, and the table has no tokens: see upgrade_tables()"
            return UnknownOutcomeError(*inserts[0].key, reason)
        query = _bind_keys(statements.select_tokens, [each.key for each in inserts])
        stored = {token for (token,) in fetch(connection, query)}
        if stored != {each.row[-1] for each in inserts}:
            return error
    return None


def _take(connection: Connection, write: Write) -> CastoreError | None:
    """Take all the steps of a write, until one fails."""
    for step in write:
        if isinstance(step, Assertion) and (error := _check(connection, step)) is not None:
            return error
    for inserts in group_by_table(write):
        if (error := _insert(connection, inserts)) is not None:
            return error
    return None


def _insert(connection: Connection, inserts: _Inserts) -> CastoreError | None:
    """Insert events of one table, and say why the first that was refused was."""
    if inserts[0].force:
        fetch(
            connection,
            _bind(_prepare(connection, inserts).replace, inserts, _find_followers(inserts)),
        )
        return None
    for _ in range(_ATTEMPTS):
        refused = _insert_what_is_free(connection, inserts)
        if not refused:
            return None
        if (error := _diagnose(connection, inserts, refused)) is not None:
            return error
        inserts = refused  # who was in the way has rolled back
    raise StorageError(f"the push of {inserts[0].key} was refused, again and again, for no reason")


def _insert_what_is_free(connection: Connection, inserts: _Inserts) -> _Inserts:
    """Insert events of one table, and return those that were refused."""
    if len(inserts) == 1:
        values = dict(zip(ROW_COLUMNS, inserts[0].row, strict=True))
        query = _prepare(connection, inserts).insert_one.bind(**values)
        return [] if fetch(connection, query) else inserts
    inserted = _insert_free(connection, inserts, _find_followers(inserts))
    return [each for each in inserts if id(each) not in inserted]


def _insert_free(connection: Connection, inserts: _Inserts, follows: Sequence[bool]) -> set[int]:
    """Insert the events of one table whose versions are free; return the `id` of each."""
    if not inserts:
        return set()
    query = _bind(_prepare(connection, inserts).insert_free, inserts, follows)
    found = Counter((name, each, version) for name, each, version, _ in fetch(connection, query))
    inserted: set[int] = set()
    for insert in inserts:
        if found[insert.key]:
            found[insert.key] -= 1
            inserted.add(id(insert))
    return inserted


def _insert_all(connection: Connection, inserts: _Inserts) -> bool:
    """Insert all in one statement, which is a transaction, or nothing."""
    query = _bind(_prepare(connection, inserts).insert_all, inserts, _find_followers(inserts))
    try:
        fetch(connection, query)
    except Exception as error:
        if get_sqlstate(error) in {UNIQUE_VIOLATION, NOT_NULL_VIOLATION}:
            return False
        raise
    return True


def _check(connection: Connection, assertion: Assertion) -> CastoreError | None:
    """Check a version, and keep it until the end of the transaction.

    The next version is inserted and deleted again: another transaction that inserts it waits.
    """
    _, event_store_id, aggregate_id, version = assertion
    statements = _prepare_step(connection, assertion)
    place: dict[str, Any] = {"aggregate_name": event_store_id, "aggregate_id": aggregate_id}
    last = fetch_value(connection, statements.select_last_version.bind(**place)) or 0
    if last == version:
        place["version"] = version + 1
        if execute(connection, statements.claim.bind(**place)) == 1:
            execute(connection, statements.give_back.bind(**place))
            return None
    return VersionAssertionError(event_store_id, aggregate_id, version)


def _diagnose(connection: Connection, inserts: _Inserts, refused: _Inserts) -> CastoreError | None:
    """Say why events were refused: a conflict first, or a gap."""
    statements = _prepare(connection, inserts)
    keys = {each.key for each in inserts}
    before = {(name, each, version - 1) for name, each, version in keys}
    stored = {
        tuple(row) for row in fetch(connection, _bind_keys(statements.select_keys, keys | before))
    }
    own = keys - {each.key for each in refused}
    for each in refused:
        if each.key in stored:
            return EventAlreadyExistsError(*each.key)
    for each in refused:
        name, aggregate_id, version = each.key
        if version > 1 and (name, aggregate_id, version - 1) not in stored | own:
            return VersionGapError(*each.key)
    return None


def _bind(statement: Statement, inserts: _Inserts, follows: Sequence[bool]) -> Query:
    columns = zip(*(each.row for each in inserts), strict=True)
    values = {name: list(column) for name, column in zip(ROW_COLUMNS, columns, strict=True)}
    return statement.bind(**values, follows=follows)


def _find_followers(inserts: _Inserts) -> list[bool]:
    """Tell of each event whether the version before comes earlier in the statement, or may lack."""
    if len(inserts) == 1:
        return [False]
    seen: set[tuple[str, str, int]] = set()
    follows: list[bool] = []
    for each in inserts:
        name, aggregate_id, version = each.key
        follows.append((name, aggregate_id, version - 1) in seen or _allows_gaps(each))
        seen.add(each.key)
    return follows


def _bind_keys(statement: Statement, keys: _Keys) -> Query:
    names, ids, versions = zip(*keys, strict=True)
    return statement.bind(
        aggregate_name=list(names), aggregate_id=list(ids), version=list(versions)
    )


def _find_unfit(connection: Connection, write: Write) -> StorageError | None:
    """Say what the columns cannot hold, if there is anything."""
    for step in write:
        columns = _prepare_step(connection, step).columns
        if columns is not None and (error := find_unfit(columns, step)) is not None:
            return error
    return None


def _prepare(connection: Connection, inserts: _Inserts) -> WriteStatements:
    # Of several adapters of the table, one that allows no gaps: `follows` excepts events of others.
    step = next((each for each in inserts if not _allows_gaps(each)), inserts[0])
    return _prepare_step(connection, step)


def _allows_gaps(insert: Insert) -> bool:
    return cast("PostgreSQLEventTable", insert.table).allow_gaps


def _prepare_step(connection: Connection, step: Insert | Assertion) -> WriteStatements:
    return cast("PostgreSQLEventTable", step.table).prepare_write(connection)


def _is_plain(write: Write) -> TypeGuard[Sequence[Insert]]:
    return all(isinstance(each, Insert) and not each.force for each in write)


def _has_group_of_one_table(writes: Sequence[_Inserts]) -> bool:
    tables = {insert.table for each in writes for insert in each}
    return len(tables) == 1 and any(len(each) > 1 for each in writes)


def _is_of_one_table(write: Write) -> TypeGuard[Sequence[Insert]]:
    return _is_plain(write) and len({each.table for each in write}) == 1
