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
