"""Parked events of all partitions: listed, grouped, retried and dropped."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from castore_core import BookmarkStorageAdapter, LogPosition, ParkedEvent
from castore_projections._parking import iter_parked
from castore_projections._partition import Partition

_PAGE_SIZE: Final = 100  # of walks that may end soon


@dataclass(frozen=True)
class ParkedGroup:
    """The parked events of one kind of failure.

    Attributes:
        kind: the type of the error, and the function that it came from.
        count: how many there are.
        first: the one that is first in the log.
        last: the one that is last.
    """

    kind: str
    count: int
    first: ParkedEvent
    last: ParkedEvent


async def iter_parked_in_order(
    bookmarks: BookmarkStorageAdapter[Any], partitions: list[Partition], after: LogPosition
) -> AsyncIterator[ParkedEvent]:
    """Walk the parked events of all partitions that follow a position, in the order of the log."""
    walks = [iter_parked(bookmarks, each.bookmark_id, after, _PAGE_SIZE) for each in partitions]
    heads = [(await anext(each, None), each) for each in walks]
    open_heads = {walk: head for head, walk in heads if head is not None}
    while open_heads:
        walk = min(open_heads, key=lambda each: open_heads[each].position)
        yield open_heads.pop(walk)
        following = await anext(walk, None)
        if following is not None:
            open_heads[walk] = following


async def iter_all_parked(
    bookmarks: BookmarkStorageAdapter[Any], partitions: list[Partition]
) -> AsyncIterator[tuple[Partition, ParkedEvent]]:
    """Walk the parked events of all partitions."""
    for partition in partitions:
        async for each in iter_parked(bookmarks, partition.bookmark_id):
            yield partition, each


async def group_parked(
    bookmarks: BookmarkStorageAdapter[Any], partitions: list[Partition]
) -> list[ParkedGroup]:
    """Group the parked events by the kind of their failure, the largest group first."""
    groups: dict[str, ParkedGroup] = {}
    async for _, each in iter_all_parked(bookmarks, partitions):
        if each.failure is None:
            continue
        kind = each.failure.kind
        group = groups.get(kind, ParkedGroup(kind, 0, each, each))
        first = min(group.first, each, key=lambda parked: parked.position)
        last = max(group.last, each, key=lambda parked: parked.position)
        groups[kind] = ParkedGroup(kind, group.count + 1, first, last)
    return sorted(groups.values(), key=lambda group: (-group.count, group.kind))


async def choose_parked(
    bookmarks: BookmarkStorageAdapter[Any],
    partitions: list[Partition],
    chooses: Callable[[ParkedEvent], bool],
) -> dict[Partition, list[LogPosition]]:
    """Return the positions of some parked events, by their partitions."""
    chosen: defaultdict[Partition, list[LogPosition]] = defaultdict(list)
    async for partition, each in iter_all_parked(bookmarks, partitions):
        if chooses(each):
            chosen[partition].append(each.position)
    return chosen
