"""Messages of castore on SQS: a queue adapter, and what consumes its messages."""

from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._lambda import SQSHandler
from castore_sqs._received import Handler, SQSMessage, SQSMessageContext, SQSMessageParser

__all__ = [
    "Handler",
    "SQSHandler",
    "SQSMessage",
    "SQSMessageContext",
    "SQSMessageParser",
    "SQSMessageQueueAdapter",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_sqs."):
        _public.__module__ = "castore_sqs"  # what reprs, tracebacks and pickles name
