"""Telemetry: the one place where a program learns what the library does, and how long it takes."""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar

from castore_core._error_texts import format_error, name_type

P = ParamSpec("P")
T = TypeVar("T")

OperationKind: TypeAlias = Literal[
    "push", "read", "load", "command", "publish", "handle", "batch", "apply"
]
"""The kinds of operation: see `Operation`."""

NO_HEADERS: Final[Mapping[str, str]] = {}

_logger: Final = logging.getLogger("castore_core")


class Origin(NamedTuple):
    """Where something comes from: the headers of a message, and the metadata of its event.

    Either may name the trace that it belongs to. The headers are nearer: they were written later.
    """

    headers: Mapping[str, str] = NO_HEADERS
    metadata: Mapping[str, str] = NO_HEADERS


@dataclass(slots=True, eq=False)
class Operation:
    """Something that the library does, from its beginning to its end.

    Attributes:
        kind: ``push`` writes events, ``read`` reads them, and ``load`` builds an aggregate;
            ``command`` runs one, with all its attempts; ``publish`` hands messages to a channel,
            and ``handle`` one message to a handler; ``batch`` handles events of a log, and
            ``apply`` each of them.
        name: the store, command, channel or projection. There are few of them.
        values: more about it, ids of aggregates included, and never a payload.
        origins: the messages or events that it is about.
        is_replay: whether these are handled again, maybe long after they were written.
        results: the values that are known at its end.
        error: the error that it ended with.
    """

    kind: OperationKind
    name: str
    values: Mapping[str, Any]
    origins: Sequence[Origin] = ()
    is_replay: bool = False
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    error: BaseException | None = None


class Telemetry(Protocol):
    """Is told of all operations. An `Exception` that it raises is logged, and changes nothing.

    It may be called from several threads, and from any event loop.
    """

    def observe(self, operation: Operation) -> AbstractContextManager[object]:
        """Return what is entered when the operation begins, and left when it ends.

        Both happen in the context (of ``contextvars``) of whatever the operation calls. By its end,
        the operation has its ``results``, and its ``error`` if there is one.
        """
        ...

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Take note of something that happened, such as a conflict, within an operation or not."""
        ...

    def get_headers(self, origin: Origin | None = None) -> Mapping[str, str]:
        """Return what a message carries: the trace of its origin, or else that of now."""
        ...

    def get_metadata(self) -> Mapping[str, str]:
        """Return what the metadata of an event gets when it is pushed: the trace of now."""
        ...


class Installed:
    """The telemetry of the process, if there is one."""

    __slots__ = ("telemetry",)

    def __init__(self) -> None:
        self.telemetry: Telemetry | None = None


installed: Final = Installed()


def use_telemetry(telemetry: Telemetry | None) -> None:
    """Tell a telemetry of all operations of this process from now on, or none with ``None``."""
    installed.telemetry = telemetry


class Observation:
    """Tells the telemetry when an operation begins and ends, and keeps its failures to itself."""

    __slots__ = ("_observer", "_operation")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._observer: AbstractContextManager[object] | None = None

    def __enter__(self) -> Operation:
        telemetry = installed.telemetry
        if telemetry is not None:
            try:
                observer = telemetry.observe(self._operation)
                observer.__enter__()
            except Exception as error:  # noqa: BLE001 the operation goes on
                _log_failure(error)
            else:
                self._observer = observer
        return self._operation

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._observer is None:
            return
        if self._operation.error is None:
            self._operation.error = exc
        try:
            self._observer.__exit__(exc_type, exc, traceback)
        except Exception as error:  # noqa: BLE001 the operation has ended as it has
            _log_failure(error)


def observed(
    describe: Callable[..., Operation],
    tell: Callable[[Operation, Any], None] | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Make the calls of a coroutine function operations.

    Args:
        describe: returns the operation, from the arguments of a call.
        tell: notes the results of the operation, from what the call returned.
    """

    def decorate(
        function: Callable[P, Coroutine[Any, Any, T]],
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        async def observe(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                operation = describe(*args, **kwargs)
            except Exception:  # noqa: BLE001 the call is not as it should be, and says so itself
                return await function(*args, **kwargs)
            with Observation(operation):
                result = await function(*args, **kwargs)
                if tell is not None:
                    tell(operation, result)
                return result

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if installed.telemetry is None:
                return await function(*args, **kwargs)
            return await observe(*args, **kwargs)

        return call

    return decorate


def note(name: str, /, **values: Any) -> None:
    """Tell the telemetry, if there is one, of something that happened."""
    telemetry = installed.telemetry
    if telemetry is not None:
        try:
            telemetry.note(name, values)
        except Exception as error:  # noqa: BLE001 whatever happened goes on
            _log_failure(error)


def get_headers(origin: Origin | None = None) -> Mapping[str, str]:
    """Return what a message carries; nothing without telemetry."""
    telemetry = installed.telemetry
    if telemetry is None:
        return NO_HEADERS
    try:
        return telemetry.get_headers(origin)
    except Exception as error:  # noqa: BLE001 the message goes without
        _log_failure(error)
        return NO_HEADERS


def get_trace_metadata() -> Mapping[str, str]:
    """Return what the metadata of an event gets when it is pushed; nothing without telemetry."""
    telemetry = installed.telemetry
    if telemetry is None:
        return NO_HEADERS
    try:
        return telemetry.get_metadata()
    except Exception as error:  # noqa: BLE001 the event goes without
        _log_failure(error)
        return NO_HEADERS


def _log_failure(error: Exception) -> None:
    _logger.warning("the telemetry failed: %s\n%s", name_type(error), format_error(error))
