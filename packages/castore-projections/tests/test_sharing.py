"""Partitions are shared fairly, whoever comes and goes, and replays are known."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from castore_core import EventRecord, LogEntry
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections._identity import Identity
from castore_projections._keys import find_partition
from castore_projections._leases import LeaseKeeper
from castore_projections._ledger import Generation, Ledger
from castore_projections._partition import Partition
from castore_projections._sharing import Sharing

LEASE = timedelta(minutes=1)


class Member:
    """A process that runs a projection, as far as sharing goes."""

    def __init__(
        self, name: str, partitions: list[Partition], bookmarks: InMemoryBookmarkStorageAdapter
    ) -> None:
        def make_keeper(bookmark_id: str) -> LeaseKeeper:
            return LeaseKeeper(bookmarks, bookmark_id, owner=name, duration=LEASE)

        self.sharing = Sharing(bookmarks, partitions, make_keeper("sharing"))
        self._keepers = {each: make_keeper(each.bookmark_id) for each in partitions}
        self._held: set[Partition] = set()

    async def act(self) -> None:
        """Balance, then give up and take partitions as the runners do."""
        await self.sharing.balance()
        for partition, keeper in self._keepers.items():
            if partition in self._held:
                if not self.sharing.may_keep(partition):
                    await keeper.release()
                    self._held.remove(partition)
            elif self.sharing.may_take() and await keeper.take() is not None:
                self._held.add(partition)

    async def leave(self) -> None:
        """End in good order."""
        await self.sharing.leave()
        for each in self._held:
            await self._keepers[each].release()


class Crowd:
    """Several processes."""

    def __init__(self, partitions: int) -> None:
        self.partitions = Identity.make("projection", "p").get_partitions(partitions)
        self.bookmarks = InMemoryBookmarkStorageAdapter()
        self.members: list[Member] = []

    def join(self, name: str) -> None:
        """Add a process."""
        self.members.append(Member(name, self.partitions, self.bookmarks))

    async def act(self, rounds: int) -> None:
        """Let each process act so many times."""
        for _ in range(rounds):
            for each in self.members:
                await each.act()

    async def count(self) -> list[int]:
        """Return how many partitions each process has, the fewest first."""
        found = [await self.bookmarks.get_bookmark(each.bookmark_id) for each in self.partitions]
        return sorted(Counter(each.owner for each in found).values())


@pytest.mark.parametrize("partitions", [1, 2, 3, 6, 7, 64])
@pytest.mark.parametrize("members", [1, 2, 3, 5])
async def test_newcomers_get_their_share(partitions: int, members: int) -> None:
    """Whoever comes has as many as others, or one fewer, after a few rounds."""
    crowd = Crowd(partitions)
    for number in range(members):
        crowd.join(f"m{number}")
        await crowd.act(10 + 2 * members)
        low, rest = divmod(partitions, number + 1)
        shares = [low] * (number + 1 - rest) + [low + 1] * rest
        assert [each for each in shares if each] == await crowd.count()


async def test_all_come_at_once_and_one_leaves() -> None:
    """Nothing moves once all have their share; what one leaves goes to the others."""
    crowd = Crowd(10)
    for name in "abcde":
        crowd.join(name)
    await crowd.act(12)
    assert [2] * 5 == await crowd.count()
    owners = [(await crowd.bookmarks.get_bookmark(each.bookmark_id)) for each in crowd.partitions]
    await crowd.act(5)
    later = [(await crowd.bookmarks.get_bookmark(each.bookmark_id)) for each in crowd.partitions]
    assert [each.owner for each in owners] == [each.owner for each in later]

    await crowd.members.pop(0).leave()
    await crowd.act(12)
    assert [2, 2, 3, 3] == await crowd.count()


async def test_one_that_leaves_claims_no_longer() -> None:
    """Nobody gives up a partition for a process that is gone."""
    crowd = Crowd(4)
    crowd.join("a")
    await crowd.act(2)
    crowd.join("b")
    await crowd.members[1].act()
    await crowd.members.pop().leave()
    await crowd.act(5)
    assert [4] == await crowd.count()


def make_entry(position: str, aggregate_id: str) -> LogEntry:
    """Return an event of the log."""
    record = EventRecord(aggregate_id, 1, "T", datetime(2024, 1, 1, tzinfo=UTC))
    return LogEntry(position, "STORE", record)


def test_replays_are_known_across_numbers_of_partitions() -> None:
    """A version that is reset soon after a switch knows what each old partition had handled."""
    names = {find_partition("STORE", name, 2): name for name in "abcdefgh"}
    ledger = Ledger(1).add(1, Generation(2)).add(2, Generation(1))
    ledger = ledger.replace_live(2, ["9", "5"])
    ledger = ledger.add(2, ledger.generations[2].add_handled(["6"]))
    ledger = Ledger.from_text("p", ledger.to_text())
    found = ledger.generations[2]

    assert (True, True) == tuple(found.is_replay(make_entry("6", names[n])) for n in (0, 1))
    assert (True, False) == tuple(found.is_replay(make_entry("8", names[n])) for n in (0, 1))
    assert (False, False) == tuple(found.is_replay(make_entry("95", names[n])) for n in (0, 1))


def test_replays_are_known_after_several_switches() -> None:
    """What the version before the last one had handled stays known."""
    ledger = Ledger(1).add(1, Generation(1)).add(2, Generation(1)).add(3, Generation(1))
    ledger = ledger.replace_live(2, ["5"]).replace_live(3, ["3"])
    assert ledger.generations[3].is_replay(make_entry("4", "a"))
    assert not ledger.generations[3].is_replay(make_entry("6", "a"))
    assert 3 == ledger.live
