"""What storage adapters see of an event."""

from datetime import datetime
from typing import NamedTuple

from castore_core._json import ABSENT, Absent, JSONValue


class EventRecord(NamedTuple):
    """An event as it is stored: JSON values, and no user's class.

    ``timestamp`` is in UTC with millisecond precision. A ``payload`` or ``metadata`` that is
    `ABSENT` is not the same as one that is ``None`` (null), and adapters keep the two apart.
    """

    aggregate_id: str
    version: int
    type: str
    timestamp: datetime
    payload: JSONValue | Absent = ABSENT
    metadata: JSONValue | Absent = ABSENT
