"""The expected end of a scenario."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from castore_core import Aggregate, Event, EventDraft, EventStore
from castore_test_tools._comparison import assert_alike
from castore_test_tools._mock import MockConnectedEventStore
from castore_test_tools._stage import Stage


@dataclass(frozen=True)
class Outcome:
    """The outcome of a scenario."""

    stage: Stage
    returned: object
    error: Exception | None

    def get_store_ids(self, event_store: EventStore | None) -> list[str]:
        """Return the ids of all stores of the scenario, or that of one.

        Raises:
            ValueError: the scenario does not have the store.
        """
        store_ids = list(self.stage.event_stores)
        if event_store is None:
            return store_ids
        if event_store.event_store_id not in store_ids:
            raise ValueError(f"the scenario has {', '.join(store_ids)}, but not {event_store!r}")
        return [event_store.event_store_id]


class Expectation(Protocol):
    """Something that a scenario is expected to end with."""

    name: ClassVar[str]
    """The step of the scenario."""

    async def check(self, outcome: Outcome) -> None:
        """Compare it with what came.

        Raises:
            AssertionError: it is not so.
        """
        ...


@dataclass(frozen=True)
class Pushed:
    """Events are pushed: these, in this order."""

    name: ClassVar[str] = "then(...)"

    events: Sequence[Event | EventDraft]
    event_store: EventStore | None
    ignore: frozenset[str]

    async def check(self, outcome: Outcome) -> None:
        """Compare the events."""
        __tracebackhide__ = True
        store_ids = outcome.get_store_ids(self.event_store)
        pushed = outcome.stage.get_pushed(store_ids[0] if self.event_store else None)
        what = "the events that were pushed are not those that were expected"
        assert_alike(self.events, pushed, ignore=self.ignore, what=what)


@dataclass(frozen=True)
class Raised:
    """The command raises."""

    name: ClassVar[str] = "then_raises(...)"

    error_type: type[Exception] | tuple[type[Exception], ...]
    match: str | None

    def allows(self, error: Exception) -> bool:
        """Tell whether it is such an error."""
        return isinstance(error, self.error_type)

    async def check(self, outcome: Outcome) -> None:
        """Look at the error."""
        __tracebackhide__ = True
        pushed = outcome.stage.get_pushed()
        assert outcome.error is not None, f"{self._name} was not raised; pushed was {pushed}"
        assert self.allows(outcome.error), f"{outcome.error!r} was raised, and not {self._name}"
        if self.match is not None:
            text = str(outcome.error)
            assert re.search(self.match, text), f"{text!r} does not match {self.match!r}"

    @property
    def _name(self) -> str:
        kinds = self.error_type if isinstance(self.error_type, tuple) else (self.error_type,)
        return " or ".join(each.__name__ for each in kinds)


class NothingPushed:
    """Nothing is pushed, because the command raises."""

    async def check(self, outcome: Outcome) -> None:
        """Look for events."""
        __tracebackhide__ = True
        what = f"{type(outcome.error).__name__} was raised, but events had been pushed"
        assert_alike((), outcome.stage.get_pushed(), ignore=(), what=what)


@dataclass(frozen=True)
class Aggregated:
    """An aggregate is as it is here."""

    name: ClassVar[str] = "then_aggregate(...)"

    aggregate: Aggregate
    event_store: EventStore | None

    async def check(self, outcome: Outcome) -> None:
        """Load the aggregate and compare it."""
        __tracebackhide__ = True
        expected, actual = self.aggregate, await self._load(outcome)
        assert actual is not None, f"there is no aggregate {expected.aggregate_id!r}"
        assert expected == actual, f"the aggregate {expected.aggregate_id!r} is another one"

    async def _load(self, outcome: Outcome) -> Aggregate | None:
        """Find the aggregate among those of its id, by its class."""
        found: list[Aggregate] = []
        for store_id in outcome.get_store_ids(self.event_store):
            loaded = await outcome.stage.event_stores[store_id].get_aggregate(
                self.aggregate.aggregate_id
            )
            if loaded.aggregate is not None:
                found.append(loaded.aggregate)
        alike = [each for each in found if type(each) is type(self.aggregate)] or found
        if len(alike) > 1:
            raise TypeError(
                f"several event stores have an aggregate {self.aggregate.aggregate_id!r}: "
                "say which is meant with event_store="
            )
        return alike[0] if alike else None


@dataclass(frozen=True)
class Returned:
    """The command returns this."""

    name: ClassVar[str] = "then_returns(...)"

    value: object

    async def check(self, outcome: Outcome) -> None:
        """Compare the values."""
        __tracebackhide__ = True
        assert outcome.error is None, f"{outcome.error!r} was raised, and nothing was returned"
        expected, actual = self.value, outcome.returned
        assert expected == actual, f"{actual!r} was returned, and not {expected!r}"


@dataclass(frozen=True)
class Published:
    """Messages are published: these, in this order."""

    name: ClassVar[str] = "then_published(...)"

    messages: Sequence[object]
    event_store: EventStore | None
    ignore: frozenset[str]

    async def check(self, outcome: Outcome) -> None:
        """Compare the messages."""
        __tracebackhide__ = True
        mocks = [
            outcome.stage.event_stores[each] for each in outcome.get_store_ids(self.event_store)
        ]
        connected = [each for each in mocks if isinstance(each, MockConnectedEventStore)]
        if not connected:
            raise TypeError("the scenario has no connected event store, and so no messages")
        published = [message for each in connected for message in each.published]
        what = "the messages that were published are not those that were expected"
        assert_alike(self.messages, published, ignore=self.ignore, what=what)
