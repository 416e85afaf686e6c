"""Migration of several event stores, one after the other."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeAlias

from castore_core import EventStore, JSONValue
from castore_dam._checkpoints import Checkpoint
from castore_dam._event_stores import check_event_stores
from castore_dam._journal import Journal, open_journal
from castore_dam._migrate import Migration, check_migration, migrate_event_store
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._transform import Transform

Pair: TypeAlias = tuple[EventStore[Any, Any], EventStore[Any, Any]]
"""The source and the target of a migration."""


async def migrate_event_store_collection(
    event_stores: Iterable[Pair],
    *,
    transform: Transform | None = None,
    allow_gaps: bool = False,
    dry_run: bool = False,
    rate_limit: float | None = None,
    at_once: int = 10,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> dict[str, Migration]:
    """Carry all the events of several stores to others, one store after the other.

    It does what `migrate_event_store` does, for each pair in turn, with the same options. Where
    one fails, those before it are carried, and the same call goes on.

    Args:
        event_stores: pairs of a source and its target. No two sources have one id, no two targets
            are one, and no target is a source.
        transform: is given the events of all sources.
        allow_gaps: as for one store.
        dry_run: as for one store.
        rate_limit: the most events a second that are written.
        at_once: how many aggregates are read, or written, at a time.
        checkpoint: one for all pairs.
        on_progress: is told after each batch how many events of all sources were carried.

    Returns:
        The results by the ids of the sources.

    Raises:
        TypeError: one is no event store.
        ValueError: there is no pair, two sources have one id, two targets are one, or a target is
            a source, of its own pair or of another. Nothing is written then.
        CastoreError, TypeError, ValueError: as `migrate_event_store` raises them.
    """
    pairs = check_pairs(event_stores)
    operation = {
        "operation": "migrate several",
        "event stores": [[each.event_store_id for each in pair] for pair in pairs],
    }
    done: dict[str, Migration] = {}

    def report(progress: Progress) -> None:
        before = sum(each.events_read for each in done.values())
        on_progress(progress._replace(done=before + progress.done))

    async with open_journal(checkpoint, operation, dry_run=dry_run) as journal:
        for source, target in pairs:
            name = source.event_store_id
            done[name] = await migrate_event_store(
                source,
                target,
                transform=transform,
                allow_gaps=allow_gaps,
                dry_run=dry_run,
                rate_limit=rate_limit,
                at_once=at_once,
                checkpoint=None if checkpoint is None else _Part(checkpoint.name, journal, name),
                on_progress=report,
            )
    return done


class _Part:
    """A `Checkpoint` within the state of an operation on several event stores, which holds it."""

    def __init__(self, name: str, journal: Journal, key: str) -> None:
        self.name = name
        self._journal = journal
        self._key = key

    def hold(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def load(self) -> JSONValue:
        state: JSONValue = self._journal.state.get(self._key)
        return state

    async def save(self, state: JSONValue) -> None:
        await self._journal.save({**self._journal.state, self._key: state})


def check_pairs(event_stores: Iterable[Pair]) -> Sequence[Pair]:
    """Return pairs of which none writes to a store of another.

    Raises:
        TypeError: one is no event store.
        ValueError: there is no pair, two sources have one id, two targets are one, or a target is
            a source, of its own pair or of another.
    """
    pairs = tuple(event_stores)
    check_event_stores([source for source, _ in pairs])
    for pair in pairs:
        check_migration(*pair)
    sources = {_get_place(source) for source, _ in pairs}
    targets = {_get_place(target) for _, target in pairs}
    if len(targets) < len(pairs):
        raise ValueError("two event stores have one target")
    for _, event_store_id in sources & targets:
        raise ValueError(f"the target {event_store_id!r} is the source of another pair")
    return pairs


def _get_place(event_store: EventStore) -> tuple[int, str]:
    return id(event_store.get_storage_adapter()), event_store.event_store_id
