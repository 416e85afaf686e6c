"""Errors as the log shows them: types and places, and nothing of what events carry."""

import traceback
from collections.abc import Iterator
from typing import Final, cast

from castore_core import (
    AggregateNotFoundError,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    ReducerError,
    UndefinedStorageAdapterError,
    UnknownEventTypeError,
)
from castore_dynamodb._items import NoEventError

_MOST: Final = 20  # errors of a chain
_PLAIN: Final[frozenset[type[BaseException]]] = frozenset(
    {
        AggregateNotFoundError,
        MessageChannelEventStoreNotFoundError,
        NoEventError,
        ReducerError,
        UndefinedStorageAdapterError,
        UnknownEventTypeError,
    }
)
"""Errors whose texts hold nothing but ids."""


def describe_error(error: BaseException) -> str:
    """Return the type of an error and of its causes, and the lines of code that they came through.

    Their texts are left out: a validator, or ``KeyError``, shows values of the payload in them.
    """
    return "\ncaused by ".join(map(_describe, _get_chain(error)))


def _get_chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes; those in an exception group follow it."""
    chain: list[BaseException] = []
    waiting = [error]
    while waiting and len(chain) < _MOST:
        each = waiting.pop()
        if not any(each is other for other in chain):
            chain.append(each)
            waiting += _get_causes(each)
    return chain


def _get_causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from cast("BaseExceptionGroup[BaseException]", error).exceptions
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__


def _describe(error: BaseException) -> str:
    text = f"{_get_type_name(error)}: {error}" if _is_plain(error) else _get_type_name(error)
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return f"{text}\n{frames}" if frames else text


def _get_type_name(error: BaseException) -> str:
    module, name = type(error).__module__, type(error).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def _is_plain(error: BaseException) -> bool:
    """Tell whether the text of an error may be shown.

    An `InvalidMessageError` may repeat the text of the error that caused it, where there is one.
    """
    if type(error) is InvalidMessageError:
        return error.__cause__ is None
    return type(error) in _PLAIN
