"""A check that nobody forgets to raise the version of a reducer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from castore_core import EventStore, ReducerSources
from castore_test_tools._mock import check_event_store


def check_reducer_version(event_store: EventStore, path: str | Path) -> None:
    """Fail when a reducer has changed, and the ``reducer_version`` that you gave it has not.

    Call it in a test, for each store whose `castore_core.Snapshots` have a ``reducer_version``::

        def test_the_version_of_the_reducer() -> None:
            check_reducer_version(pokemons, Path(__file__).with_name("pokemons.json"))

    The file records the version and the digests of the sources that count: see
    `castore_core.ReducerSources`. Where it is missing, or of another version, it is written, and
    the check fails once, so that you commit it.

    Raises:
        AssertionError: the sources changed and the version did not, or the file was written.
        UndefinedReducerVersionError: there are no sources, or not of everything.
        ValueError: the store has no snapshots, or its reducer's version is computed.
    """
    __tracebackhide__ = True
    check_event_store(event_store)
    store_id = event_store.event_store_id
    version = None if event_store.snapshots is None else event_store.snapshots.reducer_version
    if version is None:
        raise ValueError(
            f"event store {store_id!r} has no Snapshots(..., reducer_version=...): there is "
            "nothing to check where the version is computed"
        )
    path, digests = Path(path), ReducerSources.of(event_store).digests
    recorded = _read(path)
    if recorded.get("reducer_version") != version:
        value = {"reducer_version": version, "sources": {**digests}}
        path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        raise AssertionError(
            f"the sources of reducer version {version!r} of event store {store_id!r} are recorded "
            f"in {path} now: commit the file. The next run passes."
        )
    changed = _find_changes(recorded.get("sources", {}), digests)
    if changed:
        raise AssertionError(
            f"the reducer of event store {store_id!r} has changed ({', '.join(changed)}), and its "
            f"version is {version!r} as before: aggregates would go on from snapshots of the old "
            "one. Give Snapshots another reducer_version. If the change makes no difference to any "
            f"aggregate, delete {path} and run the test twice."
        )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


def _find_changes(recorded: Mapping[str, str], digests: Mapping[str, str]) -> list[str]:
    names = sorted({*recorded, *digests})
    return [each for each in names if recorded.get(each) != digests.get(each)]
