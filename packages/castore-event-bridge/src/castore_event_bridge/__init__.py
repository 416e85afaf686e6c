"""Messages of castore on EventBridge."""

from castore_event_bridge._adapter import EventBridgeMessageBusAdapter
from castore_event_bridge._lambda import EventBridgeHandler
from castore_event_bridge._pattern import event_pattern
from castore_event_bridge._received import (
    EventBridgeMessage,
    EventBridgeMessageContext,
    EventBridgeMessageParser,
    Handler,
)

__all__ = [
    "EventBridgeHandler",
    "EventBridgeMessage",
    "EventBridgeMessageBusAdapter",
    "EventBridgeMessageContext",
    "EventBridgeMessageParser",
    "Handler",
    "event_pattern",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_event_bridge."):
        _public.__module__ = "castore_event_bridge"  # what reprs, tracebacks and pickles name
