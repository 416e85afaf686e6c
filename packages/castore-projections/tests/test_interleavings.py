"""Whatever happens in which order, a read model is the fold of the events that were not dropped."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import Closed, Deposited, Opened, make_accounts, no_delay
from castore_core import Event
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from castore_projections import Projection, ProjectionContext

NAMES = ("a", "b", "a-b")
STORES = ("c", "b-c")


@dataclass(frozen=True)
class Push:
    """Push an event, which is poison or not."""

    store: str
    name: str
    is_poison: bool


@dataclass(frozen=True)
class Run:
    """Run until nothing is left, in batches of a size, by a projection that is made anew."""

    batch_size: int
    is_new: bool


@dataclass(frozen=True)
class Mend:
    """Let what was poison be handled from now on, and retry it, or not."""

    retries: bool


@dataclass(frozen=True)
class Retry:
    """Retry all parked events, of which some are still poison."""


@dataclass(frozen=True)
class Drop:
    """Drop the parked event of a number, if there is one."""

    number: int


actions = st.one_of(
    st.builds(
        Push, st.sampled_from(STORES), st.sampled_from(NAMES), st.sampled_from([False, False, True])
    ),
    st.builds(Push, st.sampled_from(STORES), st.sampled_from(NAMES), st.just(value=False)),
    st.builds(Run, st.integers(1, 5), st.booleans()),
    st.builds(Mend, st.booleans()),
    st.builds(Retry),
    st.builds(Drop, st.integers(0, 3)),
)


class Scene:
    """A log, a projection of it, and what its read model should have."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        adapter = InMemoryEventStorageAdapter()
        self.stores = {each: make_accounts(adapter, each) for each in STORES}
        self.bookmarks = InMemoryBookmarkStorageAdapter()
        self.versions: Counter[tuple[str, str]] = Counter()
        self.pushed: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.read_model: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.poison: set[tuple[str, str, int]] = set()
        self.projection = self.project(batch_size=3)

    def project(self, batch_size: int) -> Projection[None]:
        """Return the projection, as a process makes it that begins."""
        projection = Projection(
            "p",
            event_stores=self.stores.values(),
            bookmarks=self.bookmarks,
            partitions=self.partitions,
            batch_size=batch_size,
            max_attempts=2,
            retry_delay=no_delay,
            circuit_threshold=1000,
        )

        @projection.on(Opened, Deposited, Closed)
        async def handle(event: Event, context: ProjectionContext[None]) -> None:
            place = context.event_store_id, event.aggregate_id
            if (*place, event.version) in self.poison:
                raise ValueError("poison")
            self.read_model[place].append(event.version)

        return projection

    async def act(self, action: object) -> None:
        """Do something."""
        match action:
            case Push(store, name, is_poison):
                self.versions[store, name] += 1
                version = self.versions[store, name]
                if is_poison:
                    self.poison.add((store, name, version))
                await self.stores[store].push_event(Opened(name, version))
                self.pushed[store, name].append(version)
            case Run(batch_size, is_new):
                if is_new:
                    self.projection = self.project(batch_size)
                await self.projection.run_once()
            case Mend(retries):
                self.poison.clear()
                if retries:
                    await self.projection.retry_parked_events()
            case Retry():
                await self.projection.retry_parked_events()
            case Drop(number):
                await self._drop(number)
            case _:
                raise AssertionError(action)

    async def _drop(self, number: int) -> None:
        parked = [each async for each in self.projection.iter_parked_events()]
        failed = [each for each in parked if each.failure is not None]
        if number < len(failed):
            chosen = failed[number]
            assert 1 == await self.projection.drop_parked_events(event=chosen)
            self.pushed[chosen.event_store_id, chosen.aggregate_id].remove(chosen.version)

    async def finish(self) -> None:
        """Mend everything, and handle what is left."""
        self.poison.clear()
        await self.projection.retry_parked_events()
        await self.project(batch_size=100).run_once()
        await self.projection.retry_parked_events()
        await self.project(batch_size=100).run_once()


@settings(derandomize=True, max_examples=300)
@given(partitions=st.sampled_from([1, 2, 5]), todo=st.lists(actions, max_size=40))
def test_the_read_model_is_the_fold_of_the_log(partitions: int, todo: list[object]) -> None:
    """Each event that was not dropped is handled once, after the earlier ones of its aggregate."""

    async def play() -> None:
        scene = Scene(partitions)
        for action in todo:
            await scene.act(action)
            for place, versions in scene.read_model.items():
                assert sorted(set(versions)) == versions, place
        await scene.finish()
        assert [] == [each async for each in scene.projection.iter_parked_events()]
        expected = {place: found for place, found in scene.pushed.items() if found}
        assert expected == dict(scene.read_model)

    asyncio.run(play())
