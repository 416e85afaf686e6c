"""Reports of listeners, for the user's hook and for the log.

Errors and messages are no part of a ``repr``: they may hold values of the payload.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, assert_never

from castore_core import format_error, name_type
from castore_core.workers import LogWarning, Reporter

_logger = logging.getLogger("castore_redis")


@dataclass(frozen=True)
class ConnectionLost:
    """The listener hears nothing. It connects again after ``delay`` seconds.

    ``failures`` counts from 1 how often that happened since it heard something.
    """

    failures: int
    delay: float
    error: Exception = field(repr=False)


@dataclass(frozen=True)
class MessagesMissed:
    """The listener is subscribed again. It may have missed what was published meanwhile.

    ``since`` is the moment of its last sign of life from the server, ``until`` that of the new
    subscription. Both are in UTC, by the clock of the listener.
    """

    since: datetime
    until: datetime


@dataclass(frozen=True)
class MessageNotRead:
    """An arrival on a channel is no message of the bus. It is passed over."""

    channel: str
    error: Exception = field(repr=False)


@dataclass(frozen=True)
class HandlerFailed:
    """A handler raised ``error``. The listener goes on with the next message."""

    handler: str
    channel: str
    message: object = field(repr=False)
    error: BaseException = field(repr=False)


ListenerReport: TypeAlias = ConnectionLost | MessagesMissed | MessageNotRead | HandlerFailed

ListenerHook: TypeAlias = Callable[[ListenerReport], object]


def make_reporter(hook: ListenerHook | None) -> Reporter:
    """Return what logs reports, and calls the user's hook with each."""
    return Reporter(hook, logger=_logger, describe=_describe)


def _describe(report: ListenerReport) -> LogWarning:
    match report:
        case ConnectionLost(failures, delay, error):
            text = "a listener lost its connection (%d), next in %.1f s: %s"
            return text, failures, delay, error
        case MessagesMissed(since, until):
            return "a listener may have missed messages from %s until %s", since, until
        case MessageNotRead(channel, error):
            return "a message on %s was not read: %s", channel, _show(error)
        case HandlerFailed(handler, channel, _, error):
            return "%s raised on a message on %s: %s", handler, channel, _show(error)
        case _:
            assert_never(report)


def _show(error: BaseException) -> str:
    return f"{name_type(error)}\n{format_error(error)}"
