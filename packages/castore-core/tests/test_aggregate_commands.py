"""Aggregate commands say what happens to one aggregate; the runner numbers and pushes it."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    AggregateCommands,
    AggregateNotFoundError,
    ConflictAttempt,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    ExistingAggregateCommand,
    ForeignEventError,
    NotJSONError,
    PushedEvent,
    UnknownOutcomeError,
)
from castore_core.sync import SyncEventStore
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Opened(Event, type="OPENED"):
    """An account was opened."""

    payload: str


class Deposited(Event, type="DEPOSITED"):
    """Money came in."""

    payload: int


class Forgotten(Event, type="FORGOTTEN"):
    """An event of no store."""


@dataclass(frozen=True)
class Account:
    """An aggregate."""

    aggregate_id: str
    version: int
    owner: str
    balance: int = 0


def reduce_account(account: Account | None, event: Opened | Deposited) -> Account:
    """Compute the state."""
    match event:
        case Opened(payload=owner):
            return Account(event.aggregate_id, event.version, owner)
        case Deposited(payload=amount):
            assert account is not None
            return replace(account, version=event.version, balance=account.balance + amount)


AccountStore = EventStore[Opened | Deposited, Account]


@pytest.fixture
def accounts() -> AccountStore:
    """Return an empty store."""
    return EventStore(
        "ACCOUNTS",
        event_types=[Opened, Deposited],
        reduce=reduce_account,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


@pytest.fixture
def commands(accounts: AccountStore) -> AggregateCommands[Opened | Deposited, Account]:
    """Return the commands of the store, none yet."""
    return AggregateCommands(accounts)


Commands = AggregateCommands[Opened | Deposited, Account]


async def open_account(accounts: AccountStore) -> None:
    """Push a first event."""
    await accounts.push_event(Opened(aggregate_id="a1", version=1, timestamp=NOW, payload="Ada"))


def test_the_function_of_a_command_is_known(commands: Commands) -> None:
    """Programs that show commands read its annotations, and what it says about itself."""

    def close(account: Account | None) -> None:
        """Close an account."""
        del account

    for decorate in (commands.handler, commands.existing_handler):
        close.__name__ = decorate.__name__
        made = decorate(close)
        assert close is made.handler_function
        assert "Close an account." == made.__doc__


async def test_one_draft(accounts: AccountStore, commands: Commands) -> None:
    """A draft becomes the first event of an aggregate that was not there."""

    @commands.handler
    def open_for(account: Account | None, owner: str) -> EventDraft[Opened]:
        assert account is None
        return Opened.draft(payload=owner, timestamp=NOW)

    assert Account("a1", 1, "Ada") == await open_for("a1", "Ada")
    expected = [Opened(aggregate_id="a1", version=1, timestamp=NOW, payload="Ada")]
    assert expected == await accounts.get_events("a1")


async def test_several_drafts(accounts: AccountStore, commands: Commands) -> None:
    """Drafts are numbered in their order, after the last event."""
    await open_account(accounts)

    @commands.handler
    def deposit(account: Account | None, *, amounts: list[int]) -> list[EventDraft[Deposited]]:
        assert account == Account("a1", 1, "Ada")
        return [Deposited.draft(payload=each) for each in amounts]

    assert Account("a1", 4, "Ada", 60) == await deposit("a1", amounts=[10, 20, 30])
    events = await accounts.get_events("a1", min_version=2)
    assert [(2, 10), (3, 20), (4, 30)] == [(each.version, each.payload) for each in events]


async def test_drafts_follow_a_gap(accounts: AccountStore, commands: Commands) -> None:
    """Drafts go on after the last version, which is not the number of events."""
    await open_account(accounts)
    await accounts.push_event(Deposited("a1", 5, payload=1), force=True)

    @commands.handler
    def deposit(_: Account | None) -> EventDraft[Deposited]:
        return Deposited.draft(payload=10)

    assert Account("a1", 6, "Ada", 11) == await deposit("a1")


async def test_hook_gets_the_state_after_each_draft(
    accounts: AccountStore, commands: Commands
) -> None:
    """The state after each event is known, and goes to on_event_pushed."""
    seen: list[Account | None] = []

    async def remember(pushed: PushedEvent[Any, Account]) -> None:
        seen.append(pushed.next_aggregate)

    accounts.on_event_pushed = remember

    @commands.handler
    def open_with(_: Account | None, amount: int) -> Any:
        return [Opened.draft(payload="Ada"), Deposited.draft(payload=amount)]

    await open_with("a1", 7)

    assert [Account("a1", 1, "Ada"), Account("a1", 2, "Ada", 7)] == seen


@pytest.mark.parametrize("drafts", [None, [], ()], ids=repr)
async def test_no_draft(accounts: AccountStore, commands: Commands, drafts: Any) -> None:
    """A handler may leave everything as it is; the aggregate is returned all the same."""
    await open_account(accounts)

    @commands.handler
    def look(_: Account | None) -> None:
        return drafts

    assert Account("a1", 1, "Ada") == await look("a1")
    assert await look("a2") is None
    assert 1 == len(await accounts.get_events("a1"))


async def test_async_handler(commands: Commands) -> None:
    """A handler may be a coroutine function."""

    @commands.handler
    async def open_later(_: Account | None) -> tuple[EventDraft[Opened], EventDraft[Deposited]]:
        await asyncio.sleep(0)
        return Opened.draft(payload="Ada"), Deposited.draft(payload=5)

    assert Account("a1", 2, "Ada", 5) == await open_later("a1")


async def test_handler_that_raises_pushes_nothing(
    accounts: AccountStore, commands: Commands
) -> None:
    """A refusal is an error of the handler's own, which is not retried."""
    runs: list[int] = []

    @commands.handler
    def refuse(_: Account | None) -> None:
        runs.append(1)
        raise LookupError("no account")

    with pytest.raises(LookupError, match="no account"):
        await refuse("a1")
    assert [1] == runs
    assert [] == await accounts.get_events("a1")


async def test_drafts_are_pushed_all_or_none(accounts: AccountStore, commands: Commands) -> None:
    """Where one draft is bad, none is pushed."""
    bad_draft: Any = Deposited.draft  # of which no type checker knows more

    @commands.handler
    def open_badly(_: Account | None, bad: Any) -> list[Any]:
        return [Opened.draft(payload="Ada"), bad]

    with pytest.raises(NotJSONError, match="payload is nan"):
        await open_badly("a1", bad_draft(payload=float("nan")))
    with pytest.raises(TypeError, match="amount"):
        await open_badly("a1", bad_draft(amount=1))
    with pytest.raises(TypeError, match="version"):
        await open_badly("a1", bad_draft(payload=1, version=7))
    assert [] == await accounts.get_events("a1")


async def test_foreign_draft_is_refused(accounts: AccountStore, commands: Commands) -> None:
    """A draft of a type that the store does not have is not pushed."""

    @commands.handler
    def forget(_: Account | None) -> Any:
        return Forgotten.draft()

    with pytest.raises(ForeignEventError):
        await forget("a1")
    assert [] == await accounts.get_events("a1")


@pytest.mark.parametrize(
    "returned", [Deposited(aggregate_id="a1", version=1, payload=1), [Deposited], "deposit", 1]
)
async def test_only_drafts_are_taken(
    accounts: AccountStore, commands: Commands, returned: Any
) -> None:
    """An event, or anything else that is no draft, is refused with a word on what to return."""

    @commands.handler
    def deposit(_: Account | None) -> Any:
        return returned

    with pytest.raises(TypeError, match=r"returns drafts, made by draft\(\)"):
        await deposit("a1")
    assert [] == await accounts.get_events("a1")


class Rival:
    """A handler that is overtaken: a deposit is pushed while it decides."""

    def __init__(self, accounts: AccountStore, times: int) -> None:
        self.accounts = accounts
        self.times = times
        self.seen: list[Account | None] = []

    async def __call__(self, account: Account | None) -> list[EventDraft[Deposited]]:
        """Push, and decide."""
        self.seen.append(account)
        if self.times:
            self.times -= 1
            assert account is not None
            await self.accounts.push_event(
                Deposited(aggregate_id="a1", version=account.version + 1, payload=1)
            )
        return [Deposited.draft(payload=10), Deposited.draft(payload=20)]


async def test_conflict_is_retried_with_a_fresh_aggregate(
    accounts: AccountStore, commands: Commands
) -> None:
    """After a conflict, the handler decides again, on the state as it is now."""
    await open_account(accounts)
    rival = Rival(accounts, times=2)
    deposit = commands.handler(rival)

    assert Account("a1", 5, "Ada", 32) == await deposit("a1")
    assert [1, 2, 3] == [each.version for each in rival.seen if each]
    assert [1, 1, 10, 20] == [each.payload for each in (await accounts.get_events("a1"))[1:]]


async def test_retries_end(accounts: AccountStore) -> None:
    """After the last retry the conflict is raised; the callback saw each one."""
    await open_account(accounts)
    seen: list[ConflictAttempt] = []
    commands = AggregateCommands(
        accounts,
        event_already_exists_retries=1,
        on_event_already_exists=lambda _, attempt: seen.append(attempt),
    )
    deposit = commands.handler(Rival(accounts, times=9))

    with pytest.raises(EventAlreadyExistsError):
        await deposit("a1")
    assert [ConflictAttempt(1, 1), ConflictAttempt(2, 0)] == seen


async def test_unknown_outcome_is_not_retried(accounts: AccountStore) -> None:
    """The drafts may be stored, and so they are here: the handler does not decide again."""

    class LosesAnswersToGroups(InMemoryEventStorageAdapter):
        async def push_event_group(self, group: Any, **options: Any) -> None:
            await super().push_event_group(group, **options)
            if len(group) > 1:
                store_id, record, _ = group[0]
                raise UnknownOutcomeError(store_id, record.aggregate_id, record.version)

    elsewhere = accounts.using(LosesAnswersToGroups())
    await open_account(elsewhere)
    commands = AggregateCommands(elsewhere)
    deposit = commands.handler(rival := Rival(elsewhere, times=0))

    with pytest.raises(UnknownOutcomeError) as raised:
        await deposit("a1")

    assert ("ACCOUNTS", "a1", 2) == (
        raised.value.event_store_id,
        raised.value.aggregate_id,
        raised.value.version,
    )
    assert 1 == len(rival.seen)
    assert 3 == len(await elsewhere.get_events("a1"))


def test_bad_retries(accounts: AccountStore) -> None:
    """A number of retries is 0 or more."""
    with pytest.raises(ValueError, match="event_already_exists_retries is not 0 or more: -1"):
        AggregateCommands(accounts, event_already_exists_retries=-1)


async def test_concurrent_commands_lose_nothing(accounts: AccountStore) -> None:
    """Each of many commands at once happens exactly once, given retries enough."""
    await open_account(accounts)
    commands = AggregateCommands(accounts, event_already_exists_retries=20)

    @commands.handler
    async def deposit(_: Account | None, amount: int) -> EventDraft[Deposited]:
        await asyncio.sleep(0)
        return Deposited.draft(payload=amount)

    await asyncio.gather(*(deposit("a1", each) for each in range(20)))

    loaded = await accounts.get_existing_aggregate("a1")
    assert Account("a1", 21, "Ada", sum(range(20))) == loaded.aggregate


# Names


async def test_commands_are_run_by_name(commands: Commands) -> None:
    """A command can be chosen by the name of its handler."""

    @commands.handler
    def open_for(_: Account | None, owner: str) -> EventDraft[Opened]:
        return Opened.draft(payload=owner)

    @commands.handler
    def deposit(_: Account | None, *, amount: int) -> EventDraft[Deposited]:
        return Deposited.draft(payload=amount)

    await commands.run("open_for", "a1", owner="Ada")

    assert Account("a1", 2, "Ada", 7) == await commands.run("deposit", "a1", amount=7)
    assert ["open_for", "deposit"] == commands.names
    assert ["open_for", "deposit"] == [open_for.name, deposit.name]
    assert "AggregateCommand('deposit')" == repr(deposit)


async def test_unknown_name(commands: Commands) -> None:
    """A name that there is no command of is an error that tells the names."""

    @commands.handler
    def look(_: Account | None) -> None: ...

    with pytest.raises(LookupError, match="no command 'deposit': there are look"):
        await commands.run("deposit", "a1")
    await look("a1")


def test_name_that_is_taken(commands: Commands) -> None:
    """A second command of one name is refused."""

    def look(_: Account | None) -> None: ...

    commands.handler(look)

    with pytest.raises(ValueError, match="there is a command 'look' already"):
        commands.handler(look)


async def test_arguments_are_the_handlers(commands: Commands) -> None:
    """What the handler does not take is refused as in any call."""

    @commands.handler
    def look(_: Account | None) -> None: ...

    with pytest.raises(TypeError, match="amount"):
        await commands.run("look", "a1", amount=1)
    await look("a1")


# Other stores


def make_accounts() -> AccountStore:
    """Return another empty store."""
    return EventStore(
        "ACCOUNTS",
        event_types=[Opened, Deposited],
        reduce=reduce_account,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


async def test_a_command_on_another_store(accounts: AccountStore, commands: Commands) -> None:
    """The same command runs on another store, and leaves the first one alone."""

    @commands.handler
    def open_for(_: Account | None, owner: str) -> EventDraft[Opened]:
        return Opened.draft(payload=owner)

    others = make_accounts()

    assert Account("a1", 1, "Ada") == await open_for.using(others)("a1", "Ada")
    assert 1 == len(await others.get_events("a1"))
    assert [] == await accounts.get_events("a1")
    assert [accounts, others] == [open_for.event_store, open_for.using(others).event_store]
    assert "open_for" == open_for.using(others).name


async def test_a_command_on_another_store_keeps_its_options(accounts: AccountStore) -> None:
    """Retries and callback are those of the commands that the handler was added to."""
    seen: list[ConflictAttempt] = []
    commands = AggregateCommands(
        accounts,
        event_already_exists_retries=1,
        on_event_already_exists=lambda _, attempt: seen.append(attempt),
    )
    others = make_accounts()
    await open_account(others)
    deposit = commands.handler(Rival(others, times=9))

    with pytest.raises(EventAlreadyExistsError):
        await deposit.using(others)("a1")
    assert [ConflictAttempt(1, 1), ConflictAttempt(2, 0)] == seen


async def test_commands_on_another_store(accounts: AccountStore, commands: Commands) -> None:
    """All the commands of a store can be had for another one, with their options."""

    @commands.handler
    def open_for(_: Account | None, owner: str) -> EventDraft[Opened]:
        return Opened.draft(payload=owner)

    others = make_accounts()
    used = commands.using(others)
    await used.run("open_for", "a1", owner="Ada")

    assert ["open_for"] == used.names
    assert used.event_store is others
    assert commands.event_already_exists_retries == used.event_already_exists_retries
    assert 1 == len(await others.get_events("a1"))
    assert [] == await accounts.get_events("a1")


async def test_commands_on_another_store_are_apart(commands: Commands) -> None:
    """A handler that is added to the one is not added to the other."""
    used = commands.using(make_accounts())

    @used.handler
    def look(_: Account | None) -> None: ...

    assert [] == commands.names
    assert await look("a1") is None


def test_only_an_event_store_is_taken(accounts: AccountStore, commands: Commands) -> None:
    """A storage adapter and a façade are refused at once, and not in the middle of a request."""

    @commands.existing_handler
    def look(_: Account) -> None: ...

    takers: list[Any] = [AggregateCommands, commands.using, look.using]
    for take in takers:
        with pytest.raises(TypeError, match="takes an EventStore, not InMemoryEventStorageAdapter"):
            take(accounts.storage_adapter)
        with pytest.raises(TypeError, match="takes an EventStore, not SyncEventStore"):
            take(SyncEventStore(accounts))


def test_commands_tell_their_store(commands: Commands) -> None:
    """A notebook shows which store the commands are for."""
    assert "AggregateCommands(EventStore('ACCOUNTS'))" == repr(commands)


# Commands of existing aggregates


async def test_existing_handler_gets_the_aggregate(
    accounts: AccountStore, commands: Commands
) -> None:
    """The handler is given what is there, and the command returns what is there afterwards."""
    await open_account(accounts)

    @commands.existing_handler
    def deposit(account: Account, amount: int) -> EventDraft[Deposited]:
        assert Account("a1", 1, "Ada") == account
        return Deposited.draft(payload=amount)

    assert Account("a1", 2, "Ada", 5) == await deposit("a1", 5)
    assert Account("a1", 2, "Ada", 5) == (await accounts.get_aggregate("a1")).aggregate


async def test_existing_handler_may_return_no_draft(
    accounts: AccountStore, commands: Commands
) -> None:
    """Where nothing happens, the aggregate comes back as it is."""
    await open_account(accounts)

    @commands.existing_handler
    async def ignore(_: Account) -> None: ...

    assert Account("a1", 1, "Ada") == await ignore("a1")


async def test_existing_handler_needs_the_aggregate(commands: Commands) -> None:
    """Of an aggregate without events the error names it, and the handler does not run."""
    calls: list[Account] = []

    @commands.existing_handler
    def deposit(account: Account) -> None:
        calls.append(account)

    with pytest.raises(AggregateNotFoundError) as error:
        await deposit("nobody")
    with pytest.raises(AggregateNotFoundError):
        await commands.run("deposit", "nobody")

    assert ("ACCOUNTS", "nobody") == (error.value.event_store_id, error.value.aggregate_id)
    assert [] == calls


async def test_existing_handler_runs_again_after_a_conflict(
    accounts: AccountStore, commands: Commands
) -> None:
    """The second attempt is given the newer state."""
    await open_account(accounts)
    seen: list[int] = []

    @commands.existing_handler
    async def deposit(account: Account, amount: int) -> EventDraft[Deposited]:
        seen.append(account.version)
        if len(seen) == 1:
            await accounts.push_event(Deposited("a1", 2, payload=1))
        return Deposited.draft(payload=amount)

    assert Account("a1", 3, "Ada", 11) == await deposit("a1", 10)
    assert [1, 2] == seen


async def test_existing_command_on_another_store(
    accounts: AccountStore, commands: Commands
) -> None:
    """It stays a command of existing aggregates, alone and with all the others."""

    @commands.existing_handler
    def look(_: Account) -> None: ...

    elsewhere = accounts.using(InMemoryEventStorageAdapter())
    await open_account(elsewhere)

    assert isinstance(look.using(elsewhere), ExistingAggregateCommand)
    assert Account("a1", 1, "Ada") == await look.using(elsewhere)("a1")
    assert Account("a1", 1, "Ada") == await commands.using(elsewhere).run("look", "a1")
    with pytest.raises(AggregateNotFoundError):
        await look("a1")


def test_name_of_an_existing_handler_is_taken_once(commands: Commands) -> None:
    """Both kinds of handlers share their names."""

    @commands.handler
    def look(_: Account | None) -> None: ...

    def look_again(_: Account) -> None: ...

    look_again.__name__ = "look"

    with pytest.raises(ValueError, match="there is a command 'look' already"):
        commands.existing_handler(look_again)
    assert ["look"] == commands.names


def test_command_is_no_handler(commands: Commands) -> None:
    """A command that is decorated once more is refused."""

    @commands.handler
    def look(_: Account | None) -> None: ...

    again: Any = look

    with pytest.raises(TypeError, match="is a command already"):
        commands.existing_handler(again)


async def test_run_takes_any_arguments(accounts: AccountStore, commands: Commands) -> None:
    """A command that is called by its name gets its arguments by position or by keyword."""
    await open_account(accounts)

    @commands.existing_handler
    def deposit(_: Account, amount: int, *, times: int) -> list[EventDraft[Deposited]]:
        return [Deposited.draft(payload=amount)] * times

    assert Account("a1", 3, "Ada", 10) == await commands.run("deposit", "a1", 5, times=2)
