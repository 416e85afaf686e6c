"""Given some events, when something is done, then this comes of it."""

from collections.abc import Collection, Generator, Iterable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from castore_core import (
    Aggregate,
    AggregateCommand,
    Command,
    Event,
    EventDraft,
    EventStore,
    ExistingAggregateCommand,
    GroupCommand,
)
from castore_test_tools._comparison import TIMESTAMP, Ignorable, check_events, check_ignore
from castore_test_tools._expectations import (
    Aggregated,
    Expectation,
    NothingPushed,
    Outcome,
    Published,
    Pushed,
    Raised,
    Returned,
)
from castore_test_tools._mock import PublishedMessage, check_event_store
from castore_test_tools._stage import (
    Act,
    GivenEvents,
    PushEvents,
    RunAggregateCommand,
    RunCommand,
    RunGroupCommand,
    Stage,
)
from castore_test_tools._types import A, E, EventsOf
from castore_test_tools._unawaited import ToBeAwaited

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 the input
O = TypeVar("O")  # noqa: E741 the output


class Scenario(ToBeAwaited, Generic[O]):
    """Given events, an act, and the outcome that is expected of it. Await it to find out.

    Made by `given`. Each step is a new scenario, so that several can go on from one. Awaiting
    does the act once, on mocks of the event stores, and checks all expectations::

        await given(pokemons, [appeared]).when(level_up, "pikachu1").then([leveled_up])

    A scenario that nobody awaits has tested nothing: in pytest, the test that made it fails.

    Raises:
        AssertionError: something else came of it than was expected.
        Exception: what the command raised, if that was not expected; a note tells the scenario.
    """

    def __init__(
        self,
        givens: Sequence[GivenEvents],
        act: Act | None = None,
        expectations: Sequence[Expectation] = (),
    ) -> None:
        self._givens = tuple(givens)
        self._act = act
        self._expectations = tuple(expectations)
        super().__init__()

    def __repr__(self) -> str:
        steps = [
            f"given({store.event_store_id!r}, {_name(events)})" for store, events in self._givens
        ]
        if self._act is not None:
            steps.append(f"when({self._act!r})")
        steps += [each.name for each in self._expectations]
        return ".".join(steps)

    def __await__(self) -> Generator[Any, None, None]:
        return self._play().__await__()

    def then(
        self,
        events: Iterable[Event | EventDraft[Event]],
        *,
        event_store: EventStore | None = None,
        ignore: Collection[Ignorable] = TIMESTAMP,
    ) -> "Scenario[O]":
        """Expect that these events are pushed, in this order, and no others.

        All stores count, unless one is named. An event is compared with all that it has but its
        timestamp, or what else ``ignore`` names; a draft, with its type and what it says.
        """
        self._settle()
        expected = tuple(events)
        check_events(expected)
        return self._expect(Pushed(expected, event_store, check_ignore(ignore)))

    def then_raises(
        self,
        error_type: type[Exception] | tuple[type[Exception], ...],
        *,
        match: str | None = None,
    ) -> "Scenario[O]":
        """Expect an error, and that nothing is pushed, unless `then` says what is.

        ``match`` is a regular expression that is searched for in the text of the error.
        """
        return self._expect(Raised(error_type, match))

    def then_aggregate(
        self, aggregate: Aggregate, *, event_store: EventStore | None = None
    ) -> "Scenario[O]":
        """Expect that the aggregate of this id is as it is here.

        It is looked for in all stores, by its id and class, unless one is named.
        """
        return self._expect(Aggregated(aggregate, event_store))

    def then_returns(self, value: O) -> "Scenario[O]":
        """Expect what the command returns."""
        return self._expect(Returned(value))

    def then_published(
        self,
        messages: Iterable[PublishedMessage],
        *,
        event_store: EventStore | None = None,
        ignore: Collection[Ignorable] = TIMESTAMP,
    ) -> "Scenario[O]":
        """Expect that these messages are published, in this order, and no others.

        All connected stores count, one after the other, unless one is named. Their events are
        compared as those of `then`.
        """
        return self._expect(Published(tuple(messages), event_store, check_ignore(ignore)))

    def _expect(self, expectation: Expectation) -> "Scenario[O]":
        self._settle()
        return Scenario(self._givens, self._act, (*self._expectations, expectation))

    async def _play(self) -> None:
        __tracebackhide__ = True
        try:
            await self._run()
        finally:
            self._settle()  # a task that was begun and left behind has tested nothing either

    async def _run(self) -> None:
        __tracebackhide__ = True
        stage = Stage(self._givens)
        outcome = await self._perform(stage)
        for each in self._expectations:
            await each.check(outcome)
        if outcome.error and not any(isinstance(each, Pushed) for each in self._expectations):
            await NothingPushed().check(outcome)

    async def _perform(self, stage: Stage) -> Outcome:
        __tracebackhide__ = True
        perform = self._act.prepare(stage) if self._act else None
        try:
            returned = await perform() if perform else None
        except Exception as error:
            expected = [each for each in self._expectations if isinstance(each, Raised)]
            if not any(each.allows(error) for each in expected):
                error.add_note(f"in the scenario {self!r}")
                raise
            return Outcome(stage, None, error)
        return Outcome(stage, returned, None)


class Given(Scenario[None]):
    """A scenario in which nothing is done yet."""

    def given(self, event_store: EventStore[E, A], events: EventsOf[E] = ()) -> "Given":
        """Begin with events of another store, too."""
        self._settle()
        check_event_store(event_store)
        return Given([*self._givens, (event_store, tuple(events))])

    @overload
    def when(
        self, command: Command[I, Any, P, O], input: I, /, *args: P.args, **kwargs: P.kwargs
    ) -> Scenario[O]: ...

    @overload
    def when(
        self,
        command: ExistingAggregateCommand[P, A, Any],
        aggregate_id: str,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Scenario[A]: ...

    @overload
    def when(
        self,
        command: AggregateCommand[P, A, Any],
        aggregate_id: str,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Scenario[A | None]: ...

    @overload
    def when(
        self, command: GroupCommand[P, O, *tuple[Any, ...]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Scenario[O]: ...

    @overload
    def when(self, event: Event, /, *events: Event) -> Scenario[None]: ...

    def when(self, act: Any, /, *args: Any, **kwargs: Any) -> Scenario[Any]:
        """Run a command, an aggregate command or a group command, or push events.

        A command runs with mocks of the stores that it requires, each with the events that were
        given for the store of that ``event_store_id``, and empty if there were none.
        """
        self._settle()
        return Scenario(self._givens, _to_act(act, *args, **kwargs))


def given(event_store: EventStore[E, A], events: EventsOf[E] = ()) -> Given:
    """Begin a scenario with the events of a store, which may be those of several aggregates.

    The store, its adapter and its channel are left alone: see `mock_event_store`.
    """
    check_event_store(event_store)
    return Given([(event_store, tuple(events))])


def _to_act(act: object, /, *args: Any, **kwargs: Any) -> Act:
    if isinstance(act, (Command, AggregateCommand, GroupCommand)) and not args:
        raise TypeError(f"when() needs what {act!r} is called with")
    if isinstance(act, Command):
        return RunCommand(cast("Command[Any, Any, ..., Any]", act), args[0], args[1:], kwargs)
    if isinstance(act, AggregateCommand):
        return RunAggregateCommand(
            cast("AggregateCommand[..., Any]", act), args[0], args[1:], kwargs
        )
    if isinstance(act, GroupCommand):
        return RunGroupCommand(cast("GroupCommand[..., Any]", act), args, kwargs)
    events: list[Any] = [act, *args]
    if kwargs or not all(isinstance(each, Event) for each in events):
        raise TypeError(f"when() takes a command with its arguments, or events, not {act!r}")
    return PushEvents(tuple(events))


def _name(events: Iterable[Event]) -> str:
    return f"[{', '.join(type(each).__name__ for each in events)}]"
