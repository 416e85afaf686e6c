"""Checks of the versions and timestamps of aggregates, as their events come."""

from datetime import datetime
from typing import NamedTuple

from castore_core import EventRecord, format_timestamp
from castore_dam._integrity_report import Findings


class _Last(NamedTuple):
    """The last event of an aggregate that came in order."""

    version: int
    timestamp: datetime | None


_NONE = _Last(0, None)


class VersionCheck:
    """Finds what is wrong with the versions and timestamps of the events of one store.

    A log may have a version before an earlier one of the same aggregate. From there on, its events
    say nothing, and the aggregate is late: it has to be read again, by version, with
    `check_ordered`.

    Attributes:
        late: the late aggregates, and the greatest version of each that the log has had.
        aggregate_count: how many aggregates have come.

    Args:
        findings: takes what is found.
        is_by_aggregate: whether the events of an aggregate follow each other, by version.
    """

    def __init__(self, findings: Findings, *, is_by_aggregate: bool) -> None:
        self._findings = findings
        self._is_by_aggregate = is_by_aggregate
        self._last: dict[str, _Last] = {}
        self.late: dict[str, int] = {}
        self.aggregate_count = 0

    def check(self, record: EventRecord) -> None:
        """Check the next event of a scan."""
        aggregate_id, version = record[:2]
        if aggregate_id not in self._last:
            self.aggregate_count += 1
            if self._is_by_aggregate:
                self._last.clear()  # the aggregates before it are complete
            self._last[aggregate_id] = _NONE
        if self._is_by_aggregate:
            self.check_ordered(record)
        elif aggregate_id in self.late:
            self._check_late(record)
        elif version > self._last[aggregate_id].version + 1:
            self.late[aggregate_id] = version
        else:
            self.check_ordered(record)

    def get_next_version(self, aggregate_id: str) -> int:
        """Return the version after those of an aggregate that came in order."""
        return self._last[aggregate_id].version + 1

    def check_ordered(self, record: EventRecord) -> None:
        """Check an event of an aggregate whose earlier versions have all come."""
        aggregate_id, version = record[:2]
        last = self._last[aggregate_id]
        if version <= last.version:
            reason = f"version {version} is there more than once"
            self._findings.add("duplicate version", aggregate_id, version, reason)
            return
        self._check_gap(aggregate_id, last.version + 1, version)
        if last.timestamp is not None and record.timestamp < last.timestamp:
            reason = (
                f"its timestamp {format_timestamp(record.timestamp)} is before that of version "
                f"{last.version}, {format_timestamp(last.timestamp)}"
            )
            self._findings.add("timestamp before", aggregate_id, version, reason)
        self._last[aggregate_id] = _Last(version, record.timestamp)

    def _check_gap(self, aggregate_id: str, expected: int, version: int) -> None:
        if version == expected:
            return
        last = version - 1
        missing = (
            f"version {last} is missing"
            if last == expected
            else f"versions {expected} to {last} are missing"
        )
        if expected == 1:
            reason = f"{missing}: the aggregate is never listed"
            self._findings.add("no initial event", aggregate_id, version, reason)
        else:
            self._findings.add("version gap", aggregate_id, version, missing)

    def _check_late(self, record: EventRecord) -> None:
        aggregate_id, version = record[:2]
        greatest = self.late[aggregate_id]
        if version < greatest:
            reason = f"it comes after version {greatest} in the log"
            self._findings.add("log order", aggregate_id, version, reason)
        self.late[aggregate_id] = max(greatest, version)
