"""Channels: which stores they carry, and their messages where the process has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from castore_core import MessageChannel, MessageRecord, format_error
from castore_visualizer._inventory import iter_channels
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site

MOST_SHOWN = 50


@dataclass(frozen=True)
class _Message:
    """A message that waits, or that failed for good; ``note`` says how."""

    record: MessageRecord
    note: str


@dataclass(frozen=True)
class _Channel:
    """A channel. Messages are ``None`` where its adapter keeps them elsewhere."""

    channel: MessageChannel[Any]
    kind: str
    adapter: str | None
    connected: Sequence[str]
    pending: Sequence[_Message] | None
    dead: Sequence[_Message] | None


async def show_messages(request: Request) -> Response:
    """Show the channels of the program."""
    site = get_site(request)
    channels = [_describe(site, each) for each in site.inventory.channels.values()]
    return render(request, "messages.html", channels=channels, most=MOST_SHOWN)


def _describe(site: Site, channel: MessageChannel[Any]) -> _Channel:
    adapter: Any = channel.message_channel_adapter
    connected = [
        name
        for name, each in site.inventory.stores.items()
        if any(carrier is channel for carrier in iter_channels(each))
    ]
    return _Channel(
        channel,
        type(channel).__name__,
        None if adapter is None else type(adapter).__name__,
        connected,
        _list_pending(getattr(adapter, "pending", None)),
        _list_dead(site, getattr(adapter, "dead_letters", None)),
    )


def _list_pending(pending: Any) -> list[_Message] | None:
    if pending is None:
        return None
    return [_Message(each.message, "a replay" if each.replay else "") for each in pending]


def _list_dead(site: Site, letters: Any) -> list[_Message] | None:
    if letters is None:
        return None
    return [
        _Message(
            each.message,
            site.masking.apply_to_text(
                each.message.event_store_id, "error", format_error(each.error)
            ),
        )
        for each in reversed(letters)
    ]
