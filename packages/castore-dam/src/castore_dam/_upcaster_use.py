"""Which upcasters the stored events still need."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from castore_core import ABSENT, EventRecord, EventStore, Upcaster


@dataclass(kw_only=True)
class UpcasterCount:
    """How many of the stored events an upcaster was needed for."""

    upcaster: Upcaster
    name: str
    changed: int = 0
    """Records that it changed."""
    failed: int = 0
    """Records for which it, or an upcaster before it, raised or returned no record: what it would
    have done is not known."""

    @property
    def is_reached(self) -> bool:
        """Whether the upcaster changed a record, or may be needed for one."""
        return bool(self.changed or self.failed)


class UpcasterUse:
    """Counts the stored events that each upcaster of a store changes.

    Give it all the stored events of the store. An upcaster that changed none can be deleted::

        use = UpcasterUse(event_store)
        async for record in records:
            use.count(record)
        print(use.find_unreached())
    """

    def __init__(self, event_store: EventStore) -> None:
        self._counts = [
            UpcasterCount(upcaster=each, name=_get_name(each)) for each in event_store.upcasters
        ]

    @property
    def counts(self) -> Sequence[UpcasterCount]:
        """The counts so far, in the order in which the upcasters are applied."""
        return tuple(self._counts)

    def count(self, record: EventRecord) -> None:
        """Count the upcasters that change a stored event.

        The record stays as it is, also where an upcaster changes its payload in place. Nothing is
        raised where an upcaster fails.
        """
        if not self._counts:
            return
        newer = record.copy()
        before = _describe(newer)
        for index, each in enumerate(self._counts):
            try:
                newer = each.upcaster(newer)
                now = _describe(newer)
            except Exception:  # noqa: BLE001 the code is the user's
                self._count_failure(index)
                return
            each.changed += now != before
            before = now

    def find_unreached(self) -> tuple[Upcaster, ...]:
        """Return the upcasters that no counted event needs."""
        return tuple(each.upcaster for each in self._counts if not each.is_reached)

    def _count_failure(self, index: int) -> None:
        for each in self._counts[index:]:
            each.failed += 1


def _describe(record: object) -> object:
    """Return what is equal for equal records; of JSON, where 1 is not ``True``."""
    if not isinstance(record, EventRecord):
        raise TypeError("an upcaster returned no EventRecord")
    data = (None if each is ABSENT else json.dumps(each, sort_keys=True) for each in record[4:])
    return record[:4], *data


def _get_name(upcaster: Upcaster) -> str:
    name = getattr(upcaster, "__qualname__", None)
    return f"{upcaster.__module__}.{name}" if name else repr(upcaster)
