"""The statements that create tables, found out without a database."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

from castore_sql._connection import Connection

_CREATING: Final = ("ALTER", "CREATE", "PRAGMA JOURNAL_MODE")


def record_statements(
    works: Sequence[Callable[[Connection], None]], dialect_name: str, *, is_mariadb: bool
) -> list[str]:
    """Return the statements by which some works create tables in an empty database."""
    recorder = _Recorder(dialect_name, "10.6.0-MariaDB" if is_mariadb else "8.0.17")
    for each in works:
        each(cast("Connection", recorder))
    return list(dict.fromkeys(recorder.statements))


class _Recorder:
    """A connection to a server of a sufficient version that has no tables."""

    def __init__(self, dialect_name: str, mysql_version: str) -> None:
        self.statements: list[str] = []
        self.info: dict[Any, Any] = {}
        self.driver_connection = SimpleNamespace(in_transaction=False)
        self._doubles_percents = dialect_name in {"mariadb", "mysql"}
        self._answers: dict[str, list[tuple[Any, ...]]] = {
            "PRAGMA synchronous": [(2,)],
            "SHOW server_version_num": [("999999",)],
            "SELECT to_regprocedure": [(True,)],  # of the question whether it is missing
            "SHOW SESSION VARIABLES": [
                ("version", mysql_version),
                ("character_set_client", "utf8mb4"),
                ("character_set_results", "utf8mb4"),
                ("max_allowed_packet", "1048576"),
            ],
        }

    def cursor(self) -> "_Cursor":
        return _Cursor(self)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Keep a statement that creates something, and return the rows of another."""
        if sql.upper().lstrip().startswith(_CREATING):
            self.statements.append(
                (sql.replace("%%", "%") if self._doubles_percents else sql).strip()
            )
        for start, rows in self._answers.items():
            if sql.startswith(start):
                return rows
        return []


class _Cursor:
    rowcount = 0

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str, parameters: object = ()) -> None:  # noqa: ARG002 as PEP 249 has it
        self._rows = self._recorder.run(sql)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def close(self) -> None:
        """Have nothing to close."""
