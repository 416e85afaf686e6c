"""Façades for synchronous programs: Django, Flask, scripts.

    from castore_core.sync import SyncEventStore

Each façade stands for an asynchronous object, which it runs in an event loop with a thread of its
own. `castore_core` itself does not import them.
"""

from castore_core._sync.aggregate_commands import (
    SyncAggregateCommand,
    SyncAggregateCommands,
    SyncExistingAggregateCommand,
)
from castore_core._sync.channels import SyncMessageChannel, SyncStateCarryingMessageChannel
from castore_core._sync.commands import SyncCommand
from castore_core._sync.event_loop import EventLoopThread, run
from castore_core._sync.facade import Facade
from castore_core._sync.group_commands import SyncGroupCommand
from castore_core._sync.stores import SyncEventStore

__all__ = [
    "EventLoopThread",
    "Facade",
    "SyncAggregateCommand",
    "SyncAggregateCommands",
    "SyncCommand",
    "SyncEventStore",
    "SyncExistingAggregateCommand",
    "SyncGroupCommand",
    "SyncMessageChannel",
    "SyncStateCarryingMessageChannel",
    "run",
]
