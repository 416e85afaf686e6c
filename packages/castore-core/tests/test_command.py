"""A command runs its handler, and runs it again after a conflict."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from castore_core import (
    Command,
    ConflictAttempt,
    Event,
    EventAlreadyExistsError,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    UnknownOutcomeError,
    Violation,
    command,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Counted(Event, type="COUNTED"):
    """One more."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    return Counter(event.aggregate_id, event.version)


CounterStore = EventStore[Counted, Counter]


def new_store(**options: Any) -> CounterStore:
    """Return an empty store."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
        **options,
    )


class Handler:
    """Raises its errors, one a run, and then returns its arguments."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.runs = 0

    async def __call__(self, input: str, stores: tuple[CounterStore], *context: Any) -> Any:
        """Raise or return."""
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return input, stores, context


def record_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass, and return how long commands would have waited."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


class Conflicts:
    """Remembers what it was told of conflicts."""

    def __init__(self) -> None:
        self.seen: list[tuple[EventAlreadyExistsError, ConflictAttempt]] = []

    def remember(self, error: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
        """Remember."""
        self.seen.append((error, attempt))

    async def remember_later(
        self, error: EventAlreadyExistsError, attempt: ConflictAttempt
    ) -> None:
        """Remember when awaited."""
        self.remember(error, attempt)


def conflict() -> EventAlreadyExistsError:
    """Return what a push raises when somebody was faster."""
    return EventAlreadyExistsError("COUNTERS", "c", 1)


def new_command(handler: Any, **options: Any) -> Command[Any, Any, Any, Any]:
    """Return a command."""
    return Command("COUNT", required_event_stores=(new_store(),), handler=handler, **options)


# Running


async def test_handler_gets_input_stores_and_context() -> None:
    """The handler is given what the command is called with, and its result is returned."""
    stores = (new_store(),)

    async def handle(
        input: str, event_stores: tuple[CounterStore], first: int, *, second: int
    ) -> tuple[Any, ...]:
        return input, event_stores, first, second

    count_command = Command("COUNT", required_event_stores=stores, handler=handle)

    assert ("input", stores, 1, 2) == await count_command("input", stores, 1, second=2)
    assert ("input", stores, 1, 2) == await count_command.handler("input", stores, 1, second=2)


def test_command_has_its_definition() -> None:
    """A command shows what it was made of."""
    stores = (new_store(),)
    conflicts = Conflicts()

    async def handle(input: None, event_stores: tuple[CounterStore]) -> None:
        """Do nothing."""

    count_command = Command(
        "COUNT",
        required_event_stores=stores,
        handler=handle,
        event_already_exists_retries=5,
        on_event_already_exists=conflicts.remember,
    )

    assert "COUNT" == count_command.command_id
    assert stores is count_command.required_event_stores
    assert 5 == count_command.event_already_exists_retries
    assert conflicts.remember == count_command.on_event_already_exists
    assert "Command('COUNT')" == repr(count_command)
    assert "Do nothing." == count_command.__doc__


async def test_decorator_makes_a_command() -> None:
    """The decorator is the class, written otherwise."""
    stores = (new_store(),)
    conflicts = Conflicts()

    @command(
        "COUNT",
        required_event_stores=stores,
        event_already_exists_retries=1,
        on_event_already_exists=conflicts.remember,
    )
    async def count_command(input: str, event_stores: tuple[CounterStore]) -> str:
        raise EventAlreadyExistsError("COUNTERS", input, len(event_stores))

    assert isinstance(count_command, Command)
    assert "COUNT" == count_command.command_id
    assert stores is count_command.required_event_stores
    with pytest.raises(EventAlreadyExistsError):
        await count_command("input", stores)
    assert [(1, 1), (2, 0)] == [each for _, each in conflicts.seen]


async def test_command_pushes() -> None:
    """A command reads and pushes; with a stale state at first, the second run succeeds."""
    store = new_store()
    interruptions = [1, 2]

    @command("COUNT", required_event_stores=(store,))
    async def count_one(input: str, event_stores: tuple[CounterStore]) -> int:
        (store,) = event_stores
        loaded = await store.get_aggregate(input)
        version = loaded.aggregate.version + 1 if loaded.aggregate else 1
        event = Counted(aggregate_id=input, version=version, timestamp=NOW)
        if interruptions:
            interruptions.pop()
            await store.push_event(event)
        await store.push_event(event)
        return version

    assert 3 == await count_one("c", (store,))
    assert [1, 2, 3] == [each.version for each in await store.get_events("c")]


# Conflicts


@pytest.mark.parametrize("retries", [0, 1, 5])
async def test_handler_runs_again_after_a_conflict(retries: int) -> None:
    """The whole handler runs again, at most the given number of times."""
    handler = Handler(*(conflict() for _ in range(retries)))
    count_command = new_command(handler, event_already_exists_retries=retries)

    assert ("input", (), ()) == await count_command("input", ())
    assert retries + 1 == handler.runs


async def test_twenty_retries_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an option, a handler runs 21 times, and the last conflict is raised."""
    errors = [conflict() for _ in range(21)]
    handler = Handler(*errors)
    pauses = record_pauses(monkeypatch)

    with pytest.raises(EventAlreadyExistsError) as raised:
        await new_command(handler)("input", ())

    assert errors[20] is raised.value
    assert 21 == handler.runs
    assert 20 == len(pauses)


async def test_pauses_grow_and_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of a pause doubles with each retry, up to a second."""
    pauses = record_pauses(monkeypatch)
    for _ in range(50):
        handler = Handler(*(conflict() for _ in range(6)))
        options = {"event_already_exists_retries": 6, "event_already_exists_pause": 0.1}
        await new_command(handler, **options)("input", ())

    bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for number, bound in enumerate(bounds):
        drawn = pauses[number :: len(bounds)]
        assert 0 <= min(drawn) < bound / 2 < max(drawn) <= bound
        assert 50 == len(set(drawn))


async def test_castore_runs_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers are two retries without a pause."""
    pauses = record_pauses(monkeypatch)
    options = {"event_already_exists_retries": 2, "event_already_exists_pause": 0}
    handler = Handler(conflict(), conflict(), conflict())

    with pytest.raises(EventAlreadyExistsError):
        await new_command(handler, **options)("input", ())

    assert [0, 0] == pauses
    assert 3 == handler.runs


@pytest.mark.parametrize("pause", [-1, float("nan"), float("inf")])
def test_bad_pause(pause: float) -> None:
    """A pause is a number of seconds, of 0 or more."""
    with pytest.raises(ValueError, match=f"pause is not 0 or more: {pause!r}"):
        new_command(Handler(), event_already_exists_pause=pause)


@pytest.mark.parametrize("retries", [-1, True, 1.5, "1", None])
def test_bad_retries(retries: Any) -> None:
    """A number of retries is an integer of 0 or more."""
    with pytest.raises(ValueError, match=f"retries is not 0 or more: {retries!r}"):
        new_command(Handler(), event_already_exists_retries=retries)


@pytest.mark.parametrize("callback", [Conflicts.remember, Conflicts.remember_later])
async def test_callback_sees_each_conflict(callback: Any) -> None:
    """The callback, sync or async, gets the error, the attempt and how many retries are left."""
    conflicts = Conflicts()
    errors = [conflict(), conflict(), conflict()]
    count_command = new_command(
        Handler(*errors),
        event_already_exists_retries=2,
        on_event_already_exists=partial(callback, conflicts),
    )

    with pytest.raises(EventAlreadyExistsError):
        await count_command("input", ())

    expected = [ConflictAttempt(1, 2), ConflictAttempt(2, 1), ConflictAttempt(3, 0)]
    assert [*zip(errors, expected, strict=True)] == conflicts.seen


async def test_callback_does_not_run_without_a_conflict() -> None:
    """A command that succeeds at once tells nothing."""
    conflicts = Conflicts()
    await new_command(Handler(), on_event_already_exists=conflicts.remember)("input", ())

    assert [] == conflicts.seen


async def test_error_of_the_callback_ends_the_command() -> None:
    """A callback can end the retries by raising."""

    def give_up(error: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
        raise TimeoutError(str(attempt.retries_left)) from error

    handler = Handler(conflict())

    with pytest.raises(TimeoutError, match="2"):
        await new_command(handler, on_event_already_exists=give_up)("input", ())
    assert 1 == handler.runs


@pytest.mark.parametrize(
    "error",
    [LookupError("no counter"), ExceptionGroup("two", [conflict(), conflict()])],
    ids=lambda error: type(error).__name__,
)
async def test_other_errors_are_not_retried(error: Exception) -> None:
    """Any other error ends the command at once, a group of conflicts too."""
    conflicts = Conflicts()
    handler = Handler(error)

    with pytest.raises(type(error)) as raised:
        await new_command(handler, on_event_already_exists=conflicts.remember)("input", ())

    assert error is raised.value
    assert 1 == handler.runs
    assert [] == conflicts.seen


async def test_unknown_outcome_is_not_retried() -> None:
    """The event may be stored, and so it is here: a second run would push another one."""

    class LosesAnswers(InMemoryEventStorageAdapter):
        async def push_event(self, event_store_id: str, record: Any, **options: Any) -> None:
            await super().push_event(event_store_id, record, **options)
            raise UnknownOutcomeError(event_store_id, record.aggregate_id, record.version)

    store = new_store()
    store.storage_adapter = LosesAnswers()
    conflicts = Conflicts()

    @command("COUNT", required_event_stores=(store,), on_event_already_exists=conflicts.remember)
    async def push_next(input: str, event_stores: tuple[CounterStore]) -> None:
        (store,) = event_stores
        version = len(await store.get_events(input)) + 1
        await store.push_event(Counted(aggregate_id=input, version=version))

    with pytest.raises(UnknownOutcomeError, match="read the aggregate before you push again"):
        await push_next("c", (store,))

    assert 1 == len(await store.get_events("c"))
    assert [] == conflicts.seen


async def test_conflict_after_the_write_is_not_retried() -> None:
    """A conflict that came up in on_event_pushed does not make the command push again."""

    async def fail(_: Any) -> None:
        raise conflict()

    store = new_store(on_event_pushed=fail)
    conflicts = Conflicts()

    @command("COUNT", required_event_stores=(store,), on_event_already_exists=conflicts.remember)
    async def push_next(input: str, event_stores: tuple[CounterStore]) -> None:
        (store,) = event_stores
        version = len(await store.get_events(input)) + 1
        await store.push_event(Counted(aggregate_id=input, version=version))

    with pytest.raises(EventAlreadyExistsError):
        await push_next("c", (store,))

    assert 1 == len(await store.get_events("c"))
    assert [] == conflicts.seen


async def test_conflict_of_a_group_is_retried() -> None:
    """A group that was not written may be pushed again."""
    store = new_store()
    await store.push_event(Counted(aggregate_id="c", version=1))
    versions = [1, 2]

    @command("COUNT", required_event_stores=(store,))
    async def push_group(input: str, event_stores: tuple[CounterStore]) -> None:
        (store,) = event_stores
        version = versions.pop(0)
        await EventStore.push_event_group(
            store.group_event(Counted(aggregate_id="other", version=1)),
            store.group_event(Counted(aggregate_id=input, version=version)),
        )

    await push_group("c", (store,))

    assert [1, 2] == [each.version for each in await store.get_events("c")]


async def test_conflict_within_a_group_of_tasks_is_not_retried() -> None:
    """Other tasks of the handler may have written."""
    handler = Handler(ExceptionGroup("unhandled errors in a TaskGroup", [conflict()]))

    with pytest.raises(ExceptionGroup):
        await new_command(handler)("c", ())

    assert 1 == handler.runs


class Doubling(Command[int, tuple[CounterStore], [], int]):
    """Checks that input and output are positive, and doubles both."""

    def check_input(self, input: int) -> int:
        """Refuse what is negative."""
        if input < 1:
            raise InvalidCommandInputError(self.command_id, [Violation("input", "is negative")])
        return input * 2

    def check_output(self, output: int) -> int:
        """Refuse what is large."""
        if output > 100:
            raise InvalidCommandOutputError(self.command_id, [Violation("output", "is large")])
        return output * 2


async def test_checks_of_a_subclass_surround_all_runs() -> None:
    """What a subclass makes of input and output counts, once each, whatever is retried."""
    store = new_store()
    conflicts = [conflict(), conflict()]

    async def handle(input: int, event_stores: tuple[CounterStore]) -> int:  # noqa: ARG001
        if conflicts:
            raise conflicts.pop()
        return input + 1

    double = Doubling("DOUBLE", required_event_stores=(store,), handler=handle)

    assert 22 == await double(5, (store,))
    assert 22 == await double.handler(5, (store,))
    with pytest.raises(InvalidCommandInputError, match="input: is negative"):
        await double(-1, (store,))
    with pytest.raises(InvalidCommandOutputError, match="output: is large"):
        await double(50, (store,))
    assert "Doubling('DOUBLE')" == repr(double)


def test_the_function_of_a_command_is_known() -> None:
    """Programs that show commands read its annotations."""
    handler = Handler()
    made: Command[Any, Any, Any, Any] = Command("X", required_event_stores=(), handler=handler)
    assert handler is made.handler_function


# Mistakes of declaration


@pytest.mark.parametrize("stores", [[], None, "stores", new_store()], ids=repr)
def test_required_stores_are_a_tuple(stores: Any) -> None:
    """Parentheses around one store make no tuple: the error says so."""
    with pytest.raises(TypeError, match=r"a tuple, such as \(pokemons,\), and not"):
        Command("COUNT", required_event_stores=stores, handler=Handler())


def test_required_stores_are_event_stores() -> None:
    """A class in the place of a store, say, is refused where the command is declared."""
    stores: Any = (EventStore,)

    with pytest.raises(TypeError, match="which is no EventStore"):
        Command("COUNT", required_event_stores=stores, handler=Handler())


async def test_plain_function_is_no_handler() -> None:
    """A handler that forgot its `async` is named."""

    def handle(*_: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"the handler of Command\('COUNT'\) is not async"):
        await new_command(handle)("input", ())
