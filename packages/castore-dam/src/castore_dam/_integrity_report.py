"""The report of a check of an event store."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from castore_dam._upcaster_use import UpcasterCount

FindingKind: TypeAlias = Literal[
    "no initial event",
    "version gap",
    "duplicate version",
    "log order",
    "timestamp before",
    "unknown type",
    "undecodable",
    "not JSON",
    "no events",
    "reducer failed",
]
"""The kinds of faults. The page on integrity has a table of them."""


class IntegrityFinding(NamedTuple):
    """A thing that is wrong, without a value of a payload or of metadata.

    Attributes:
        kind: the kind of thing.
        aggregate_id: the aggregate.
        version: that of the event; ``None`` where no event alone is to blame.
        reason: a sentence.
    """

    kind: FindingKind
    aggregate_id: str
    version: int | None
    reason: str


@dataclass(frozen=True)
class IntegrityReport:
    """The result of `check_event_store`.

    Attributes:
        event_store_id: the store.
        event_count: how many events were checked.
        aggregate_count: how many aggregates have them.
        counts: how many findings there are of each kind that was found, those beyond the bound of
            the list included.
        findings: the first of them.
        upcasters: how many of the events each upcaster of the store changes, in the order in which
            they are applied.
    """

    event_store_id: str
    event_count: int
    aggregate_count: int
    counts: Mapping[FindingKind, int]
    findings: tuple[IntegrityFinding, ...]
    upcasters: tuple[UpcasterCount, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    @property
    def finding_count(self) -> int:
        """How many findings there are of all kinds."""
        return sum(self.counts.values())

    @property
    def unreached_upcasters(self) -> tuple[str, ...]:
        """The names of the upcasters that no event needs. They are no findings."""
        return tuple(each.name for each in self.upcasters if not each.is_reached)


class Findings:
    """Counts findings, and keeps the first.

    Args:
        bound: how many are kept.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.counts: Counter[FindingKind] = Counter()
        self.first: list[IntegrityFinding] = []

    def add(self, kind: FindingKind, aggregate_id: str, version: int | None, reason: str) -> None:
        """Count a finding."""
        self.counts[kind] += 1
        if len(self.first) < self._bound:
            self.first.append(IntegrityFinding(kind, aggregate_id, version, reason))
