"""Messages of castore on SQS."""

from castore_sqs._received import Handler, SQSMessage, SQSMessageContext, SQSMessageParser

__all__ = [
    "Handler",
    "SQSMessage",
    "SQSMessageContext",
    "SQSMessageParser",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_sqs."):
        _public.__module__ = "castore_sqs"  # what reprs, tracebacks and pickles name
