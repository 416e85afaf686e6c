"""Storages that fail: pages show what the others have, and say which stores they lack."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from castore_visualizer._error_texts import quote_error
from castore_visualizer._masking import Masking


class StorageFailure(NamedTuple):
    """The error of a storage, and the ids of the stores that it keeps from being read."""

    store_ids: Sequence[str]
    error: Exception


class ShownFailure(NamedTuple):
    """The masked text of an error, and the ids of all stores that have it."""

    store_ids: Sequence[str]
    text: str


def show_failures(masking: Masking, failures: Iterable[StorageFailure]) -> list[ShownFailure]:
    """Return what is shown of some errors, each text once. Masks are asked for each store."""
    by_text: dict[str, list[str]] = {}
    for store_ids, error in failures:
        for each in store_ids:
            text = masking.apply_to_text(each, "error", quote_error(error))
            by_text.setdefault(text, []).append(each)
    return [ShownFailure(store_ids, text) for text, store_ids in by_text.items()]
