"""Events as storage adapters see them."""

from datetime import datetime
from typing import NamedTuple, Self

from castore_core._json import ABSENT, Absent, JSONValue, copy_json


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

    def copy(self) -> Self:
        """Return an equal record that shares no list and no dict with this one."""
        return self._replace(payload=copy_json(self.payload), metadata=copy_json(self.metadata))
