"""The table of bookmarks on MySQL and MariaDB, by the clock of the server."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._mysql.own_tables import create, hash_of, make_statement, quote, transaction

_NOW: Final = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)"
_KEY: Final = hash_of("bookmark_id")
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_key BINARY(32) NOT NULL PRIMARY KEY,
  bookmark_id {text} NOT NULL,
  position {text},
  lease_owner {text},
  lease_token BIGINT NOT NULL,
  lease_until BIGINT
) ENGINE = InnoDB"""
_INSERT: Final = f"""\
INSERT INTO {{table}} (bookmark_key, bookmark_id, position, lease_token)
VALUES ({_KEY}, :bookmark_id, :position, 0)
ON DUPLICATE KEY UPDATE position = COALESCE(position, :position)"""
# One after the other: the last one sees whose the lease is by then.
_TAKE: Final = f"""\
INSERT INTO {{table}} (bookmark_key, bookmark_id, lease_owner, lease_token, lease_until)
VALUES ({_KEY}, :bookmark_id, :owner, 1, {{now}} + :duration)
ON DUPLICATE KEY UPDATE
  lease_token = IF(lease_until > {{now}}, lease_token, lease_token + 1),
  lease_owner = IF(lease_until > {{now}}, lease_owner, :owner),
  lease_until = IF(lease_owner = :owner, {{now}} + :duration, lease_until)"""


def make_bookmark_table(name: str, _driver: Dialect, /) -> BookmarkTable:
    """Describe a table of bookmarks."""
    return BookmarkTable(
        make_statement,
        table=quote(name),
        now=_NOW,
        create=lambda connection: create(connection, name, _CREATE),
        transaction=transaction,
        insert=_INSERT,
        take=_TAKE,
        of_bookmark=f"bookmark_key = {_KEY}",
    )
