"""The tables of bookmarks and parked events on MySQL and MariaDB, by the clock of the server."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._mysql.own_tables import create, hash_of, make_statement, quote, transaction
from castore_sql._parked_table import COLUMNS, ParkedTable

_NOW: Final = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)"
_KEY: Final = hash_of("bookmark_id")
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_key BINARY(32) NOT NULL PRIMARY KEY,
  bookmark_id {text} NOT NULL,
  position {text},
  moved_at BIGINT,
  lease_owner {text},
  lease_token BIGINT NOT NULL,
  lease_renewed_at BIGINT,
  lease_until BIGINT
) ENGINE = InnoDB"""
_INSERT: Final = f"""\
INSERT INTO {{table}} (bookmark_key, bookmark_id, position, moved_at, lease_token)
VALUES ({_KEY}, :bookmark_id, :position, {{now}}, 0)
ON DUPLICATE KEY UPDATE
  moved_at = IF(position IS NULL, {{now}}, moved_at),
  position = COALESCE(position, :position)"""
# One after the other: the last two see whose the lease is by then.
_TAKE: Final = f"""\
INSERT INTO {{table}}
  (bookmark_key, bookmark_id, lease_owner, lease_token, lease_renewed_at, lease_until)
VALUES ({_KEY}, :bookmark_id, :owner, 1, {{now}}, {{now}} + :duration)
ON DUPLICATE KEY UPDATE
  lease_token = IF(lease_until > {{now}}, lease_token, lease_token + 1),
  lease_owner = IF(lease_until > {{now}}, lease_owner, :owner),
  lease_renewed_at = IF(lease_owner = :owner, {{now}}, lease_renewed_at),
  lease_until = IF(lease_owner = :owner, {{now}} + :duration, lease_until)"""

# An index holds 3,072 bytes, four for a character: the key of the bookmark and the position.
_LONGEST_POSITION: Final = 700
_CREATE_PARKED: Final = f"""\
CREATE TABLE IF NOT EXISTS {{table}} (
  bookmark_key BINARY(32) NOT NULL,
  bookmark_id {{text}} NOT NULL,
  position VARCHAR({_LONGEST_POSITION}) CHARACTER SET utf8mb4 COLLATE {{no_pad}} NOT NULL,
  event_store_id {{text}} NOT NULL,
  aggregate_id {{text}} NOT NULL,
  version BIGINT NOT NULL,
  type {{text}} NOT NULL,
  parked_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  failure_kind {{text}},
  failure_text {{text}},
  PRIMARY KEY (bookmark_key, position)
) ENGINE = InnoDB"""
_PUT: Final = f"""\
INSERT INTO {{table}} (bookmark_key, bookmark_id, {", ".join(COLUMNS)})
VALUES ({_KEY}, :bookmark_id, {", ".join(f":{each}" for each in COLUMNS)})
ON DUPLICATE KEY UPDATE {", ".join(f"{each} = :{each}" for each in COLUMNS[1:])}"""


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


def make_parked_table(name: str, _driver: Dialect, /) -> ParkedTable:
    """Describe a table of parked events."""
    return ParkedTable(
        make_statement,
        table=quote(name),
        create=lambda connection: create(connection, name, _CREATE_PARKED),
        transaction=transaction,
        put=_PUT,
        of_bookmark=f"bookmark_key = {_KEY}",
        longest_position=_LONGEST_POSITION,
    )
