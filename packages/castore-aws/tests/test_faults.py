"""Which errors go away by themselves."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from castore_aws import (
    AWS_ERRORS,
    describe_fault,
    get_error_code,
    get_error_response,
    is_retryable,
)

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


def test_a_throttled_key_of_a_queue_is_retryable() -> None:
    """The protocol of SQS has two codes for it, of which botocore gives the older one."""
    account: dict[str, Any] = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    config = Config(retries={"total_max_attempts": 1})
    client: Any = boto3.client("sqs", region_name="eu-west-1", config=config, **account)
    headers = {"x-amzn-query-error": "KMS.ThrottlingException;Sender"}
    body = b'{"__type":"com.amazonaws.sqs#KmsThrottled","message":"Rate exceeded"}'

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        raw: Any = SimpleNamespace(stream=lambda: iter([body]))
        return AWSResponse(request.url, 400, HTTPHeaders.from_dict(headers), raw)

    client.meta.events.register("before-send.sqs", answer)
    with pytest.raises(ClientError) as caught:
        client.send_message(QueueUrl="https://sqs.eu-west-1.amazonaws.com/1/q", MessageBody="{}")
    client.close()

    assert "KMS.ThrottlingException" == get_error_code(caught.value)
    assert is_retryable(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ResponseParserError("no XML"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failures_of_the_connection_are_retryable(error: Exception) -> None:
    """AWS was not reached, or its answer was lost, or was none of AWS."""
    assert is_retryable(error)
    assert isinstance(error, AWS_ERRORS)


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


def test_a_fault_in_one_line() -> None:
    """The code, and what AWS or the program says, as far as that is short."""
    response: Any = {"Error": {"Code": "ValidationException", "Message": "x" * 10_000}}

    assert f"ValidationException: {'x' * 500}" == describe_fault(ClientError(response, "Put"))
    assert f"ValueError: {'y' * 500}" == describe_fault(ValueError("y" * 10_000))
