"""Errors as the log shows them: types and places, and nothing of what messages carry."""

import traceback
from collections.abc import Iterator
from typing import Final, cast

from castore_core import (
    AggregateNotFoundError,
    EventAlreadyExistsError,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    UndefinedAggregateCodecError,
    UndefinedMessageChannelAdapterError,
    UndefinedStorageAdapterError,
    UnknownEventTypeError,
    VersionAssertionError,
    VersionGapError,
)

_MOST_ERRORS: Final = 20  # of a chain
_MOST_FRAMES: Final = 50  # of an error: the innermost
_PLAIN: Final[frozenset[type[BaseException]]] = frozenset(
    {
        AggregateNotFoundError,
        EventAlreadyExistsError,
        MessageChannelEventStoreNotFoundError,
        UndefinedAggregateCodecError,
        UndefinedMessageChannelAdapterError,
        UndefinedStorageAdapterError,
        UnknownEventTypeError,
        VersionAssertionError,
        VersionGapError,
    }
)
"""Errors whose texts hold nothing but ids."""


def describe_error(error: BaseException) -> str:
    """Return the type of an error and of its causes, and the lines of code that they came through.

    Their texts are left out: a validator, or ``KeyError``, shows values of the payload in them.
    """
    return "\ncaused by ".join(map(_describe, _get_chain(error)))


def get_type_name(error: BaseException) -> str:
    """Return the name of an error's type, with its module unless it is Python's own."""
    module, name = type(error).__module__, type(error).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def _describe(error: BaseException) -> str:
    text = get_type_name(error)
    if _is_plain(error):
        text += f": {error}"
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES)).rstrip()
    return f"{text}\n{frames}" if frames else text


def _is_plain(error: BaseException) -> bool:
    """Tell whether the text of an error may be shown.

    An `InvalidMessageError` repeats the text of the error that caused it, where there is one.
    """
    if type(error) is InvalidMessageError:
        return error.__cause__ is None
    return type(error) in _PLAIN


def _get_chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes; those in an exception group follow it."""
    chain: list[BaseException] = []
    waiting = [error]
    while waiting and len(chain) < _MOST_ERRORS:
        each = waiting.pop()
        if not any(each is other for other in chain):
            chain.append(each)
            waiting.extend(_get_causes(each))
    return chain


def _get_causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from cast("BaseExceptionGroup[BaseException]", error).exceptions
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
