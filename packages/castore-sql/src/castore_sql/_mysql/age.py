"""The age of the transactions that hold readers of a log back."""

from datetime import timedelta
from typing import Final

from castore_sql._connection import Connection
from castore_sql._queries import Query, fetch_value

_SELECT_AGE: Final = Query(
    "SELECT TIMESTAMPDIFF("  # both in the time zone of the server, whatever the session has
    "SECOND, MIN(trx_started), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) "
    "FROM information_schema.innodb_trx WHERE trx_rows_modified > 0"
)


def get_oldest_transaction_age(connection: Connection, /) -> timedelta:
    """Return the age of the oldest transaction that has written anything, in whole seconds."""
    return timedelta(seconds=max(0, fetch_value(connection, _SELECT_AGE) or 0))
