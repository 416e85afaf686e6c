"""More events than fit into memory are sorted in a file."""

import random
from collections.abc import Sequence

from castore_core import ABSENT, Absent, EventRecord, JSONValue, LogEntry
from castore_dam._sorting import EventSorter, SortedEvent
from pouring import at


def make_events(count: int) -> list[SortedEvent]:
    """Return events in the order of their keys, some without a payload."""
    return [_make_event(number) for number in range(count)]


def _make_event(number: int) -> SortedEvent:
    payload: JSONValue | Absent = ABSENT if number % 2 else [number]
    entry = LogEntry(f"{number:08}", "NOTES", EventRecord("a", number + 1, "NOTED", at(0), payload))
    return SortedEvent(at(number // 3), 0, entry.position, entry)


async def sort(events: Sequence[SortedEvent], budget: int) -> tuple[list[SortedEvent], bool]:
    """Return events as a sorter gives them back, and whether it wrote a file."""
    sorter = EventSorter(budget)
    for begin in range(0, len(events), 100):
        await sorter.add(events[begin : begin + 100])
    assert len(events) == sorter.count
    found = [each async for page in sorter.read() for each in page]
    sorter.close()
    return found, sorter._file is not None  # pyright: ignore[reportPrivateUsage]


async def test_events_are_sorted_in_memory_and_in_a_file() -> None:
    """Events in any order, more than fit into memory or fewer, come back in order."""
    events = make_events(20_000)
    shuffled = random.Random(5).sample(events, len(events))
    for budget, is_large in ((2**40, False), (100_000, True), (1, True)):
        found, has_file = await sort(shuffled, budget)
        assert events == found
        assert is_large == has_file
        assert ABSENT is found[1].event.record.payload


def _nest(levels: int) -> JSONValue:
    value: JSONValue = [1, {}, [], {"b": None}]
    for _ in range(levels):
        value = {"a": 1.5, "deep": [0, value, "c"], "": True}
    return value


async def test_deeply_nested_events_are_sorted_in_a_file() -> None:
    """Payloads and metadata of any depth come back from the file as they were."""
    events = make_events(3)
    for index, levels in enumerate((10_000, 300, 10_000)):
        entry = events[index].event
        record = entry.record._replace(payload=_nest(levels), metadata=_nest(levels // 3))
        events[index] = events[index]._replace(event=entry._replace(record=record))
    found, has_file = await sort(events, budget=1)
    assert has_file
    for before, after in zip(events, found, strict=True):
        assert before.key == after.key
        for field in ("payload", "metadata"):
            values = [getattr(each.event.record, field) for each in (before, after)]
            assert unroll(values[0]) == unroll(values[1])


def unroll(value: JSONValue) -> list[object]:
    """Return the parts of a value, however deep, in an order that tells two values apart."""
    parts: list[object] = []
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            parts.append(["object", *each])
            pending.extend(each.values())
        elif isinstance(each, list):
            parts.append(["array", len(each)])
            pending.extend(each)
        else:
            parts.append((type(each), each))
    return parts
