"""What the AWS adapters of castore share: clients of boto3 or aioboto3, and retries."""

from castore_aws._client import AWSClient, Client
from castore_aws._faults import AWS_ERRORS, get_error_code, get_error_response, is_retryable
from castore_aws._retries import RetryPolicy

__all__ = [
    "AWSClient",
    "AWS_ERRORS",
    "Client",
    "RetryPolicy",
    "get_error_code",
    "get_error_response",
    "is_retryable",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_aws."):
        _public.__module__ = "castore_aws"  # what reprs, tracebacks and pickles name
