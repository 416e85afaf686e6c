"""The commands `castore sql create-tables | ddl`."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from castore_command import CommandResult, call_castore
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter, SQLSnapshotStorageAdapter

SOURCE = """\
from castore_core import Event, EventStore
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter, SQLSnapshotStorageAdapter
from sqlalchemy import create_engine

class Opened(Event, type="OPENED"): ...

def reduce(state, event):
    raise NotImplementedError

engine = create_engine({url!r})
events = SQLEventStorageAdapter(engine)
storage = [events, SQLBookmarkStorageAdapter(engine), SQLSnapshotStorageAdapter(engine)]
accounts = EventStore("ACCOUNTS", event_types=[Opened], reduce=reduce, storage_adapter=events)
bare = EventStore("BARE", event_types=[Opened], reduce=reduce)
"""


def _write_program(folder: Path, name: str, url: str) -> None:
    folder.joinpath(f"{name}.py").write_text(SOURCE.format(url=url))


def _call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, *words: str
) -> CommandResult:
    return call_castore(capsys, "sql", command, *words, app_dir=tmp_path)


def _list_tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def test_create_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path) -> None:
    """The tables of the adapters are created once, and not without leave."""
    _write_program(tmp_path, "sql_accounts", f"sqlite:///{path}")
    refused = _call(capsys, tmp_path, "create-tables", "sql_accounts:storage")
    unchanged = _list_tables(path)
    words = "create-tables", "sql_accounts:storage", "--yes", "--json"
    first, second = _call(capsys, tmp_path, *words), _call(capsys, tmp_path, *words)

    assert (2, "", set[str]()) == (refused.code, refused.output, unchanged)
    assert f"create the missing tables in sqlite:///{path}" in refused.errors
    assert first.rows == second.rows
    assert [
        SQLEventStorageAdapter.__name__,
        SQLBookmarkStorageAdapter.__name__,
        SQLSnapshotStorageAdapter.__name__,
    ] == [each["storageAdapter"] for each in first.rows]
    assert {"bookmark", "event", "snapshot"} <= _list_tables(path)


def test_the_storage_of_an_event_store(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path
) -> None:
    """An event store stands for its storage adapter, and needs one."""
    _write_program(tmp_path, "sql_stores", f"sqlite:///{path}")
    created = _call(capsys, tmp_path, "create-tables", "sql_stores:accounts", "--yes")
    refused = _call(capsys, tmp_path, "create-tables", "sql_stores:bare", "--yes")

    assert (0, {"event"}) == (created.code, _list_tables(path))
    assert 2 == refused.code
    assert "has no storage adapter of castore-sql" in refused.errors


def test_ddl_makes_the_tables_that_the_adapters_make(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path
) -> None:
    """The statements, run in an empty database, make the same schema; printing them runs none."""
    _write_program(tmp_path, "sql_ddl", f"sqlite:///{path}")
    [row] = _call(capsys, tmp_path, "ddl", "sql_ddl:storage", "--json").rows
    assert not path.exists()
    _call(capsys, tmp_path, "create-tables", "sql_ddl:storage", "--yes")

    copy = tmp_path / "copy.db"
    connection = sqlite3.connect(copy)
    for statement in row["statements"]:
        connection.execute(statement)
    connection.close()
    assert _get_schema(path) == _get_schema(copy)


def test_passwords_are_hidden(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The question names the database without the password."""
    pytest.importorskip("asyncpg")
    source = SOURCE.replace("from sqlalchemy import create_engine", "").replace(
        "create_engine(", "create_async_engine("
    )
    source = "from sqlalchemy.ext.asyncio import create_async_engine\n" + source
    url = "postgresql+asyncpg://me:secret@nowhere.invalid/db"
    tmp_path.joinpath("sql_secret.py").write_text(source.format(url=url))
    result = _call(capsys, tmp_path, "create-tables", "sql_secret:events")

    assert 2 == result.code
    assert "postgresql+asyncpg://me:***@nowhere.invalid/db" in result.errors
    assert "secret@" not in result.errors


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+asyncpg://nowhere.invalid/db", "JSONB"),
        ("mysql+asyncmy://nowhere.invalid/db", "utf8mb4"),
    ],
)
def test_ddl_of_servers_connects_to_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, expected: str
) -> None:
    """The statements for a server are printed without it."""
    name = f"sql_{url.partition('+')[0]}"
    source = SOURCE.replace("sqlalchemy import create_engine", "sqlalchemy.ext.asyncio import *")
    source = source.replace("create_engine(", "create_async_engine(")
    tmp_path.joinpath(f"{name}.py").write_text(source.format(url=url))
    result = _call(capsys, tmp_path, "ddl", f"{name}:storage")

    assert (0, "") == (result.code, result.errors)
    assert "CREATE TABLE" in result.output
    assert expected in result.output


def _get_schema(path: Path) -> list[tuple[str, str]]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        )
        schema = [(row.name, row.sql) for row in rows]
    engine.dispose()
    return schema
