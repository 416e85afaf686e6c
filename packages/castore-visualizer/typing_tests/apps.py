"""The arguments of `create_app`, checked by type checkers and never run."""

from dataclasses import dataclass
from typing import assert_type

from starlette.applications import Starlette
from starlette.requests import Request

from castore_core import (
    AggregateCommands,
    Event,
    EventDraft,
    EventStore,
    JSONValue,
    NotificationMessageQueue,
    command,
    group_command,
    one,
)
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections import Projection, Relay
from castore_visualizer import Field, create_app, with_context


class Opened(Event, type="OPENED"):
    """An account was opened."""


@dataclass(frozen=True)
class Account:
    """An account."""

    aggregate_id: str
    version: int


def reduce_account(account: Account | None, event: Opened) -> Account:
    """Return the account after the event."""
    del account
    return Account(event.aggregate_id, event.version)


accounts = EventStore("ACCOUNTS", event_types=[Opened], reduce=reduce_account)
bookmarks = InMemoryBookmarkStorageAdapter()
queue = NotificationMessageQueue("QUEUE", source_event_stores=(accounts,))
ledger = Projection("ledger", event_stores=[accounts], bookmarks=bookmarks)
relay = Relay("relay", event_stores=[accounts], channels=[queue], bookmarks=bookmarks)
commands = AggregateCommands(accounts)


@commands.existing_handler
def audit(account: Account, *, times: int) -> list[EventDraft[Opened]]:
    """Open an account again and again."""
    return [Opened.draft() for _ in range(times + account.version)]


@group_command(one(accounts))
def rest(account: Account | None) -> None:
    """Do nothing."""
    del account


@command("OPEN", required_event_stores=(accounts,))
async def open_account(
    input: str, event_stores: tuple[EventStore[Opened, Account]], *, prefix: str
) -> None:
    """Open an account."""
    await event_stores[0].push_event(Opened(prefix + input, 1))


def mask(field: Field, value: JSONValue) -> JSONValue:
    """Hide names."""
    return "" if "name" in field.path else value


def is_admin(request: Request) -> bool:
    """Ask the session."""
    return bool(request.session)


async def is_staff(request: Request) -> bool:
    """Ask a database."""
    return bool(request.session)


app = create_app(
    [accounts],
    projections=[ledger, relay],
    message_channels=[queue],
    commands=[
        audit,
        rest,
        open_account,
        with_context(open_account, prefix="a"),
    ],
    mask=mask,
    authorize=is_admin,
)
assert_type(app, Starlette)
create_app(accounts, authorize=is_staff, allowed_hosts=["*"], token=None)

create_app("ACCOUNTS")  # type: ignore[arg-type]
create_app(accounts, commands=[mask])  # type: ignore[list-item]
create_app(accounts, projections=[queue])  # type: ignore[list-item]
