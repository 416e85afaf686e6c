"""The meaning of AWS errors: which ones go away by themselves."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

AWS_ERRORS: Final[tuple[type[Exception], ...]] = (BotoCoreError, ClientError, ResponseParserError)
"""All that a client of boto3 or aioboto3 raises, for an ``except``."""

# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_RETRYABLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalError",  # of one message of a batch
        "InternalException",  # of one event of a batch
        "InternalFailure",
        "InternalServerError",
        "KMS.ThrottlingException",  # of a queue that is encrypted; one error has two codes
        "KmsThrottled",
        "OverLimit",  # too many messages of a queue are in flight
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# Where AWS refuses a request as a whole, and so because of one of its entries perhaps.
_CODES_OF_CONTENTS = frozenset(
    {
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "RequestEntityTooLarge",
        "RequestEntityTooLargeException",
        "SerializationException",
        "ValidationError",
        "ValidationException",
    }
)
_CONNECTION_ERRORS = (
    botocore_errors.ConnectionError,
    botocore_errors.HTTPClientError,
    botocore_errors.IncompleteReadError,  # of a body that ended too early
    ResponseParserError,  # of an answer that is none of AWS, such as that of a proxy
)
_RETRYABLE_STATUSES = frozenset({500, 502, 503, 504})


def get_error_response(error: BaseException) -> Mapping[str, Any]:
    """Return what AWS answered with an error, or nothing where it did not answer."""
    return error.response if isinstance(error, ClientError) else {}


def get_error_code(error: BaseException) -> str:
    """Return the code of an error that AWS answered, such as ``ThrottlingException``, or ""."""
    return str(get_error_response(error).get("Error", {}).get("Code", ""))


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same call may go through a moment later.

    So it is when AWS throttles, when it fails itself (5xx), and when the connection failed: then
    the call may have been carried out, and only its answer was lost.
    """
    if isinstance(error, _CONNECTION_ERRORS):
        return True
    status = get_error_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in _RETRYABLE_STATUSES or get_error_code(error) in _RETRYABLE_CODES


def is_retryable_code(code: str) -> bool:
    """Tell whether a code that AWS gave to one entry of a batch goes away by itself."""
    return code in _RETRYABLE_CODES


def is_about_contents(error: BaseException) -> bool:
    """Tell whether a request was refused for what is in it: others may go through."""
    if isinstance(error, ParamValidationError):  # of the client, before it sends anything
        return True
    status = get_error_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (
        get_error_code(error) in _CODES_OF_CONTENTS
    )


def describe_fault(error: BaseException) -> str:
    """Return what went wrong in one line: the code and the message that AWS answered, if it did.

    A client that refuses its parameters quotes them, and so values of payloads: of its error there
    is the type alone.
    """
    if isinstance(error, ParamValidationError):
        return type(error).__name__
    answer = get_error_response(error).get("Error", {})
    if answer:
        return f"{answer.get('Code', '')}: {answer.get('Message', '')!s:.500}"
    return f"{type(error).__name__}: {error!s:.500}"
