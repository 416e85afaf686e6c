"""`castore dam check`: what is wrong with the events of stores."""

from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from castore_cli import Address, ExitCode, Limit, Terminal, open_stores
from castore_dam._cli._options import Names
from castore_dam._cli._tracking import Tracking, count_events
from castore_dam._integrity import check_event_store
from castore_dam._integrity_report import IntegrityReport
from castore_dam._upcaster_use import UpcasterCount

_Bound: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0))]


async def check(
    address: Address,
    /,
    *,
    store: Names = (),
    with_reducer: bool = False,
    max_findings: _Bound = 1000,
    concurrency: Limit = 10,
    terminal: Terminal,
) -> ExitCode:
    """Read all the events of stores, and list what is wrong with them.

    The exit code is 3 where anything is wrong.

    The events that each upcaster changes are counted. One that changes none is no finding. Values
    of payloads and metadata are not shown.

    Args:
        address: The event stores.
        store: Check this store; it may be given several times.
        with_reducer: Load each aggregate, too. The events are read a second time.
        max_findings: List at most so many findings of each store, 1000 by default; all are counted.
        concurrency: How many aggregates are read at a time, 10 by default.
    """
    async with open_stores(address, store_ids=store) as stores:
        reports: list[IntegrityReport] = []
        for each in stores:
            total = await count_events(terminal, [each])
            with Tracking(terminal, total=total) as tracking:
                report = await check_event_store(
                    each,
                    with_reducer=with_reducer,
                    at_once=concurrency,
                    max_findings=max_findings,
                    on_progress=tracking.report,
                )
            _show(report, terminal)
            reports.append(report)
        if not terminal.is_json:
            terminal.show_rows([_summarize(each) for each in reports])
        return ExitCode.OK if all(each.is_sound for each in reports) else ExitCode.FOUND


def _show(report: IntegrityReport, terminal: Terminal) -> None:
    """Show what was found in a store: one object or, to people, tables, which may have no rows."""
    findings = _list_findings(report)
    counts = [_describe_count(each) for each in report.upcasters]
    if terminal.is_json:
        details = {"counts": dict(report.counts), "findings": findings, "upcasters": counts}
        terminal.show(_summarize(report) | details)
        return
    name = {"eventStoreId": report.event_store_id}
    terminal.show_rows([name | each for each in findings])
    terminal.show_rows([name | each for each in counts])
    if report.finding_count > len(findings):
        terminal.say(
            f"{len(findings)} of {report.finding_count} findings of {report.event_store_id!r} are "
            "listed: --max-findings lists more"
        )


def _list_findings(report: IntegrityReport) -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind,
            "aggregateId": each.aggregate_id,
            "version": each.version,
            "reason": each.reason,
        }
        for each in report.findings
    ]


def _describe_count(count: UpcasterCount) -> dict[str, Any]:
    return {"upcaster": count.name, "changedCount": count.changed, "failedCount": count.failed}


def _summarize(report: IntegrityReport) -> dict[str, Any]:
    return {
        "eventStoreId": report.event_store_id,
        "eventCount": report.event_count,
        "aggregateCount": report.aggregate_count,
        "findingCount": report.finding_count,
    }
