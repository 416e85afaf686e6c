"""How far workers are behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from castore_redis._client import Commands
from castore_redis._keys import name_keys
from castore_redis._scripts import LAG


@dataclass(frozen=True)
class QueueLag:
    """How far the workers of a consumer group are behind.

    ``waiting`` messages were given to no worker yet, and ``pending`` ones to a worker that has not
    handled them. The oldest of both was published ``oldest_age`` seconds ago, by the clock of
    Redis. ``dead_letters`` are in the streams for those.
    """

    waiting: int
    pending: int
    oldest_age: float
    dead_letters: int


async def get_lag(commands: Commands, streams: Sequence[str], group: str) -> QueueLag:
    """Return the lag of a group, over all its streams."""
    counts: list[list[int]] = []
    for each in streams:
        keys = name_keys(each, group)
        counts.append(await commands.run(LAG, [keys.stream, keys.dead_letters], group))
    waiting, pending, ages, dead_letters = zip(*counts, strict=True)
    return QueueLag(sum(waiting), sum(pending), max(ages) / 1000, sum(dead_letters))
