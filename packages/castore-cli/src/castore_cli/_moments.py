"""Moments on the command line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token

from castore_core import parse_timestamp


def _convert(type_: Any, tokens: Sequence[Token]) -> datetime:  # noqa: ARG001 cyclopts gives it
    text = tokens[0].value
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment of ISO 8601, as are 2026-01-31 and 2026-01-31T10:00+01:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return parse_timestamp(moment.isoformat())


Moment: TypeAlias = Annotated[
    datetime, Parameter(converter=_convert, metavar="MOMENT", accepts_keys=False, n_tokens=1)
]
"""A moment in ISO 8601, such as ``2026-01-31T10:00+01:00``; in UTC where it names no offset.

A date is its midnight, at which the day begins.
"""
