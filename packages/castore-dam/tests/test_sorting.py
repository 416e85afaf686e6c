"""More events than fit into memory are sorted in a file."""

import random
from collections.abc import Sequence

from castore_core import ABSENT, EventRecord
from castore_dam._sorting import EventSorter, SortedEvent
from pouring import at


def make_events(count: int) -> list[SortedEvent]:
    """Return events in the order of their keys, some without a payload."""
    return [
        SortedEvent(
            (number // 3, 0, (f"{number:08}",)),
            "NOTES",
            EventRecord("a", number + 1, "NOTED", at(number), ABSENT if number % 2 else [number]),
        )
        for number in range(count)
    ]


async def sort(events: Sequence[SortedEvent], budget: int) -> tuple[list[SortedEvent], int]:
    """Return events as a sorter gives them back, and how many runs it wrote."""
    sorter = EventSorter(budget)
    for begin in range(0, len(events), 100):
        await sorter.add(events[begin : begin + 100])
    assert len(events) == sorter.count
    found = [each async for page in sorter.read() for each in page]
    sorter.close()
    return found, len(sorter._runs)  # pyright: ignore[reportPrivateUsage]


async def test_events_are_sorted_in_memory_and_in_a_file() -> None:
    """Whatever their order was, and whether they fit into memory, all come back in order."""
    events = make_events(5000)
    shuffled = random.Random(5).sample(events, len(events))
    for budget, has_runs in ((2**40, False), (100_000, True), (1, True)):
        found, runs = await sort(shuffled, budget)
        assert events == found
        assert has_runs == bool(runs)
    assert ABSENT is found[1].record.payload
