"""The request of a push to DynamoDB: one PutItem, or the operations of one transaction."""

from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    EventRecord,
    InvalidEventGroupError,
    StorageError,
    UnknownOutcomeError,
    VersionAssertionError,
    VersionGapError,
)
from castore_dynamodb._items import (
    AGGREGATE_ID,
    VERSION,
    WRITE_TOKEN,
    make_key,
    record_to_item,
)
from castore_dynamodb._sizes import get_item_size
from castore_dynamodb._table import LostAnswerError, RefusedError, Table

MAX_OPERATIONS: Final = 100
"""Of a transaction."""

_MAX_SIZE = 4 * 1024 * 1024  # bytes
_STORED = "attribute_exists(#version)"
_NOT_STORED = "attribute_not_exists(#version)"

_Aggregate: TypeAlias = tuple[str, str]  # table, partition key
_Place: TypeAlias = tuple[str, str, str]  # and sort key
_Subject: TypeAlias = tuple[str, str, int]  # event store, aggregate, version
_Refusal: TypeAlias = EventAlreadyExistsError | VersionGapError


class EventWrite(NamedTuple):
    """An event to write."""

    table_name: str
    event_store_id: str
    record: EventRecord
    allow_gaps: bool


class Assertion(NamedTuple):
    """The version that an aggregate, which is not written, has to be at."""

    table_name: str
    event_store_id: str
    aggregate_id: str
    version: int


class Operation(NamedTuple):
    """A write or a check of one item, and the error that a refusal means, with its values."""

    kind: Literal["Put", "ConditionCheck"]
    parameters: dict[str, Any]
    refusal: type[_Refusal]
    subject: _Subject

    @property
    def place(self) -> _Place:
        """The item that it is about; a transaction has one operation for each item."""
        key = self.parameters["Item" if self.kind == "Put" else "Key"]
        return self.parameters["TableName"], key[AGGREGATE_ID]["S"], key[VERSION]["N"]

    def to_error(self) -> CastoreError:
        """Return the error to raise where the condition does not hold."""
        return self.refusal(*self.subject)


def make_operations(
    writes: Sequence[EventWrite], assertions: Sequence[Assertion], token: str, *, force: bool
) -> list[Operation]:
    """Return what writes the events where the assertions hold.

    With ``force``, events are replaced, and gaps are not looked for. The operations are in the
    order in which their refusals count: a taken version is never called a gap.

    Raises:
        InvalidEventGroupError: it is more than a transaction takes, or two of it are about one
            item.
        VersionGapError: an event comes before its predecessor.
        InvalidEventError, StorageError: as in `record_to_item`.
    """
    puts = [_make_put(each, None if force else token) for each in writes]
    written = {each.place for each in puts}
    checks = _make_version_checks(assertions, {place[:2] for place in written})
    if not force:
        checks += _make_gap_checks(writes, written)
    _check_transaction(puts, checks)
    return puts + checks


async def send_operations(table: Table, operations: Sequence[Operation], token: str) -> None:
    """Carry out all the operations, or none.

    Raises:
        EventAlreadyExistsError, VersionAssertionError, VersionGapError: a condition does not hold.
        UnknownOutcomeError: an answer was lost, and no later one told whether the events are there.
        StorageError: DynamoDB failed, and nothing was written.
    """
    try:
        if len(operations) == 1 and operations[0].kind == "Put":  # half the price
            await table.write("put_item", **operations[0].parameters)
        else:
            items = [{each.kind: each.parameters} for each in operations]
            await table.write("transact_write_items", TransactItems=items, ClientRequestToken=token)
    except RefusedError as refusal:
        _raise_refusal(operations, refusal, token)
    except LostAnswerError as loss:
        raise _to_error(operations, loss) from loss.__cause__


def _to_error(operations: Sequence[Operation], loss: LostAnswerError) -> StorageError:
    """Return the error of a loss: the outcome of checks alone, which write nothing, is known."""
    first = operations[0]
    return (
        UnknownOutcomeError(*first.subject, loss.reason)
        if first.kind == "Put"
        else StorageError(loss.reason)
    )


def _raise_refusal(operations: Sequence[Operation], refusal: RefusedError, token: str) -> None:
    """Raise for the first operation that was refused, unless because of this very push.

    An earlier attempt, whose answer was lost, may have written the events. Then they carry its
    token, and every other refusal follows from that write.
    """
    if any(item and item.get(WRITE_TOKEN) == {"S": token} for item in refusal.found):
        return
    for operation, item in zip(operations, refusal.found, strict=True):
        if item is not None:
            raise operation.to_error() from refusal.__cause__


def _make_put(write: EventWrite, token: str | None) -> Operation:
    """Return what PutItem takes, and the Put of a transaction takes too."""
    table_name, event_store_id, record, _ = write
    subject = event_store_id, record.aggregate_id, record.version
    parameters = {
        "TableName": table_name,
        "Item": record_to_item(event_store_id, record, token),
    }
    if token is not None:
        parameters |= _make_condition(_NOT_STORED)
        parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return Operation("Put", parameters, EventAlreadyExistsError, subject)


def _make_gap_checks(writes: Sequence[EventWrite], written: Collection[_Place]) -> list[Operation]:
    """Check that the versions before are stored, unless the same push writes them earlier.

    Raises:
        VersionGapError: it writes one later. DynamoDB has no check of an item that is written.
    """
    checks: list[Operation] = []
    earlier: set[_Place] = set()
    for table_name, event_store_id, record, allow_gaps in writes:
        aggregate = table_name, make_key(event_store_id, record.aggregate_id)
        before = (*aggregate, str(record.version - 1))
        if record.version > 1 and not allow_gaps and before not in earlier:
            subject = event_store_id, record.aggregate_id, record.version
            if before in written:
                raise VersionGapError(*subject)
            checks.append(_make_check(before, _STORED, VersionGapError, subject))
        earlier.add((*aggregate, str(record.version)))
    return checks


def _make_version_checks(
    assertions: Sequence[Assertion], written: Collection[_Aggregate]
) -> list[Operation]:
    """Check that the last versions are stored, and the next ones are not.

    The core knows an aggregate by its adapter, but two adapters can be of one table.
    """
    found: dict[_Aggregate, Assertion] = {}
    for each in assertions:
        aggregate = each.table_name, make_key(each.event_store_id, each.aggregate_id)
        if aggregate in written:
            raise InvalidEventGroupError(
                f"it asserts the version of {each.aggregate_id!r}, and writes it"
            )
        if found.setdefault(aggregate, each).version != each.version:
            raise InvalidEventGroupError(f"it asserts two versions of {each.aggregate_id!r}")
    return [check for each in found.items() for check in _check_version(*each)]


def _check_version(aggregate: _Aggregate, assertion: Assertion) -> list[Operation]:
    conditions = [(assertion.version, _STORED), (assertion.version + 1, _NOT_STORED)]
    return [
        _make_check((*aggregate, str(each)), condition, VersionAssertionError, assertion[1:])
        for each, condition in conditions
        if each > 0
    ]


def _make_check(
    place: _Place, condition: str, refusal: type[_Refusal], subject: _Subject
) -> Operation:
    table_name, key, version = place
    parameters = {
        "TableName": table_name,
        "Key": {AGGREGATE_ID: {"S": key}, VERSION: {"N": version}},
        **_make_condition(condition),
    }
    return Operation("ConditionCheck", parameters, refusal, subject)


def _make_condition(condition: str) -> dict[str, Any]:
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#version": VERSION},
    }


def _check_transaction(puts: Sequence[Operation], checks: Sequence[Operation]) -> None:
    if len(puts) + len(checks) > MAX_OPERATIONS:
        raise InvalidEventGroupError(
            f"it has {len(puts)} events and {len(checks)} checks of versions, and a transaction "
            f"of DynamoDB at most {MAX_OPERATIONS} of both"
        )
    if (size := sum(get_item_size(each.parameters["Item"]) for each in puts)) > _MAX_SIZE:
        raise InvalidEventGroupError(
            f"it is {size} bytes, and a transaction of DynamoDB at most {_MAX_SIZE}"
        )
    taken: set[_Place] = set()
    for each in puts:
        if each.place in taken:
            _, aggregate_id, version = each.subject
            raise InvalidEventGroupError(
                f"it has two events of version {version} of {aggregate_id!r}"
            )
        taken.add(each.place)
