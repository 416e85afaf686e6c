"""What is asked of everyone who takes part."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeAlias, TypeVar

from workload import ItemPayload


class Contestant(Protocol):
    """A library, or a bare driver, that keeps events of the workload."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Make an event, and write it."""
        ...

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write that many events of each aggregate, in whatever way is fast: it is not measured."""
        ...

    async def load(self, aggregate_id: str) -> int:
        """Build the state of an aggregate, and return its version."""
        ...

    async def scan(self, batch: int) -> int:
        """Read all events as typed objects, a batch at a time, and return their number."""
        ...


class OnFile(Contestant, Protocol):
    """A contestant in a directory, or in memory."""

    async def open(self, path: Path) -> None:
        """Create an empty storage at ``path``, or in memory."""
        ...


class Durable(OnFile, Protocol):
    """A contestant on a SQLite file."""

    async def read_pragma(self, name: str) -> object:
        """Ask the connection that writes."""
        ...


class Lister(Protocol):
    """One that lists the ids of its aggregates."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        ...

    async def seek(self, count: int) -> object:
        """Return a cursor to what follows the first ``count`` ids, ``None`` for none of them."""
        ...

    async def page(self, cursor: object, limit: int) -> int:
        """Read the ids that follow a cursor, at most ``limit``, and return their number."""
        ...


class Listing(OnFile, Lister, Protocol):
    """A contestant that lists the ids of its aggregates."""


C = TypeVar("C", bound=OnFile)
Kinds: TypeAlias = Sequence[Callable[[], C]]


@asynccontextmanager
async def opened(kinds: Kinds[C]) -> AsyncGenerator[list[C]]:
    """Open one contestant of each kind on an empty storage of its own."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="castore-bench-")))
        contestants: list[C] = []
        for number, kind in enumerate(kinds):
            contestant = kind()
            await contestant.open(directory / f"{number}.db")
            stack.push_async_callback(contestant.close)
            contestants.append(contestant)
        yield contestants


async def check_durability(contestants: Sequence[Durable]) -> None:
    """Refuse a comparison in which somebody does not wait for the disk."""
    for each in contestants:
        found = await each.read_pragma("journal_mode"), await each.read_pragma("synchronous")
        if found != ("wal", 2):
            raise RuntimeError(f"{each.name} has journal_mode, synchronous = {found}")
