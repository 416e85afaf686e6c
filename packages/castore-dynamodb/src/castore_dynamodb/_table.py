"""A table of DynamoDB: what is said to it, and what its errors mean."""

from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from castore_aws import (
    AWS_ERRORS,
    AWSClient,
    describe_fault,
    get_error_code,
    get_error_response,
    is_retryable,
)
from castore_core import StorageError
from castore_dynamodb._items import Item
from castore_dynamodb._legacy import find_layout_error
from castore_dynamodb._marshal import AttributeValue, read_number

_MAX_LIMIT = 2**31 - 1  # DynamoDB's integers; a page of 1 MB has fewer items
_CONDITION_FAILED = "ConditionalCheckFailed"
# These go away when the other transaction is over, or this one's first attempt, or the write in
# another region, where a global table is strongly consistent.
_BUSY_CODES = frozenset(
    {
        "ReplicatedWriteConflictException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_BUSY_REASONS = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)


class LostAnswerError(Exception):
    """A write failed, and an attempt of it may have been carried out before."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedError(Exception):
    """A condition did not hold, and nothing was written.

    ``found`` has, for each of the writes, the item that was in its way (empty where the server
    does not tell), or ``None`` where nothing was.
    """

    def __init__(self, found: Sequence[Item | None]) -> None:
        super().__init__(found)
        self.found = found


class KeyRange(NamedTuple):
    """The items of one partition whose sort key is within bounds, if any, both inclusive."""

    partition_name: str
    partition: AttributeValue
    sort_name: str
    lower: AttributeValue | None = None
    upper: AttributeValue | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the bounds exclude each other, which DynamoDB would call an error."""
        if self.lower is None or self.upper is None:
            return False
        if "N" in self.lower:
            return read_number(self.lower["N"]) > read_number(self.upper["N"])
        return bool(self.lower["S"] > self.upper["S"])

    def to_parameters(self) -> dict[str, Any]:
        """Return the parameters of a query."""
        bounds = {":lower": self.lower, ":upper": self.upper}
        values = {name: bound for name, bound in bounds.items() if bound is not None}
        names = {"#partition": self.partition_name} | ({"#sort": self.sort_name} if values else {})
        return {
            "KeyConditionExpression": f"#partition = :partition{_make_condition(values)}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {":partition": self.partition, **values},
        }


class Table:
    """One table, through a client."""

    def __init__(self, client: AWSClient, name: str) -> None:
        self.client = client
        self.name = name

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of DynamoDB.

        Raises:
            RefusedError: a condition did not hold.
            LayoutError: the index is that of another layout.
            StorageError: from any other error.
        """
        return await self._call(operation, parameters, _is_retryable)

    async def call_once(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation as `call` does, and leave a failure at that."""
        return await self._call(operation, parameters, lambda _: False)

    async def write(self, operation: str, **parameters: Any) -> None:
        """Call an operation that writes.

        Raises:
            LostAnswerError: from the last error, where an answer may have been lost.
            RefusedError, StorageError: as in `call`.
        """
        was_lost = False

        def is_retryable(error: Exception) -> bool:
            nonlocal was_lost
            was_lost = was_lost or _may_be_carried_out(error)
            return _is_retryable(error)

        try:
            await self._call(operation, parameters, is_retryable)
        except StorageError as error:
            if was_lost or _may_be_carried_out(error.__cause__ or error):
                raise LostAnswerError(error.reason) from error.__cause__
            raise

    async def _call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        is_retryable: Callable[[Exception], bool],
    ) -> dict[str, Any]:
        try:
            return await self.client.call(operation, parameters, is_retryable=is_retryable)
        except AWS_ERRORS as error:
            if found := _find_refusals(error):
                raise RefusedError(found) from error
            if layout_error := find_layout_error(self.name, error):
                raise layout_error from error
            raise StorageError(f"{operation}: {describe_fault(error)}") from error

    async def query(
        self,
        keys: KeyRange,
        *,
        limit: int | None = None,
        reverse: bool = False,
        start_key: Item | None = None,
        **parameters: Any,
    ) -> list[Item]:
        """Read the items of a range, at most ``limit``, page after page."""
        found: list[Item] = []
        if keys.is_empty:
            return found
        parameters |= {"TableName": self.name, **keys.to_parameters()}
        if reverse:
            parameters["ScanIndexForward"] = False
        while True:
            rest = None if limit is None else min(limit - len(found), _MAX_LIMIT)
            page: dict[str, Any] = {} if rest is None else {"Limit": rest}
            page |= {} if start_key is None else {"ExclusiveStartKey": start_key}
            response = await self.call("query", **parameters, **page)
            found += response["Items"]
            start_key = response.get("LastEvaluatedKey")  # also after a page without items
            if not start_key or len(found) == limit:
                return found


def _make_condition(bounds: Collection[str]) -> str:
    """Return the condition of the sort key: what is not bounded costs no comparison."""
    match [*bounds]:
        case []:
            return ""
        case [":lower"]:
            return " AND #sort >= :lower"
        case [":upper"]:
            return " AND #sort <= :upper"
        case _:
            return " AND #sort BETWEEN :lower AND :upper"


def _is_retryable(error: Exception) -> bool:
    if is_retryable(error) or get_error_code(error) in _BUSY_CODES:
        return True
    reasons = {each.get("Code") for each in _get_reasons(error)}
    return bool(reasons & _BUSY_REASONS) and _CONDITION_FAILED not in reasons


def _may_be_carried_out(error: BaseException) -> bool:
    """Tell whether a call that failed, or an attempt of the client's before it, was carried out.

    The client tells how often it has tried again, and not after which errors.
    """
    answer = get_error_response(error)
    if not answer:
        return is_retryable(error)  # the connection failed
    metadata = answer.get("ResponseMetadata", {})
    status: int = metadata.get("HTTPStatusCode", 0)
    retries: int = metadata.get("RetryAttempts", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or retries > 0


def _find_refusals(error: Exception) -> list[Item | None]:
    if get_error_code(error) == "ConditionalCheckFailedException":
        return [get_error_response(error).get("Item", {})]
    found = [
        each.get("Item", {}) if each.get("Code") == _CONDITION_FAILED else None
        for each in _get_reasons(error)
    ]
    return found if any(each is not None for each in found) else []


def _get_reasons(error: Exception) -> Sequence[Mapping[str, Any]]:
    """Return why a transaction was cancelled: a reason for each of its writes."""
    reasons: Sequence[Mapping[str, Any]] = get_error_response(error).get("CancellationReasons", ())
    return reasons
