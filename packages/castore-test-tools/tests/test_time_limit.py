"""A test of a suite ends in time, and says its name."""

import asyncio
from collections.abc import Callable

import pytest

from castore_core import EventStorageAdapter
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests, overrides_contract
from castore_test_tools._time_limit import TimeLimitError, with_time_limit


class Impatient(EventStorageAdapterTests):
    """A suite whose tests end soon."""

    time_limit = 0.05

    async def test_a_wait(self) -> None:
        """It waits for ever.

        Nobody sets the event.
        """
        await wait_for_ever()

    async def test_a_result(self, result: int) -> int:
        """It is given something, and returns it."""
        await asyncio.sleep(0)
        return result

    @overrides_contract("the adapter is too slow")
    async def test_an_empty_list(self, adapter: EventStorageAdapter) -> None:
        """A replaced test has a limit as well."""
        assert adapter
        await wait_for_ever()

    def test_that_is_sync(self) -> None:
        """A plain function is left as it is."""


async def wait_for_ever() -> None:
    """Wait for what nobody does."""
    await asyncio.Event().wait()


async def test_a_test_without_end() -> None:
    """The failure has the name of the test, its rule, the limit, and where the test waits."""
    with pytest.raises(TimeLimitError) as caught:
        await Impatient().test_a_wait()
    message = str(caught.value)
    assert message.startswith("test_a_wait (It waits for ever.) has not ended after 0.05 s")
    assert f"waits in wait_for_ever ({__file__}:" in message
    assert "`time_limit`" in message


async def test_a_replaced_test_without_end() -> None:
    """Tests that a suite replaces end, too."""
    with pytest.raises(TimeLimitError, match=r"^test_an_empty_list "):
        await Impatient().test_an_empty_list(InMemoryEventStorageAdapter())


async def test_tasks_of_the_test_end() -> None:
    """Tasks that it has started are cancelled with it, and no others."""
    tasks: list[asyncio.Task[None]] = []

    async def start(_: object) -> None:
        tasks.append(asyncio.ensure_future(wait_for_ever()))
        await wait_for_ever()

    earlier = asyncio.ensure_future(wait_for_ever())
    with pytest.raises(TimeLimitError):
        await with_time_limit(start)(Impatient())
    assert [True, False] == [tasks[0].cancelled(), earlier.cancelled()]
    earlier.cancel()


@pytest.mark.parametrize("awaits", [1, 3])
async def test_a_coroutine_that_cannot_be_cancelled(awaits: int) -> None:
    """It is closed, also where it awaits something on its way out."""
    is_closed = False

    async def insist(_: object) -> None:
        nonlocal is_closed
        try:
            while True:
                try:
                    await wait_for_ever()
                except asyncio.CancelledError:
                    continue
        finally:
            for _ in range(awaits):
                try:
                    await wait_for_ever()
                finally:
                    is_closed = True

    with pytest.raises(TimeLimitError):
        await with_time_limit(insist)(Impatient())
    assert is_closed
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_a_test_that_ends() -> None:
    """Its arguments, its result and its error are its own."""

    async def fail(_: object) -> None:
        raise LookupError("none")

    assert 7 == await Impatient().test_a_result(7)
    with pytest.raises(LookupError, match="none"):
        await with_time_limit(fail)(Impatient())


def test_each_test_has_one_limit() -> None:
    """A test is wrapped once, where its class is made, and stays what pytest collects."""

    class Heir(Impatient):
        pass

    wrap: Callable[..., object] = with_time_limit
    assert Heir.test_a_wait is Impatient.test_a_wait is wrap(Impatient.test_a_wait)
    assert Impatient.test_that_is_sync is wrap(Impatient.test_that_is_sync)
    assert "It waits for ever." in (Impatient.test_a_wait.__doc__ or "")
