"""Which upcasters the stored events still need."""

import json
from dataclasses import dataclass

from castore_core import ABSENT, EventRecord, EventStore, Upcaster


@dataclass(frozen=True, kw_only=True)
class UpcasterCount:
    """How many of the counted events need an upcaster.

    Attributes:
        upcaster: the function.
        name: that of the function, after its module.
        changed: how many events it changed.
        failed: how many events it failed on, or an upcaster before it did: whether these need it
            is not known.
    """

    upcaster: Upcaster
    name: str
    changed: int
    failed: int

    @property
    def is_reached(self) -> bool:
        """Whether an event needs the upcaster, or may need it."""
        return bool(self.changed or self.failed)


class UpcasterUse:
    """Counts the events that each upcaster of a store changes, wherever the events are kept.

    `check_event_store` does it for the events of the store. Those of an archive may need other
    upcasters::

        use = UpcasterUse(event_store)
        async for event in read_archive("events.jsonl"):
            use.count(event.record)
        print(use.find_unreached())

    Args:
        event_store: has the upcasters.
    """

    def __init__(self, event_store: EventStore) -> None:
        self._upcasters = tuple(event_store.upcasters)
        self._changed = [0] * len(self._upcasters)
        self._failed = [0] * len(self._upcasters)

    @property
    def counts(self) -> tuple[UpcasterCount, ...]:
        """The counts so far, in the order in which the upcasters are applied."""
        return tuple(
            UpcasterCount(upcaster=each, name=_get_name(each), changed=changed, failed=failed)
            for each, changed, failed in zip(
                self._upcasters, self._changed, self._failed, strict=True
            )
        )

    def count(self, record: EventRecord) -> None:
        """Count the upcasters that change a stored event.

        The record stays as it is, also where an upcaster changes its payload in place. Nothing is
        raised where an upcaster fails.
        """
        if not self._upcasters:
            return
        index = 0
        try:
            newer = record.copy()
            before = _describe(newer)
            for index, upcast in enumerate(self._upcasters):
                newer = upcast(newer)
                now = _describe(newer)
                self._changed[index] += now != before
                before = now
        except Exception:  # noqa: BLE001 the code is the user's
            self._count_failure(index)

    def find_unreached(self) -> tuple[Upcaster, ...]:
        """Return the upcasters that no counted event needs."""
        return tuple(each.upcaster for each in self.counts if not each.is_reached)

    def _count_failure(self, index: int) -> None:
        """Count a failure of an upcaster, after which the others are not applied."""
        for each in range(index, len(self._failed)):
            self._failed[each] += 1


def _describe(record: object) -> object:
    """Return what is equal for equal records; of JSON, where 1 is not ``True``."""
    if not isinstance(record, EventRecord):
        raise TypeError("an upcaster returned no EventRecord")
    data = (None if each is ABSENT else json.dumps(each, sort_keys=True) for each in record[4:])
    return record[:4], *data


def _get_name(upcaster: Upcaster) -> str:
    name = getattr(upcaster, "__qualname__", None)
    return f"{upcaster.__module__}.{name}" if name else repr(upcaster)
