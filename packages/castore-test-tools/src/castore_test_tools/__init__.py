"""Contract test suites for whoever writes an adapter of castore."""

from castore_test_tools import _asserts as _asserts  # before the suites
from castore_test_tools._bookmark_contract import BookmarkStorageAdapterTests
from castore_test_tools._channel_base import ChannelHarness, ReceivedMessage
from castore_test_tools._channel_contract import MessageChannelAdapterTests
from castore_test_tools._contract import overrides_contract
from castore_test_tools._event_log_contract import EventLogTests
from castore_test_tools._event_storage_contract import EventStorageAdapterTests
from castore_test_tools._snapshot_contract import SnapshotStorageAdapterTests

__all__ = [
    "BookmarkStorageAdapterTests",
    "ChannelHarness",
    "EventLogTests",
    "EventStorageAdapterTests",
    "MessageChannelAdapterTests",
    "ReceivedMessage",
    "SnapshotStorageAdapterTests",
    "overrides_contract",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_test_tools."):
        _public.__module__ = "castore_test_tools"  # what reprs, tracebacks and pickles name
