"""How far the readers of a log may be behind: the age of the oldest transaction that writes."""

from datetime import timedelta
from typing import Final

from castore_sql._connection import Connection
from castore_sql._queries import Query, fetch_value

# Those of all databases: transaction ids are the cluster's.
_SELECT_AGE: Final = Query(
    """\
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp() - min(since)) AS DOUBLE PRECISION) FROM (
  SELECT xact_start FROM pg_stat_activity WHERE backend_xid IS NOT NULL
  UNION ALL
  SELECT prepared FROM pg_prepared_xacts
) AS transactions (since)"""
)


def get_oldest_transaction_age(connection: Connection, /) -> timedelta:
    """Return the age of the oldest transaction that has an id, or was prepared; zero without."""
    seconds = fetch_value(connection, _SELECT_AGE)
    return timedelta(seconds=max(seconds or 0.0, 0.0))
