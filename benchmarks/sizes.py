"""How much work is done, and what the scenarios share."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from contestants import Contestant
from measuring import Measurement
from workload import make_id, make_payload

WRITERS = 32
PAGE = 100
BATCH = 1000

Measurements: TypeAlias = AsyncIterator[Measurement]


@dataclass(frozen=True)
class Sizes:
    """How much work is done."""

    rounds: int = 15
    pushes: int = 100
    pushes_of_a_writer: int = 10
    log: int = 50_000
    log_rounds: int = 5
    projected: int = 50_000
    projected_aggregates: int = 1000
    projection_rounds: int = 3
    starts: int = 20
    lists: tuple[int, int] = (1000, 100_000)
    server_lists: tuple[int, int] = (1000, 1_000_000)
    messages: int = 1000
    single_messages: int = 200


QUICK = Sizes(
    rounds=3,
    pushes=20,
    pushes_of_a_writer=3,
    log=5000,
    log_rounds=2,
    projected=1000,
    projected_aggregates=50,
    projection_rounds=2,
    starts=3,
    lists=(1000, 10_000),
    server_lists=(1000, 10_000),
    messages=200,
    single_messages=50,
)


async def push_versions(contestant: Contestant, name: str, count: int) -> None:
    """Push so many versions of an aggregate, one after the other."""
    aggregate_id = make_id(name)
    for version in range(1, count + 1):
        await contestant.push(aggregate_id, version, make_payload(version))


def name_of_size(name: str, count: int) -> str:
    """Return the name of a contestant with a store of a size."""
    return f"{name}, of {count:,}"
