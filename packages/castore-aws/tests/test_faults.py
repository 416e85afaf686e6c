"""Which errors go away by themselves."""

from collections.abc import Callable

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from castore_aws import AWS_ERRORS, get_error_code, get_error_response, is_retryable

URL = "https://dynamodb"

ErrorFactory = Callable[..., ClientError]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestLimitExceeded", 400),
        ("SlowDown", 503),
        ("InternalServerError", 500),
        ("Unheard", 502),
        ("504", 504),
    ],
)
def test_throttling_and_failures_of_aws_are_retryable(
    make_error: ErrorFactory, code: str, status: int
) -> None:
    """The call was well-formed, and AWS could not carry it out."""
    assert is_retryable(make_error(code, status))


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failures_of_the_connection_are_retryable(error: Exception) -> None:
    """AWS was not reached, or its answer was lost."""
    assert is_retryable(error)


@pytest.mark.parametrize(
    "code",
    [
        "ValidationException",
        "AccessDeniedException",
        "ConditionalCheckFailedException",
        "ResourceNotFoundException",
        "TransactionConflictException",
        "TransactionCanceledException",
    ],
)
def test_what_aws_refuses_is_not_retryable(make_error: ErrorFactory, code: str) -> None:
    """The same call would be refused again, or its caller has to decide."""
    assert not is_retryable(make_error(code))


@pytest.mark.parametrize(
    "error",
    [NoCredentialsError(), ParamValidationError(report="no Item"), ValueError("x")],
    ids=lambda error: type(error).__name__,
)
def test_mistakes_of_the_program_are_not_retryable(error: Exception) -> None:
    """Nothing was sent, and nothing will be."""
    assert not is_retryable(error)


@pytest.mark.parametrize("error", [ConnectionClosedError(endpoint_url=URL), ValueError("x")])
def test_an_error_without_an_answer(error: Exception) -> None:
    """It has no code and no response, and to ask for them is no error."""
    assert ("", {}) == (get_error_code(error), get_error_response(error))


def test_the_code_of_an_answer(make_error: ErrorFactory) -> None:
    """It is the name that AWS gives the error."""
    error = make_error("ValidationException")

    assert "ValidationException" == get_error_code(error)
    assert isinstance(error, AWS_ERRORS)
