"""Interleaved measurements: in each round everybody has a turn, so that noise hits all alike."""

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple, TypeAlias

Job: TypeAlias = Callable[[int], Awaitable[float | None]]
"""Does a round's work; it is given the number of the round.

Work in another process returns the seconds that it has measured there.
"""

WARM_UP = -1
"""The number of the round that is not counted."""


class Spread(NamedTuple):
    """The middle half of a number of values."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Target:
    """What the project wants to reach: ``of`` compared with ``to``, who ran in the same rounds.

    With ``is_speed``, ``of`` should be at least ``limit`` times as fast; without, it should take
    at most ``limit`` times as long.
    """

    of: str
    to: str
    limit: float
    is_speed: bool = False

    def is_met(self, value: float) -> bool:
        """Tell whether a ratio is good enough."""
        return value >= self.limit if self.is_speed else value <= self.limit


@dataclass(frozen=True)
class Measurement:
    """What one kind of work took: for each name, the seconds of one operation in each round.

    ``baselines`` says with whom a name is compared.
    """

    scenario: str
    title: str
    seconds: Mapping[str, Sequence[float]]
    baselines: Mapping[str, str]
    targets: Sequence[Target] = ()
    is_rate: bool = False

    def get_spread(self, name: str) -> Spread:
        """Return the seconds of one operation."""
        return _to_spread(self.seconds[name])

    def get_ratio(self, of: str, to: str, *, is_speed: bool = False) -> Spread:
        """Compare two names, round by round."""
        pairs = zip(self.seconds[of], self.seconds[to], strict=True)
        return _to_spread([to / of if is_speed else of / to for of, to in pairs])


async def interleave(
    jobs: Mapping[str, Job], *, rounds: int, operations: int
) -> dict[str, list[float]]:
    """Time each job once a round, in an order that rotates; one more round goes before."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for name in names:
        await jobs[name](WARM_UP)
    gc.collect()
    gc.freeze()  # what the contestants hold already is no garbage, and costs nobody a search
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            began = perf_counter()
            measured = await jobs[name](number)
            elapsed = perf_counter() - began if measured is None else measured
            seconds[name].append(elapsed / operations)
    gc.unfreeze()
    return seconds


def _to_spread(values: Sequence[float]) -> Spread:
    if len(values) < 2:  # noqa: PLR2004 there is no middle half
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(low, median(values), high)
