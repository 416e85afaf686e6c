"""Checking the events of an event store."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from castore_core import (
    ABSENT,
    EventDecodeError,
    EventRecord,
    EventStore,
    InvalidEventDataError,
    NotJSONError,
    ReducerError,
    StorageError,
    UnknownEventTypeError,
    check_json,
    name_type,
)
from castore_core.workers import check_whole
from castore_dam._concurrency import map_in_order
from castore_dam._integrity_report import Findings, IntegrityReport
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._scan import EventScan, open_scans, read_aggregate
from castore_dam._upcaster_use import UpcasterUse
from castore_dam._version_check import VersionCheck


def _ignore(record: EventRecord) -> None:
    del record


async def check_event_store(
    event_store: EventStore[Any, Any],
    *,
    with_reducer: bool = False,
    at_once: int = 10,
    max_findings: int = 1000,
    on_record: Callable[[EventRecord], None] = _ignore,
    on_progress: ProgressHook = report_nothing,
) -> IntegrityReport:
    """Read all the events of a store, and tell what is wrong with them. Nothing is written.

    The report also counts the events that each upcaster changes: an upcaster that none needs can be
    deleted.

    A store whose adapter has a log is read through it, up to its end as of now, without events that
    PostgreSQL or MySQL hold back while an older transaction is open. The aggregates of
    others are listed: of these, an aggregate without an event of version 1 cannot be found.

    With a log, memory grows with the number of aggregates, by about 300 bytes for each. Without
    one, it does not grow.

    Args:
        event_store: the store. Its upcasters see each event before it is decoded.
        with_reducer: also loads each listed aggregate, without snapshots, and so reads the events
            a second time. The events of ``at_once`` aggregates are in memory then.
        at_once: how many aggregates are read at a time.
        max_findings: how many findings are listed, 0 or more. All are counted.
        on_record: is given each event as it is stored, before it is checked.
        on_progress: is told after each page, and each aggregate that was loaded.

    Raises:
        StorageError: the storage failed.
        TypeError, ValueError: an argument is not as above.
        UndefinedStorageAdapterError: the store has no storage adapter.
    """
    check_whole("max_findings", max_findings, 0)
    (scan,) = await open_scans([event_store], at_once=at_once)
    check = _Check(event_store, Findings(max_findings), on_record, on_progress)
    await check.scan(scan)
    if with_reducer:
        await check.load(at_once)
    return check.get_report()


class _Check:
    """One check of a store."""

    def __init__(
        self,
        event_store: EventStore,
        findings: Findings,
        on_record: Callable[[EventRecord], None],
        on_progress: ProgressHook,
    ) -> None:
        self._store = event_store
        self._findings = findings
        self._on_record = on_record
        self._report = on_progress
        self._upcasters = UpcasterUse(event_store)
        self._event_count = 0
        self._aggregate_count = 0

    async def scan(self, scan: EventScan) -> None:
        """Check all events."""
        versions = VersionCheck(self._findings, is_by_aggregate=scan.is_by_aggregate)
        async with aclosing(scan.read()) as pages:
            async for page in pages:
                for each in page.events:
                    self._on_record(each.record)
                    self._upcasters.count(each.record)
                    versions.check(each.record)
                    self._check_record(each.record)
                self._event_count += len(page.events)
                self._report(Progress("checking", self._event_count))
        for aggregate_id, last in versions.late.items():
            await self._check_late(versions, aggregate_id, last)
        self._aggregate_count = versions.aggregate_count

    async def load(self, at_once: int) -> None:
        """Load all listed aggregates."""
        store = self._store.using(self._store.get_storage_adapter())
        store.snapshots = None

        async def load(aggregate_id: str) -> None:
            await self._load(store, aggregate_id)

        ids = store.iter_aggregate_ids()
        count = 0
        async with aclosing(map_in_order(load, ids, at_once=at_once)) as loads:
            async for _ in loads:
                count += 1
                self._report(Progress("loading", count))

    def get_report(self) -> IntegrityReport:
        """Return what was found."""
        return IntegrityReport(
            self._store.event_store_id,
            self._event_count,
            self._aggregate_count,
            dict(self._findings.counts),
            tuple(self._findings.first),
            self._upcasters.counts,
        )

    async def _check_late(self, versions: VersionCheck, aggregate_id: str, last: int) -> None:
        begin = versions.get_next_version(aggregate_id)
        records = read_aggregate(
            self._store.get_storage_adapter(),
            self._store.event_store_id,
            aggregate_id,
            max_version=last,
        )
        async with aclosing(records):
            async for each in records:
                if each.version >= begin:
                    versions.check_ordered(each)

    def _check_record(self, record: EventRecord) -> None:
        aggregate_id, version = record[:2]
        try:
            for field in ("payload", "metadata"):
                if (value := getattr(record, field)) is not ABSENT:
                    check_json(value, field)
            self._store.event_from_record(record)
        except NotJSONError as error:
            self._findings.add("not JSON", aggregate_id, version, f"its {error}")
        except UnknownEventTypeError as error:
            reason = f"the store does not have its type {error.event_type!r}"
            self._findings.add("unknown type", aggregate_id, version, reason)
        except EventDecodeError as error:
            self._findings.add("undecodable", aggregate_id, version, _describe(error))

    async def _load(self, store: EventStore, aggregate_id: str) -> None:
        try:
            loaded = await store.get_aggregate(aggregate_id)
        except (UnknownEventTypeError, EventDecodeError):
            return  # the scan has found it
        except StorageError:
            raise
        except ReducerError as error:
            self._findings.add("reducer failed", aggregate_id, error.version, str(error))
        except Exception as error:  # noqa: BLE001 a reducer may raise anything
            reason = f"the reducer raised {name_type(error)}"
            self._findings.add("reducer failed", aggregate_id, None, reason)
        else:
            if loaded.last_event is None:
                reason = "the aggregate is listed, and has no events"
                self._findings.add("no events", aggregate_id, None, reason)


def _describe(error: EventDecodeError) -> str:
    """Say why an event is not decoded, without the text of the error, which may have values."""
    cause = error.__cause__
    reason = "" if cause is None else f": {name_type(cause)}"
    if isinstance(cause, InvalidEventDataError):
        reason += f" at {', '.join(each.path for each in cause.violations)}"
    return f"it does not fit its type {error.event_type!r}{reason}"
