"""Test helpers for applications, and contract test suites for authors of adapters.

Each name is imported when it is first asked for: pytest imports the package at its start, for the
plugin, also where no test uses it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from castore_test_tools import _asserts as _asserts  # before all other modules

if TYPE_CHECKING:
    from castore_test_tools._bookmark_contract import BookmarkStorageAdapterTests
    from castore_test_tools._channel_base import ChannelHarness, ReceivedMessage
    from castore_test_tools._channel_contract import MessageChannelAdapterTests
    from castore_test_tools._clock import FrozenClock
    from castore_test_tools._contract import overrides_contract
    from castore_test_tools._event_log_contract import EventLogTests
    from castore_test_tools._event_storage_contract import EventStorageAdapterTests
    from castore_test_tools._given import Given, Scenario, given
    from castore_test_tools._ids import IdGenerator
    from castore_test_tools._mock import MockConnectedEventStore, MockEventStore, mock_event_store
    from castore_test_tools._mute import (
        MutedConnectedEventStore,
        MutedEventStore,
        mute_event_store,
    )
    from castore_test_tools._race import Race, RaceError, race
    from castore_test_tools._recorded import RecordedMessage, RecordedMessageChannelAdapter
    from castore_test_tools._reducer_versions import check_reducer_version
    from castore_test_tools._run_projection import run_projection
    from castore_test_tools._snapshot_contract import SnapshotStorageAdapterTests

__all__ = [
    "BookmarkStorageAdapterTests",
    "ChannelHarness",
    "EventLogTests",
    "EventStorageAdapterTests",
    "FrozenClock",
    "Given",
    "IdGenerator",
    "MessageChannelAdapterTests",
    "MockConnectedEventStore",
    "MockEventStore",
    "MutedConnectedEventStore",
    "MutedEventStore",
    "Race",
    "RaceError",
    "ReceivedMessage",
    "RecordedMessage",
    "RecordedMessageChannelAdapter",
    "Scenario",
    "SnapshotStorageAdapterTests",
    "check_reducer_version",
    "given",
    "mock_event_store",
    "mute_event_store",
    "overrides_contract",
    "race",
    "run_projection",
]

_HOMES: Final = {
    "BookmarkStorageAdapterTests": "_bookmark_contract",
    "ChannelHarness": "_channel_base",
    "EventLogTests": "_event_log_contract",
    "EventStorageAdapterTests": "_event_storage_contract",
    "FrozenClock": "_clock",
    "Given": "_given",
    "IdGenerator": "_ids",
    "MessageChannelAdapterTests": "_channel_contract",
    "MockConnectedEventStore": "_mock",
    "MockEventStore": "_mock",
    "MutedConnectedEventStore": "_mute",
    "MutedEventStore": "_mute",
    "Race": "_race",
    "RaceError": "_race",
    "ReceivedMessage": "_channel_base",
    "RecordedMessage": "_recorded",
    "RecordedMessageChannelAdapter": "_recorded",
    "Scenario": "_given",
    "SnapshotStorageAdapterTests": "_snapshot_contract",
    "check_reducer_version": "_reducer_versions",
    "given": "_given",
    "mock_event_store": "_mock",
    "mute_event_store": "_mute",
    "overrides_contract": "_contract",
    "race": "_race",
    "run_projection": "_run_projection",
}

if not TYPE_CHECKING:  # checkers would take it for a promise of every name

    def __getattr__(name: str) -> object:
        """Import a public name."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return public

    def __dir__() -> list[str]:
        """Name what can be imported."""
        return [*globals(), *_HOMES]
