"""The event table of MySQL and MariaDB: the columns of Castore's, in types that keep all texts.

The order of ids is that of the log. A reader closes a hole among them with a tombstone: a row of
the store ``''``, of which there can be no event.
"""

from typing import Final

LONGEST_STORE_ID: Final = 191
LONGEST_ID: Final = 512  # an index holds 3,072 bytes, four for a character
LONGEST_TYPE: Final = 255

# The collations that tell all texts apart, those that end with spaces too.
NO_PAD_OF_MYSQL: Final = "utf8mb4_0900_bin"
NO_PAD_OF_MARIADB: Final = "utf8mb4_nopad_bin"

# The order is that of code points: ASCII is enough for timestamps. There is no partial index.
# MariaDB loses the values of a virtual column where it sorts them.
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  aggregate_name VARCHAR({longest_store_id}) CHARACTER SET utf8mb4 COLLATE {no_pad} NOT NULL,
  aggregate_id VARCHAR({longest_id}) CHARACTER SET utf8mb4 COLLATE {no_pad} NOT NULL,
  version BIGINT NOT NULL,
  type VARCHAR({longest_type}) CHARACTER SET utf8mb4 COLLATE {no_pad} NOT NULL,
  data LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  metadata LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  timestamp VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  write_token BIGINT,
  initial_timestamp VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin
    GENERATED ALWAYS AS (CASE WHEN version = 1 THEN timestamp END) STORED,
  UNIQUE KEY event_version (aggregate_name, aggregate_id, version),
  KEY initial_events (aggregate_name, initial_timestamp, aggregate_id)
) ENGINE = InnoDB"""


def quote(name: str) -> str:
    """Return an identifier as SQL has it."""
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def make_create(name: str, no_pad: str) -> str:
    """Return the definition of a table."""
    return _CREATE.format(
        table=quote(name),
        no_pad=no_pad,
        longest_store_id=LONGEST_STORE_ID,
        longest_id=LONGEST_ID,
        longest_type=LONGEST_TYPE,
    )
