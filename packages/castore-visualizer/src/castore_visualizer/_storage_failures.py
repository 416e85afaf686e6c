"""Storages that fail: pages show what the others have, and say which stores they lack."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from castore_visualizer._error_texts import quote_error
from castore_visualizer._masking import Masking

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds that a page waits for a storage by default, before it shows the others without it."""


class NoAnswerError(Exception):
    """A storage takes longer than a page waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"its storage did not answer within {self.seconds:g} s"


class StorageFailure(NamedTuple):
    """The error of a storage, and the ids of the stores that it keeps from being read."""

    store_ids: Sequence[str]
    error: Exception


class ShownFailure(NamedTuple):
    """The masked text of an error, and the ids of all stores that have it."""

    store_ids: Sequence[str]
    text: str


async def attempt(reading: Awaitable[T], patience: float | None) -> T | Exception:
    """Return what a storage answers, or its error: storages are the user's, and raise anything."""
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            return await reading
    except Exception as error:  # noqa: BLE001 as above
        if patience is not None and limit.expired():
            return NoAnswerError(patience)
        return error


def show_failures(masking: Masking, failures: Iterable[StorageFailure]) -> list[ShownFailure]:
    """Return what is shown of some errors, each text once. Masks are asked for each store."""
    by_text: dict[str, list[str]] = {}
    for store_ids, error in failures:
        for each in store_ids:
            text = masking.apply_to_text(each, "error", quote_error(error))
            by_text.setdefault(text, []).append(each)
    return [ShownFailure(store_ids, text) for text, store_ids in by_text.items()]
