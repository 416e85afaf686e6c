"""Stored events with pending ones among them."""

from collections.abc import Iterable

from castore_core._record import EventRecord


def overlay_events(
    stored: Iterable[EventRecord],
    pending: Iterable[EventRecord],
    *,
    min_version: int | None = None,
    max_version: int | None = None,
    limit: int | None = None,
    reverse: bool = False,
) -> list[EventRecord]:
    """Lay pending events of an aggregate over stored ones, for storages that hold pushes back.

    ``stored`` is the answer of `EventStorageAdapter.get_events` to the same options, and the result
    is one, too. A pending event takes the place of the stored one of its version, and is copied.
    """
    events = {each.version: each for each in stored}
    for each in pending:
        is_early = min_version is not None and each.version < min_version
        if not is_early and (max_version is None or each.version <= max_version):
            events[each.version] = each.copy()
    return [events[version] for version in sorted(events, reverse=reverse)[:limit]]
