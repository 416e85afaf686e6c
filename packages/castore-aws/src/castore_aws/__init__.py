"""Shared by the AWS adapters of castore: clients, retries, batches and the S3 claim check."""

from castore_aws._batches import Refusal, SendBatch, send_batches
from castore_aws._claim_check import S3ClaimCheck
from castore_aws._client import AWSClient, Client
from castore_aws._entries import BatchLimits, Entry, MakeEntry, Unsent, make_entries
from castore_aws._faults import (
    AWS_ERRORS,
    describe_fault,
    get_error_code,
    get_error_response,
    is_retryable,
    is_retryable_code,
)
from castore_aws._options import check_options
from castore_aws._received import ReceivedMessage, receive_message
from castore_aws._retries import RetryPolicy
from castore_aws._sizes import count_bytes

__all__ = [
    "AWSClient",
    "AWS_ERRORS",
    "BatchLimits",
    "Client",
    "Entry",
    "MakeEntry",
    "ReceivedMessage",
    "Refusal",
    "RetryPolicy",
    "S3ClaimCheck",
    "SendBatch",
    "Unsent",
    "check_options",
    "count_bytes",
    "describe_fault",
    "get_error_code",
    "get_error_response",
    "is_retryable",
    "is_retryable_code",
    "make_entries",
    "receive_message",
    "send_batches",
]
