"""An aggregate of events of any types, for tests in which no state matters."""

from dataclasses import dataclass

from castore_core import Event


@dataclass(frozen=True)
class BareAggregate:
    """The id of an aggregate, and its version."""

    aggregate_id: str
    version: int


def reduce_bare(aggregate: BareAggregate | None, event: Event) -> BareAggregate:  # noqa: ARG001 counts only
    """Compute the state."""
    return BareAggregate(event.aggregate_id, event.version)
