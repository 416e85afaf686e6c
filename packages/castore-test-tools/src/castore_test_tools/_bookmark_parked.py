"""The bookmark contract: events that are parked together with the move of a bookmark."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    LOG_START,
    MAX_PARKED_AT_ONCE,
    BookmarkStorageAdapter,
    Failure,
    Lease,
    LeaseLostError,
    LogPosition,
    ParkedEvent,
)
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._bookmark_base import (
    ID,
    BookmarkContract,
    acquire,
    cancel_within,
    get_position,
)
from castore_test_tools._contract import properties, requires
from castore_test_tools._running import CANCELLED_AFTER, call, cancel_read
from castore_test_tools._values import MOMENTS, NOON, STORE

FAILURE: Final = Failure("builtins.ValueError", "no such Pokémon: 'Missingno.'")

# In the order of their code points, which is that of the log. Backends have others: of a language,
# of numbers, of UTF-16.
_POSITIONS: Final = sorted(
    [
        *("1", "01", "10", "9", "1.0", " 1", "-1", str(2**63)),
        *("a", "A", "b", "B", "_", "a ", "a%", "it's", '"'),
        *("0000000000000001", "00000000000000ff", "826A1F2B000000012B0429296E1404"),
        *("e\u0301", "\u00e9", "z", "\uff5e", "\U0001f600", "l" * 255, "l" * 256),
    ]
)
_LONG: Final = [  # as long as a failure may be
    Failure("k" * 200, "\U0001f600" * 4000),
    Failure("", ""),
    Failure("é", 'it\'s "so" \\ 100%\n\tat <lambda> `x`; {0} %s :name $1 ?'),
]
_MANY: Final = 101  # one more than are read at a time
_MOVES: Final = 8
_PAUSE: Final = 0.01
_fresh_numbers = count()


class BookmarkParkedContract(BookmarkContract):
    """Events are parked, read, tried again, and dropped."""

    async def test_no_event_is_parked(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark has no parked events before any is parked, be it there or not."""
        assert [] == await read(adapter)
        await park(adapter, await acquire(adapter))
        assert [] == await read(adapter)

    async def test_a_parked_event_is_read_as_it_was_parked(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """All that is known of it comes back, with a failure or without, to the millisecond."""
        events = [
            make_parked("1"),
            make_parked("2", failure=None, attempts=0),
            make_parked("3", attempts=2**31, version=2**53 - 1),
            *(make_parked(f"4{index}", parked_at=each) for index, each in enumerate(MOMENTS)),
        ]
        await park(adapter, await acquire(adapter), *events)
        found = await read(adapter)
        assert events == found
        assert [ParkedEvent] * len(events) == [type(each) for each in found]
        assert {int} == {type(number) for each in found for number in (each.version, each.attempts)}
        assert {timedelta(0)} == {each.parked_at.utcoffset() for each in found}
        assert {Failure, type(None)} == {type(each.failure) for each in found}

    @with_any_ids
    async def test_texts_of_parked_events_are_data(
        self, adapter: BookmarkStorageAdapter, ids: list[str]
    ) -> None:
        """Names and ids may hold any characters, up to 1,000 of them."""
        events = [
            make_parked(str(number), event_store_id=each, aggregate_id=each, type=each)
            for number, each in enumerate(ids, 100)
        ]
        await park(adapter, await acquire(adapter), *events)
        assert events == await read(adapter)

    async def test_texts_of_failures_are_data(self, adapter: BookmarkStorageAdapter) -> None:
        """Failures of up to 200 and 4,000 characters come back as they are, and none as none."""
        failures = [*_LONG, None]
        events = [make_parked(str(place), failure=each) for place, each in enumerate(failures)]
        await park(adapter, await acquire(adapter), *events)
        assert failures == [each.failure for each in await read(adapter)]

    async def test_parked_events_have_the_order_of_the_log(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """They are read in the order of their positions, as Python compares texts."""
        lease = await acquire(adapter)
        await park_all(adapter, lease, [*_POSITIONS[1::2], *_POSITIONS[::-2]])
        assert _POSITIONS == [each.position for each in await read(adapter)]

    async def test_pages_of_parked_events(self, adapter: BookmarkStorageAdapter) -> None:
        """A limit takes the first that follow a position, whether an event is parked there."""
        await park_all(adapter, await acquire(adapter), _POSITIONS)
        for limit in (1, 2, 7, 100):
            pages: list[str] = []
            while page := await adapter.get_parked_events(ID, (pages or [LOG_START])[-1], limit):
                assert len(page) <= limit
                pages += [each.position for each in page]
            assert _POSITIONS == pages
        expected = [each for each in _POSITIONS if each > "a!"]
        assert expected == [each.position for each in await adapter.get_parked_events(ID, "a!")]
        assert [] == list(await adapter.get_parked_events(ID, "\U0001f601"))

    async def test_many_parked_events(self, adapter: BookmarkStorageAdapter) -> None:
        """Without a limit no more than 100 are read, and with one, all that there are."""
        positions = [f"{number:03}" for number in range(_MANY)]
        await park_all(adapter, await acquire(adapter), positions)
        assert positions[:100] == [each.position for each in await adapter.get_parked_events(ID)]
        found = await adapter.get_parked_events(ID, limit=2 * _MANY)
        assert positions == [each.position for each in found]

    async def test_an_event_is_parked_again(self, adapter: BookmarkStorageAdapter) -> None:
        """An event that is parked already is replaced, with all that is known of it."""
        lease = await acquire(adapter)
        await park(adapter, lease, make_parked("5"), make_parked("6"))
        new = make_parked("5", parked_at=MOMENTS[0], attempts=7, failure=Failure("other", "new"))
        await park(adapter, lease, new)
        assert [new, make_parked("6")] == await read(adapter)
        blank = new._replace(failure=None, version=9, event_store_id="TASKS", type="DONE")
        await park(adapter, lease, blank)
        assert [blank, make_parked("6")] == await read(adapter)

    async def test_an_event_is_parked_no_longer(self, adapter: BookmarkStorageAdapter) -> None:
        """A move takes events back, and parks others; positions that are not parked do nothing."""
        lease = await acquire(adapter)
        await park(adapter, lease, *map(make_parked, "123"))
        async with adapter.move_bookmark(lease, "9", unparked=["1", "8", "3"]):
            pass
        assert [make_parked("2")] == await read(adapter)
        parked = [make_parked("1"), make_parked("4")]
        async with adapter.move_bookmark(lease, "9", parked=parked, unparked=["2"]):
            pass
        assert parked == await read(adapter)
        assert "9" == await get_position(adapter, ID)

    async def test_a_block_that_fails_parks_nothing(self, adapter: BookmarkStorageAdapter) -> None:
        """If the block raises, or is cancelled, events are parked as they were before."""
        lease = await acquire(adapter)
        await park(adapter, lease, make_parked("1"), position="3")
        parking: dict[str, Any] = {"parked": [make_parked("2")], "unparked": ["1"]}
        entered = asyncio.Event()

        async def fail() -> None:
            async with adapter.move_bookmark(lease, "7", **parking):
                raise LookupError("the block is to blame")

        async def wait() -> None:
            async with adapter.move_bookmark(lease, "7", **parking):
                entered.set()
                await asyncio.Event().wait()

        with pytest.raises(LookupError):
            await fail()
        assert [make_parked("1")] == await read(adapter)
        await cancel_within(wait(), entered)
        assert [make_parked("1")] == await read(adapter)
        assert "3" == await get_position(adapter, ID)

    async def test_a_lost_lease_parks_nothing(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner whose lease is lost, before the block or within it, has parked nothing."""
        lost = await acquire(adapter)
        await park(adapter, lost, make_parked("1"), position="3")
        await adapter.release_lease(lost)

        async def park_slowly(lease: Lease) -> None:
            parked = [make_parked("2")]
            async with adapter.move_bookmark(lease, "7", parked=parked, unparked=["1"]):
                await self.run_out()

        with pytest.raises(LeaseLostError):
            await park_slowly(lost)
        assert [make_parked("1")] == await read(adapter)
        with pytest.raises(LeaseLostError):
            await park_slowly(await acquire(adapter, duration=self.short_lease))
        assert [make_parked("1")] == await read(adapter)
        assert "3" == await get_position(adapter, ID)

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_move_takes_its_parked_events_along(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """After a move was cancelled it is there with the events that it parks, or neither is.

        A commit that was under way may still come to its end.
        """
        lease = await acquire(adapter)
        task = asyncio.ensure_future(park(adapter, lease, make_parked("5")))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        moved = ([make_parked("5")], "7")
        outcome = (await read(adapter), await get_position(adapter, ID))
        assert task.cancelled() or moved == outcome
        deadline = asyncio.get_running_loop().time() + self._patience
        while outcome not in (([], None), moved):  # it may have come between the two reads
            assert asyncio.get_running_loop().time() < deadline, f"half of it is there: {outcome}"
            await asyncio.sleep(_PAUSE)
            outcome = (await read(adapter), await get_position(adapter, ID))

    async def test_parked_events_are_seen_with_the_bookmark(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A reader that sees a bookmark moved sees what was parked with it, and vice versa.

        Each move parks an event at its own position, and takes back that of the one before.
        """
        lease = await acquire(adapter)
        await park(adapter, lease, make_parked("0"), position="0")
        seen: list[tuple[LogPosition | None, list[str], LogPosition | None]] = []

        async def move_on() -> None:
            for number in range(1, _MOVES):
                parked = [make_parked(str(number))]
                unparked = [str(number - 1)]
                position = str(number)
                async with adapter.move_bookmark(lease, position, parked=parked, unparked=unparked):
                    await asyncio.sleep(0.001)

        mover = asyncio.ensure_future(move_on())
        while not mover.done():
            before = await get_position(adapter, ID)
            positions = [each.position for each in await read(adapter)]
            seen.append((before, positions, await get_position(adapter, ID)))
            await asyncio.sleep(0)
        await mover
        for before, positions, after in seen:
            assert before is not None
            assert after is not None
            assert 1 == len(positions)
            assert before <= positions[0] <= after

    @pytest.mark.parametrize(
        "parking",
        [
            {"parked": "*" * 26},
            {"unparked": "*" * 26},
            {"parked": "a", "unparked": "a"},
            {"parked": "aa"},
            {"unparked": "aa"},
        ],
        ids=["parked", "unparked", "both", "parked twice", "unparked twice"],
    )
    async def test_more_than_a_move_parks(
        self, adapter: BookmarkStorageAdapter, parking: dict[str, str]
    ) -> None:
        """More than 25 are refused, and an event that is there twice, before the block begins."""
        lease = await acquire(adapter)
        places = {
            name: [f"{each}{index}" if each == "*" else each for index, each in enumerate(letters)]
            for name, letters in parking.items()
        }
        parked = [make_parked(each) for each in places.get("parked", ())]
        unparked = places.get("unparked", ())
        with pytest.raises(ValueError):  # noqa: PT011 any text will do
            async with adapter.move_bookmark(lease, "7", parked=parked, unparked=unparked):
                pytest.fail("the block has begun")
        assert ([], None) == (await read(adapter), await get_position(adapter, ID))

    async def test_all_that_a_move_parks(self, adapter: BookmarkStorageAdapter) -> None:
        """A move parks 25 events, and takes 25 others back."""
        lease = await acquire(adapter)
        first = [make_parked(f"a{number:02}") for number in range(MAX_PARKED_AT_ONCE)]
        second = [make_parked(f"b{number:02}") for number in range(MAX_PARKED_AT_ONCE)]
        await park(adapter, lease, *first)
        assert first == await read(adapter)
        unparked = [each.position for each in first]
        async with adapter.move_bookmark(lease, "8", parked=second, unparked=unparked):
            pass
        assert second == await read(adapter)

    # Retry and drop

    async def test_a_parked_event_is_tried_again(self, adapter: BookmarkStorageAdapter) -> None:
        """Its failure is forgotten, and all else stays, its attempts too. It needs no lease."""
        lease = await acquire(adapter)
        events = [make_parked(each, attempts=4) for each in "123"]
        await park(adapter, lease, *events)
        await adapter.release_lease(lease)
        await adapter.retry_parked_events(ID, ["3", "1"])
        expected = [events[0]._replace(failure=None), events[1], events[2]._replace(failure=None)]
        assert expected == await read(adapter)

    async def test_a_retry_passes_over_other_positions(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Positions without a parked event are passed over, and no positions are none."""
        await adapter.retry_parked_events(ID, ["1"])
        assert [] == await read(adapter)
        await park(adapter, await acquire(adapter), make_parked("2"))
        await adapter.retry_parked_events(ID, ["1", "22", "", "3"])
        await adapter.retry_parked_events(ID, [])
        assert [make_parked("2")] == await read(adapter)

    async def test_a_parked_event_is_dropped(self, adapter: BookmarkStorageAdapter) -> None:
        """It is gone, and all others stay. It needs no lease, and an event is parked anew."""
        lease = await acquire(adapter)
        await park(adapter, lease, *map(make_parked, "123"))
        await adapter.release_lease(lease)
        await adapter.drop_parked_events(ID, ["3", "1"])
        assert [make_parked("2")] == await read(adapter)
        await park(adapter, await acquire(adapter), make_parked("1"))
        assert [make_parked("1"), make_parked("2")] == await read(adapter)

    async def test_a_drop_passes_over_other_positions(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Positions without a parked event are passed over, and no positions are none."""
        await adapter.drop_parked_events(ID, ["1"])
        await park(adapter, await acquire(adapter), make_parked("2"))
        await adapter.drop_parked_events(ID, ["1", "22", "", "3"])
        await adapter.drop_parked_events(ID, [])
        assert [make_parked("2")] == await read(adapter)

    async def test_any_number_is_tried_again_or_dropped(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """More positions than a move parks are taken, in any order, some of them twice."""
        lease = await acquire(adapter)
        parked = [make_parked(f"{number:03}") for number in range(0, 2 * MAX_PARKED_AT_ONCE, 2)]
        await park(adapter, lease, *parked)
        positions = [f"{number:03}" for number in range(3 * MAX_PARKED_AT_ONCE, 0, -1)] * 2
        await adapter.retry_parked_events(ID, positions)
        tried_again = [parked[0], *(each._replace(failure=None) for each in parked[1:])]
        assert tried_again == await read(adapter)
        await adapter.drop_parked_events(ID, positions)
        assert parked[:1] == await read(adapter)

    # Bookmarks

    async def test_parked_events_of_bookmarks_are_apart(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Each bookmark has its own, also where its id begins with that of another one."""
        ids = ("poke", ID, f"{ID}2", f"{ID}#2")
        events = [make_parked("1", aggregate_id=each) for each in ids]
        for bookmark_id, event in zip(ids, events, strict=True):
            lease = await acquire(adapter, bookmark_id=bookmark_id)
            await park(adapter, lease, event, make_parked("2"))
        await adapter.retry_parked_events("poke", ["1"])
        await adapter.drop_parked_events(f"{ID}2", ["1"])
        lease = await acquire(adapter, bookmark_id=f"{ID}#2")
        async with adapter.move_bookmark(lease, "7", unparked=["2"]):
            pass
        assert [
            [events[0]._replace(failure=None), make_parked("2")],
            [events[1], make_parked("2")],
            [make_parked("2")],
            [events[3]],
        ] == [await read(adapter, each) for each in ids]
        assert [] == await read(adapter, "pokedex3")

    @with_any_ids
    async def test_ids_of_bookmarks_with_parked_events_are_data(
        self, adapter: BookmarkStorageAdapter, ids: list[str]
    ) -> None:
        """Bookmarks of any name, of which some look alike, have parked events of their own."""
        for number, each in enumerate(ids):
            lease = await acquire(adapter, bookmark_id=each)
            await park(adapter, lease, make_parked("5", attempts=number))
        found = [await read(adapter, each) for each in ids]
        assert [[make_parked("5", attempts=number)] for number in range(len(ids))] == found
        await adapter.drop_parked_events(ids[0], ["5"])
        assert [0, *([1] * (len(ids) - 1))] == [len(await read(adapter, each)) for each in ids]

    @properties
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["park", "unpark", "retry", "drop"]),
                st.lists(st.sampled_from("ABCab"), max_size=4, unique=True),
            ),
            max_size=6,
        )
    )
    async def test_any_course_of_parked_events(
        self, adapter: BookmarkStorageAdapter, steps: list[tuple[str, list[str]]]
    ) -> None:
        """After any course of moves, events are parked as they were last."""
        bookmark_id = f"parked-{next(_fresh_numbers)}"
        lease = await acquire(adapter, bookmark_id=bookmark_id)
        expected: dict[str, ParkedEvent] = {}
        for number, (step, positions) in enumerate(steps):
            if step == "park":
                events = [make_parked(each, attempts=number) for each in positions]
                await park(adapter, lease, *events)
                expected |= {each.position: each for each in events}
            elif step == "retry":
                await adapter.retry_parked_events(bookmark_id, positions)
                for each in expected.keys() & set(positions):
                    expected[each] = expected[each]._replace(failure=None)
            else:
                if step == "drop":
                    await adapter.drop_parked_events(bookmark_id, positions)
                else:
                    async with adapter.move_bookmark(lease, "7", unparked=positions):
                        pass
                expected = {name: e for name, e in expected.items() if name not in positions}
            assert sorted(expected.values()) == await read(adapter, bookmark_id)

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_read_of_parked_events(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """A read that is cancelled raises `CancelledError`, unless it has returned before."""
        await park(adapter, await acquire(adapter), make_parked("1"))
        await cancel_read(adapter.get_parked_events(ID), steps)
        assert [make_parked("1")] == await read(adapter)

    @requires("connect_again")
    async def test_parked_events_are_read_anew(
        self, adapter: BookmarkStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that has read parked events sees what another one does to them later."""
        other = await call(connect_again)
        lease = await acquire(other)
        assert [] == await read(adapter)
        await park(other, lease, make_parked("1"), make_parked("2"))
        assert [make_parked("1"), make_parked("2")] == await read(adapter)
        await other.retry_parked_events(ID, ["1"])
        assert [make_parked("1", failure=None), make_parked("2")] == await read(adapter)
        await other.drop_parked_events(ID, ["1"])
        assert [make_parked("2")] == await read(adapter)
        async with other.move_bookmark(lease, "8", unparked=["2"]):
            pass
        assert [] == await read(adapter)


def make_parked(position: LogPosition, **values: Any) -> ParkedEvent:
    """Return an event to park."""
    event = ParkedEvent(position, STORE, "a1", 1, "NOTED", NOON, 1, FAILURE)
    return event._replace(**values)


async def park(
    adapter: BookmarkStorageAdapter, lease: Lease, *events: ParkedEvent, position: LogPosition = "7"
) -> None:
    """Park events with a move."""
    async with adapter.move_bookmark(lease, position, parked=events):
        pass


async def park_all(
    adapter: BookmarkStorageAdapter, lease: Lease, positions: Sequence[LogPosition]
) -> None:
    """Park any number of events, with as many moves as it takes."""
    for start in range(0, len(positions), MAX_PARKED_AT_ONCE):
        some = positions[start : start + MAX_PARKED_AT_ONCE]
        await park(adapter, lease, *map(make_parked, some))


async def read(adapter: BookmarkStorageAdapter, bookmark_id: str = ID) -> list[ParkedEvent]:
    """Return the parked events of a bookmark."""
    return [*await adapter.get_parked_events(bookmark_id)]
