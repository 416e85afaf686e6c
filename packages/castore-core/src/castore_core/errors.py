"""Every error of castore, in one tree.

    CastoreError
    ├── InvalidEventError (ValueError)         an event, or an event type, that cannot be
    │   ├── InvalidEventTypeError                  its type is reserved, missing or taken
    │   └── InvalidEventDataError                  payload or metadata is not valid
    ├── InvalidCommandInputError (ValueError)  the input of a command is not valid
    ├── InvalidCommandOutputError              the output of a command's handler is not valid
    ├── IdempotencyKeyReusedError (ValueError) an idempotency key came with another input
    ├── NotJSONError (ValueError)              a payload, metadata or aggregate is not JSON
    ├── ForeignEventError                      an event of a type that the store does not have
    ├── InvalidEventGroupError                 a group that no adapter could push at once
    ├── EventAlreadyExistsError                the version is taken: somebody was faster
    │   └── VersionAssertionError              an aggregate is not at an asserted version
    ├── VersionGapError                        the version before is not stored
    ├── AggregateNotFoundError                 there is no event of this aggregate
    ├── ReducerError (TypeError)               a reducer returned no state of the aggregate
    ├── UnknownEventTypeError                  a stored event is of no type that the store knows
    ├── EventDecodeError                       a stored event does not fit its type any more
    ├── InvalidPageTokenError (ValueError)     the page token is damaged, or another store's
    ├── InvalidLogPositionError (ValueError)   a position is one of another kind of log
    ├── StorageError                           the backend of a storage adapter failed
    │   ├── TransactionAbortedError                a transaction of yours has to begin again
    │   └── UnknownOutcomeError                    the events of a push may be stored, or not
    ├── LeaseLostError                         somebody else holds the lease by now
    ├── UndefinedStorageAdapterError           the event store has no storage adapter
    ├── UndefinedAggregateCodecError           the event store has no aggregate codec
    ├── UndefinedReducerVersionError           the version of a reducer cannot be computed
    ├── UndefinedMessageChannelAdapterError    the channel has no adapter
    ├── MessageChannelEventStoreNotFoundError  the event store is no source of the channel
    ├── InvalidMessageError (ValueError)       a received body is not a message of the channel
    ├── TransactionNotPublishableError         a connected store, within a transaction of yours
    ├── MessagePublishError                    messages did not reach the channel
    └── EventPublishError                      events are stored, but were not published

Errors pickle, and carry what they speak of as attributes.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from castore_core._violation import Violation, join_violations

if TYPE_CHECKING:
    from castore_core._message import MessageRecord
    from castore_core._results import PushedEvent

__all__ = [
    "AggregateNotFoundError",
    "CastoreError",
    "EventAlreadyExistsError",
    "EventDecodeError",
    "EventPublishError",
    "ForeignEventError",
    "IdempotencyKeyReusedError",
    "InvalidCommandInputError",
    "InvalidCommandOutputError",
    "InvalidEventDataError",
    "InvalidEventError",
    "InvalidEventGroupError",
    "InvalidEventTypeError",
    "InvalidLogPositionError",
    "InvalidMessageError",
    "InvalidPageTokenError",
    "LeaseLostError",
    "MessageChannelEventStoreNotFoundError",
    "MessagePublishError",
    "NotJSONError",
    "ReducerError",
    "StorageError",
    "TransactionAbortedError",
    "TransactionNotPublishableError",
    "UndefinedAggregateCodecError",
    "UndefinedMessageChannelAdapterError",
    "UndefinedReducerVersionError",
    "UndefinedStorageAdapterError",
    "UnknownEventTypeError",
    "UnknownOutcomeError",
    "VersionAssertionError",
    "VersionGapError",
]


class CastoreError(Exception):
    """The root of all errors of castore.

    Their texts, and their reprs, hold ids and types and no values of payloads and metadata, so
    that they can be logged.
    """

    quotes_others: ClassVar[bool] = False
    """Whether the text repeats that of another error, such as a validator's or a server's."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class InvalidEventError(CastoreError, ValueError):
    """An event has a value that no event may have. Nothing was written."""

    def __init__(self, event_type: str, field: str, reason: str) -> None:
        super().__init__(event_type, field, reason)
        self.event_type = event_type
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} of {self.event_type} {self.reason}"


class InvalidEventTypeError(InvalidEventError):
    """An event type is reserved, missing, or the name of two classes of one store."""

    def __init__(self, event_type: str, reason: str) -> None:
        CastoreError.__init__(self, event_type, reason)
        self.event_type = event_type
        self.field = "type"
        self.reason = reason

    def __str__(self) -> str:
        return f"event type {self.event_type!r} {self.reason}"


class InvalidEventDataError(InvalidEventError):
    """The payload or the metadata of an event is not valid. Nothing was written.

    ``violations`` has every place that the validator found; ``field`` names that of the first.
    """

    quotes_others = True

    def __init__(self, event_type: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        CastoreError.__init__(self, event_type, self.violations)
        self.event_type = event_type
        self.field = "metadata" if self.violations[0].path.startswith("metadata") else "payload"
        self.reason: str = f"is not valid: {join_violations(self.violations)}"


class InvalidCommandInputError(CastoreError, ValueError):
    """The input of a command is not valid. The handler did not run."""

    quotes_others = True

    def __init__(self, command_id: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        super().__init__(command_id, self.violations)
        self.command_id = command_id

    def __str__(self) -> str:
        return (
            f"input of command {self.command_id!r} is not valid: {join_violations(self.violations)}"
        )


class InvalidCommandOutputError(CastoreError):
    """The output of a command's handler is not valid. The events that it pushed are written.

    With an idempotency key, nothing was written: ``is_written`` is false then.
    """

    quotes_others = True

    def __init__(self, command_id: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        super().__init__(command_id, self.violations)
        self.command_id = command_id
        self.is_written = True

    def __str__(self) -> str:
        outcome = "but what the command pushed is" if self.is_written else "and nothing was"
        return (
            f"output of command {self.command_id!r} is not valid, {outcome} written: "
            f"{join_violations(self.violations)}"
        )


class IdempotencyKeyReusedError(CastoreError, ValueError):
    """A command has run with this idempotency key and another input. This run wrote nothing.

    The text does not show the key, which may be private.
    """

    def __init__(self, command_id: str, key: str) -> None:
        super().__init__(command_id, key)
        self.command_id = command_id
        self.key = key

    def __str__(self) -> str:
        return (
            f"command {self.command_id!r} has run with this idempotency key and another input: "
            "give each request a key of its own"
        )


class NotJSONError(CastoreError, ValueError):
    """A value is not made of JSON values. Nothing was written.

    ``path`` leads to the offending value: ``payload.moves[2]``.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class ForeignEventError(CastoreError):
    """An event was given to a store that does not have its type. Nothing was written."""

    def __init__(self, event_store_id: str, event_type: str) -> None:
        super().__init__(event_store_id, event_type)
        self.event_store_id = event_store_id
        self.event_type = event_type

    def __str__(self) -> str:
        return (
            f"the class of an event of type {self.event_type!r} is not in the event_types of "
            f"event store {self.event_store_id!r}"
        )


class InvalidEventGroupError(CastoreError):
    """The events of a group cannot be pushed at once. Nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the event group cannot be pushed at once: {self.reason}"


class EventAlreadyExistsError(CastoreError):
    """The aggregate has an event of this version. Nothing was written.

    ``retryable`` is false once an event of the same call was written (the error came up in what
    runs after the write): commands do not run again then.
    """

    def __init__(self, event_store_id: str, aggregate_id: str, version: int) -> None:
        super().__init__(event_store_id, aggregate_id, version)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.retryable = True

    def __str__(self) -> str:
        return (
            f"aggregate {self.aggregate_id!r} of event store {self.event_store_id!r} "
            f"already has an event of version {self.version}"
        )


class VersionAssertionError(EventAlreadyExistsError):
    """An aggregate is not at the version that a group asserts. Nothing was written.

    ``version`` is the asserted one. It is a conflict, as a taken version is: commands run again.
    """

    def __str__(self) -> str:
        return (
            f"aggregate {self.aggregate_id!r} of event store {self.event_store_id!r} "
            f"is not at version {self.version}, as the group asserts"
        )


class VersionGapError(CastoreError):
    """The aggregate has no event of the version before this one. Nothing was written.

    It is no conflict, and commands do not run again: the version was not read from this storage,
    and would be the same the next time.
    """

    def __init__(self, event_store_id: str, aggregate_id: str, version: int) -> None:
        super().__init__(event_store_id, aggregate_id, version)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version

    def __str__(self) -> str:
        return (
            f"version {self.version} of aggregate {self.aggregate_id!r} cannot follow: event "
            f"store {self.event_store_id!r} has no event of version {self.version - 1}"
        )


class AggregateNotFoundError(CastoreError):
    """The aggregate has no event (up to the version that was asked for)."""

    def __init__(self, event_store_id: str, aggregate_id: str) -> None:
        super().__init__(event_store_id, aggregate_id)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id

    def __str__(self) -> str:
        return f"event store {self.event_store_id!r} has no aggregate {self.aggregate_id!r}"


class ReducerError(CastoreError, TypeError):
    """The reducer of a store did not return the state of the aggregate after an event."""

    def __init__(self, event_store_id: str, aggregate_id: str, version: int, reason: str) -> None:
        super().__init__(event_store_id, aggregate_id, version, reason)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the reducer of event store {self.event_store_id!r} {self.reason} after event "
            f"{self.version} of aggregate {self.aggregate_id!r}"
        )


class UnknownEventTypeError(CastoreError):
    """A stored event is of a type that its store neither has nor upcasts."""

    def __init__(
        self, event_store_id: str, aggregate_id: str, version: int, event_type: str
    ) -> None:
        super().__init__(event_store_id, aggregate_id, version, event_type)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.event_type = event_type

    def __str__(self) -> str:
        return (
            f"event {self.version} of aggregate {self.aggregate_id!r} is of type "
            f"{self.event_type!r}, which event store {self.event_store_id!r} does not have: "
            "add the type to event_types, or an upcaster"
        )


class EventDecodeError(CastoreError):
    """A stored event does not fit its type: a field is missing, or was refused by its codec."""

    quotes_others = True

    def __init__(
        self, event_store_id: str, aggregate_id: str, version: int, event_type: str, reason: str
    ) -> None:
        super().__init__(event_store_id, aggregate_id, version, event_type, reason)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.event_type = event_type
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"event {self.version} of aggregate {self.aggregate_id!r} in event store "
            f"{self.event_store_id!r} is no {self.event_type!r}: {self.reason}"
        )


class InvalidPageTokenError(CastoreError, ValueError):
    """A page token is damaged, was made by something else, or belongs to another store."""

    def __init__(self, event_store_id: str, reason: str) -> None:
        super().__init__(event_store_id, reason)
        self.event_store_id = event_store_id
        self.reason = reason

    def __str__(self) -> str:
        return f"the page token is not one of event store {self.event_store_id!r}: {self.reason}"


class InvalidLogPositionError(CastoreError, ValueError):
    """A position is not one of this log."""

    def __init__(self, position: str, reason: str) -> None:
        super().__init__(position, reason)
        self.position = position
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.position!r:.100} is not a position of this log: {self.reason}"


class StorageError(CastoreError):
    """The backend of a storage adapter failed; the backend's own error is the ``__cause__``."""

    quotes_others = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class TransactionAbortedError(StorageError):
    """A transaction of yours cannot go on, because of another one: begin it again.

    The database found a deadlock, or a serialization failure. Nothing of the transaction is
    written, of events and of rows of your own.
    """


class UnknownOutcomeError(StorageError):
    """It is not known whether the events of a push were stored: its answer was lost.

    The adapter has tried to find out, and could not. No command runs again, since the events may
    be there, unless it has an idempotency key. Read the aggregate before you push again. The values
    are those of the event or, in a group, of its first event; all the events of a group are stored,
    or none.
    """

    def __init__(
        self,
        event_store_id: str,
        aggregate_id: str,
        version: int,
        reason: str = "the answer of the storage was lost",
    ) -> None:
        CastoreError.__init__(self, event_store_id, aggregate_id, version, reason)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the outcome of the push of event {self.version} of aggregate {self.aggregate_id!r} "
            f"to event store {self.event_store_id!r} is unknown; read the aggregate before you "
            f"push again: {self.reason}"
        )


class LeaseLostError(CastoreError):
    """A bookmark was to be moved by an owner that does not hold its lease. Nothing was written."""

    def __init__(self, bookmark_id: str, owner: str) -> None:
        super().__init__(bookmark_id, owner)
        self.bookmark_id = bookmark_id
        self.owner = owner

    def __str__(self) -> str:
        return f"{self.owner!r} does not hold the lease of bookmark {self.bookmark_id!r}"


class UndefinedStorageAdapterError(CastoreError):
    """The event store has no storage adapter."""

    def __init__(self, event_store_id: str) -> None:
        super().__init__(event_store_id)
        self.event_store_id = event_store_id

    def __str__(self) -> str:
        return f"event store {self.event_store_id!r} has no storage adapter: set storage_adapter"


class UndefinedAggregateCodecError(CastoreError):
    """The event store has no codec for its aggregates, and one is needed."""

    def __init__(self, event_store_id: str) -> None:
        super().__init__(event_store_id)
        self.event_store_id = event_store_id

    def __str__(self) -> str:
        return (
            f"event store {self.event_store_id!r} cannot turn its aggregates into JSON: "
            "give it an aggregate_codec"
        )


class UndefinedReducerVersionError(CastoreError):
    """The version of a reducer cannot be computed from its sources. Give it one."""

    def __init__(self, event_store_id: str, reason: str) -> None:
        super().__init__(event_store_id, reason)
        self.event_store_id = event_store_id
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the reducer of event store {self.event_store_id!r} has no version, and none can be "
            f"computed: {self.reason}. Give one: Snapshots(..., reducer_version='1')"
        )


class UndefinedMessageChannelAdapterError(CastoreError):
    """The message channel has no adapter."""

    def __init__(self, message_channel_id: str) -> None:
        super().__init__(message_channel_id)
        self.message_channel_id = message_channel_id

    def __str__(self) -> str:
        return (
            f"message channel {self.message_channel_id!r} has no adapter: "
            "set message_channel_adapter"
        )


class MessageChannelEventStoreNotFoundError(CastoreError):
    """A message is about an event store that is not a source of the channel."""

    def __init__(self, message_channel_id: str, event_store_id: str) -> None:
        super().__init__(message_channel_id, event_store_id)
        self.message_channel_id = message_channel_id
        self.event_store_id = event_store_id

    def __str__(self) -> str:
        return (
            f"event store {self.event_store_id!r} is not a source of message channel "
            f"{self.message_channel_id!r}"
        )


class InvalidMessageError(CastoreError, ValueError):
    """A received body is not a message of the channel."""

    quotes_others = True

    def __init__(self, message_channel_id: str, reason: str) -> None:
        super().__init__(message_channel_id, reason)
        self.message_channel_id = message_channel_id
        self.reason = reason

    def __str__(self) -> str:
        return f"not a message of channel {self.message_channel_id!r}: {self.reason}"


class TransactionNotPublishableError(CastoreError):
    """A connected store was to push within a transaction of yours. Nothing was written.

    Its messages would be published before you commit, and could not be taken back.
    """

    def __init__(self, event_store_id: str) -> None:
        super().__init__(event_store_id)
        self.event_store_id = event_store_id

    def __str__(self) -> str:
        return (
            "events pushed within a transaction of yours are not published, since it may be rolled "
            f"back: push through event store {self.event_store_id!r} itself, and publish with a "
            "relay once the transaction has committed"
        )


class MessagePublishError(CastoreError):
    """Some messages did not reach the channel; those that are not named here did.

    ``failures`` pairs each message that did not go with the reason.
    """

    quotes_others = True

    def __init__(self, failures: "Sequence[tuple[MessageRecord, str]]") -> None:
        super().__init__(failures)
        self.failures: tuple[tuple[MessageRecord, str], ...] = tuple(failures)

    def __str__(self) -> str:
        reasons = "; ".join({reason: None for _, reason in self.failures})
        return f"{len(self.failures)} message(s) were not published: {reasons}"

    def find_refused(self, messages: "Iterable[MessageRecord]") -> list[int]:
        """Return the indexes of the messages that did not reach the channel.

        These are the messages of the aggregates that ``failures`` names, or all messages where it
        names none of them.
        """
        aggregates = [(each.event_store_id, each.aggregate_id) for each in messages]
        refused = {(each.event_store_id, each.aggregate_id) for each, _ in self.failures}
        found = [index for index, each in enumerate(aggregates) if each in refused]
        return found or [*range(len(aggregates))]


class EventPublishError(CastoreError):
    """The event is stored, but its message was not published: the ``__cause__`` says why.

    ``pushed_event`` is the result that the push would have had. Publish its message again, or
    leave that to a relay; do not push again. ``others`` are the further errors that followed the
    same write: of other events of a group, or of ``on_event_pushed``.
    """

    def __init__(
        self, event_store_id: str, message_channel_id: str, pushed_event: "PushedEvent[Any, Any]"
    ) -> None:
        super().__init__(event_store_id, message_channel_id, pushed_event)
        self.event_store_id = event_store_id
        self.message_channel_id = message_channel_id
        self.pushed_event = pushed_event
        self.others: tuple[Exception, ...] = ()

    def __str__(self) -> str:
        event = self.pushed_event.event
        return (
            f"event {event.version} of aggregate {event.aggregate_id!r} is stored in event store "
            f"{self.event_store_id!r}, but was not published to {self.message_channel_id!r}"
        )


def describe(error: BaseException) -> str:
    """Return the text of an error that may be logged: of others than castore's, the type alone.

    A `ValueError` of ours, of a codec or of a parser speaks for itself.
    """
    if isinstance(error, (CastoreError, ValueError)):
        return str(error)
    return f"{type(error).__qualname__} was raised"
