"""Options of several commands."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from castore_cli import UsageError
from castore_core import EventStore
from castore_dam._checkpoints import FileCheckpoint
from castore_dam._rate import RateLimit


def _check_rate(type_: Any, value: float | None) -> None:  # noqa: ARG001 cyclopts gives it
    RateLimit(value)


Rate: TypeAlias = Annotated[float, Parameter(validator=_check_rate)]
"""A number of things a second: more than 0, also a fraction."""

Names: TypeAlias = Annotated[tuple[str, ...], Parameter(negative=())]
"""An option that may be given several times."""


def make_checkpoint(path: Path | None) -> FileCheckpoint | None:
    """Return the checkpoint that a user names."""
    return None if path is None else FileCheckpoint(path)


def parse_pairs(option: str, pairs: Iterable[str]) -> list[tuple[str, str]]:
    """Take values of an option apart: ``STORE=VALUE``.

    Raises:
        UsageError: one has no equals sign.
    """
    parsed: list[tuple[str, str]] = []
    for each in pairs:
        name, sign, value = each.partition("=")
        if not sign:
            raise UsageError(f"{option} takes the id of an event store and '=': {each!r} has none")
        parsed.append((name, value))
    return parsed


def describe_stores(address: str, stores: Iterable[EventStore]) -> str:
    """Name event stores in a question, with what stores them."""
    named = (
        f"{each.event_store_id!r} on {type(each.get_storage_adapter()).__name__}" for each in stores
    )
    return f"{address} ({', '.join(named)})"
