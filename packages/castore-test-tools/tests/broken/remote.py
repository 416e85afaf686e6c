"""Event storages that are given the client of a server: a sound one, and broken ones.

The client repeats by itself a call that was not answered, as those of many databases do.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast
from uuid import uuid4

import pytest

from castore_core import (
    AssertedVersion,
    CastoreError,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    StorageError,
    VersionAssertionError,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)
from castore_test_tools import (
    EventStorageAdapterTests,
)

T = TypeVar("T")

MOST_CHARACTERS = 150_000


class Client:
    """The client that a user hands in."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._loses_answer = False
        self._is_open = True

    async def call(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Have the server work."""
        if not self._is_open:
            raise ConnectionError("the server does not answer")
        if self._loses_answer:
            self._loses_answer = False
            with suppress(CastoreError):
                await work(self._server)
        return await work(self._server)

    def lose_answer(self) -> None:
        """Repeat the next call."""
        self._loses_answer = True

    def close(self) -> None:
        """Answer no more calls."""
        self._is_open = False


class Remote:
    """Calls a server, and translates its errors."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Have the server work."""
        try:
            return await self.client.call(work)
        except ConnectionError as error:
            raise StorageError(str(error)) from error


class EventServer(InMemoryEventStorageAdapter):
    """Keeps with each event the token of the call that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self._tokens: dict[tuple[object, ...], str] = {}

    async def write(
        self,
        group: Sequence[GroupedRecord],
        asserted: Sequence[AssertedVersion],
        token: str,
        *,
        force: bool,
    ) -> None:
        """Write events, unless the same call did already."""
        places = [(store_id, *record[:2]) for store_id, record, _ in group]
        if places and all(self._tokens.get(each) == token for each in places):
            return
        own = [each._replace(storage_adapter=self) for each in group]
        own_asserted = [each._replace(storage_adapter=self) for each in asserted]
        await self.push_event_group(own, asserted=own_asserted, force=force)
        self._tokens.update(dict.fromkeys(places, token))


class RemoteEvents(Remote):
    """Keeps events on a server."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write events, with a token that stays when the call is repeated."""
        self.check(group)
        self.check_together(group, asserted)
        await self.write(group, asserted, force=force)

    async def write(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], *, force: bool
    ) -> None:
        """Have the server write."""
        token = uuid4().hex
        await self.call(lambda server: server.write(group, asserted, token, force=force))

    def check(self, group: Sequence[GroupedRecord]) -> None:
        """Refuse what is too large."""
        if any(len(repr(each.record.payload)) > MOST_CHARACTERS for each in group):
            raise StorageError("an event is too large")

    def check_together(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion]
    ) -> None:
        """Refuse what the server cannot write at once."""
        adapters: list[Any] = [each.storage_adapter for each in (*group, *asserted)]
        if any(each.client is not self.client for each in adapters):
            raise InvalidEventGroupError("its adapters have different clients")
        places = {(store_id, each.aggregate_id, each.version) for store_id, each, _ in group}
        if len(places) < len(group):
            raise InvalidEventGroupError("it has two events of one version")

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read events."""
        return await self.call(
            lambda each: each.get_events(event_store_id, aggregate_id, **options)
        )

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """List aggregates."""
        return await self.call(lambda server: server.list_aggregate_ids(event_store_id, **options))


class RemoteHooks:
    """The fixtures that the suites of these adapters have."""

    adapter_class: type[Remote]
    server_class: type[object]
    works_in_several_event_loops_at_once = False  # nor does the server

    @pytest.fixture
    def client(self) -> Client:
        """Return a client of a new server."""
        return Client(self.server_class())

    @pytest.fixture
    def adapter(self, client: Client) -> Remote:
        """Return an adapter without anything."""
        return self.adapter_class(client)

    @pytest.fixture
    def connect_again(self, client: Client) -> Callable[[], Remote]:
        """Make more adapters on the client."""
        return lambda: self.adapter_class(client)

    @pytest.fixture
    def break_backend(self, client: Client) -> Callable[[], None]:
        """Close the client."""
        return client.close

    @pytest.fixture
    def lose_next_answer(self, client: Client) -> Callable[[], None]:
        """Repeat a call."""
        return client.lose_answer


class RemoteEventsTests(RemoteHooks, EventStorageAdapterTests):
    """Everything is declared."""

    adapter_class = RemoteEvents
    server_class = EventServer
    largest_payload = 100_000

    @pytest.fixture
    def foreign_adapter(self) -> Remote:
        """Return an adapter on another server."""
        return self.adapter_class(Client(self.server_class()))


class ClosesItsClient(RemoteEvents):
    """Closes what it was given."""

    async def aclose(self) -> None:
        """Close."""
        self.client.close()


class LeavesItsClient(RemoteEvents):
    """Closes what it was given when it is used as a context manager."""

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(self, *_: object) -> None:
        self.client.close()


class TakesItsClientAlong(RemoteEvents):
    """Closes what it was given when it is collected as garbage."""

    def __del__(self) -> None:
        self.client.close()


class KeepsWhatItPushed(RemoteEvents):
    """Reads an aggregate from what itself has pushed."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._pushed: list[EventRecord] = []

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Keep it."""
        await super().push_event(event_store_id, record, force=force)
        self._pushed.append(record)

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return what was kept."""
        return self._pushed or await super().get_events(event_store_id, aggregate_id, **options)


class KeepsWhatItRead(RemoteEvents):
    """Looks for a conflict in what itself has read."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._versions: set[int] | None = None

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Keep it."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        self._versions = {each.version for each in found}
        return found

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Look there."""
        is_new = self._versions is not None and record.version not in self._versions
        await super().push_event(event_store_id, record, force=force or is_new)


class RepeatedPushConflicts(RemoteEvents):
    """Has no token that stays."""

    async def write(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], *, force: bool
    ) -> None:
        """Make a token for each attempt."""
        await self.call(lambda server: server.write(group, asserted, uuid4().hex, force=force))


class RepeatedPushIsCompared(RemoteEvents):
    """Takes an equal event for its own."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Compare."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError as conflict:
            found = await self.get_events(conflict.event_store_id, conflict.aggregate_id)
            if not {repr(each.record) for each in group} & {repr(each) for each in found}:
                raise


class ErrorsAreNotTranslated(Remote):
    """Lets out what its client raises."""

    async def call(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Have the server work."""
        return await self.client.call(work)


class EventErrorsAreNotTranslated(ErrorsAreNotTranslated, RemoteEvents):
    """An event storage that does."""


class ErrorsHaveNoCause(RemoteEvents):
    """Hides what its client raised."""

    async def call(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Have the server work."""
        try:
            return await super().call(work)
        except StorageError as error:
            raise StorageError(str(error)) from None


class ServerError(StorageError):
    """An error that does not pickle."""

    def __init__(self, *, server: str) -> None:
        super().__init__(f"{server} does not answer")


class ErrorsDoNotPickle(RemoteEvents):
    """Raises an error of its own."""

    async def call(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Have the server work."""
        try:
            return await super().call(work)
        except StorageError as error:
            raise ServerError(server="the server") from error


class TakesLargeEvents(RemoteEvents):
    """Cuts what is too large."""

    def check(self, group: Sequence[GroupedRecord]) -> None:
        """Refuse nothing."""


class ChecksTheFirstEvent(RemoteEvents):
    """Looks at the size of one event of a group."""

    def check(self, group: Sequence[GroupedRecord]) -> None:
        """Check the first."""
        super().check(group[:1])


class LargeEventIsAnInvalidGroup(RemoteEvents):
    """Has room for half of what it says."""

    def check(self, group: Sequence[GroupedRecord]) -> None:
        """Refuse what it should take."""
        if any(len(repr(each.record.payload)) > MOST_CHARACTERS // 2 for each in group):
            raise InvalidEventGroupError("an event is too large")


class WritesToEachServer(RemoteEvents):
    """Pushes the events of each adapter by themselves."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Divide the group."""
        adapters = {id(each.storage_adapter): each.storage_adapter for each in group}
        for adapter in adapters.values():
            own = [each for each in group if each.storage_adapter is adapter]
            await RemoteEvents.push_event_group(cast("RemoteEvents", adapter), own, **options)


class TakesAVersionTwice(RemoteEvents):
    """Keeps the last of two events."""

    def check_together(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion]
    ) -> None:
        """Refuse nothing."""


class AssertsOnEachServer(RemoteEvents):
    """Checks the versions of other servers by themselves."""

    def check_together(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion]
    ) -> None:
        """Pass over the assertions."""
        super().check_together(group, ())


class RepeatedAssertionIsPassedOver(RemoteEvents):
    """Takes a version that does not hold for a trace of its own write."""

    async def write(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], *, force: bool
    ) -> None:
        """Try once more without the assertions."""
        try:
            await super().write(group, asserted, force=force)
        except VersionAssertionError:
            await super().write(group, (), force=force)
