"""The telemetry: operations become spans and metrics."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, Status, StatusCode, Tracer

from castore_core import EventAlreadyExistsError, name_type
from castore_core.telemetry import NO_HEADERS, Operation, Origin
from castore_opentelemetry._attributes import (
    ATTEMPT,
    ATTEMPTS,
    ERROR_TYPE,
    make_result_attributes,
    make_span_attributes,
    name_span,
)
from castore_opentelemetry._contexts import TraceContexts, get_current
from castore_opentelemetry._instruments import Instruments

_KINDS: Final = {"publish": SpanKind.PRODUCER, "handle": SpanKind.CONSUMER}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a recording: see `instrument_castore`."""

    record_ids: bool = True
    record_error_texts: bool = False
    trace_metadata: bool = True


class OpenTelemetry:
    """A `castore_core.telemetry.Telemetry` of spans and metrics.

    `instrument_castore` makes and installs one.
    """

    def __init__(
        self, tracer: Tracer, meter: Meter, propagator: TextMapPropagator, options: Options
    ) -> None:
        self._tracer = tracer
        self._instruments = Instruments(meter)
        self._trace_contexts = TraceContexts(propagator)
        self._options = options

    def observe(self, operation: Operation) -> AbstractContextManager[object]:
        """Return what is entered when a span is to begin, and left when it is to end."""
        parent, links = self._find_place(operation)
        span = self._tracer.start_span(
            name_span(operation),
            parent,
            _KINDS.get(operation.kind, SpanKind.INTERNAL),
            make_span_attributes(operation, has_ids=self._options.record_ids),
            links,
        )
        return _Scope(operation, span, parent, self._instruments, self._options)

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Count something that happened, and add it to the current span as an event."""
        self._instruments.note(name, values)
        span = trace.get_current_span()
        if name == "ConflictMet":
            self._note_conflict(span, values)
        elif name == "SnapshotCounted" and span.is_recording():
            span.add_event("castore.snapshot", {"castore.outcome": values["outcome"]})

    def get_headers(self, origin: Origin | None = None) -> Mapping[str, str]:
        """Return the trace context of an origin, if it is of another trace, or else that of now."""
        found = None if origin is None else self._trace_contexts.find(origin)
        if found is not None and found.trace_id == get_current().trace_id:
            found = None
        return self._trace_contexts.write(found)

    def get_metadata(self) -> Mapping[str, str]:
        """Return the trace context of now."""
        return self._trace_contexts.write() if self._options.trace_metadata else NO_HEADERS

    def _find_place(self, operation: Operation) -> tuple[Context, list[Link]]:
        """Return the context with the parent of a span, and its links.

        The handling of a message goes on with the trace of the message. Anything that may be about
        several of them, or happen long after, has links.
        """
        parent, origins = contexts.get_current(), operation.origins
        if operation.kind != "handle" or operation.is_replay:
            return parent, self._trace_contexts.find_links(origins)
        found = self._trace_contexts.find(origins[0])
        if found is None:
            return parent, []
        current = get_current()
        is_apart = current.is_valid and current.trace_id != found.trace_id
        links = [Link(current)] if is_apart else []
        return trace.set_span_in_context(NonRecordingSpan(found), parent), links

    def _note_conflict(self, span: Span, values: Mapping[str, Any]) -> None:
        attempt, is_retried = values["attempt"], values["retries_left"] > 0
        if span.is_recording():
            error_type = name_type(values["error"])
            span.add_event("castore.conflict", {ATTEMPT: attempt, ERROR_TYPE: error_type})
            span.set_attribute(ATTEMPTS, attempt + is_retried)


class _Scope:
    """A span, which is the current one until the operation ends."""

    __slots__ = ("_began", "_context", "_instruments", "_operation", "_options", "_span", "_token")

    def __init__(
        self,
        operation: Operation,
        span: Span,
        parent: Context,
        instruments: Instruments,
        options: Options,
    ) -> None:
        self._operation = operation
        self._span = span
        self._context = trace.set_span_in_context(span, parent)
        self._instruments = instruments
        self._options = options
        self._began = perf_counter()
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._token = contexts.attach(self._context)
        return self._span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None and not self._is_elsewhere(exc):
            contexts.detach(self._token)
        try:
            if self._span.is_recording():
                self._tell_end()
        finally:  # the text of an error is the user's code
            self._instruments.end(self._operation, perf_counter() - self._began)
            self._span.end()

    def _is_elsewhere(self, exc: BaseException | None) -> bool:
        """Tell whether a coroutine that is closed, and not run, is so in another context."""
        return isinstance(exc, GeneratorExit) and contexts.get_current() is not self._context

    def _tell_end(self) -> None:
        self._span.set_attributes(make_result_attributes(self._operation))
        if self._operation.error is not None:
            self._tell_error(self._operation.error)

    def _tell_error(self, error: BaseException) -> None:
        span, name = self._span, name_type(error)
        span.set_attribute(ERROR_TYPE, name)
        if not self._is_failure(error):
            return
        span.set_status(Status(StatusCode.ERROR, name))
        if self._options.record_error_texts:
            span.record_exception(error)
        else:
            span.add_event("exception", {"exception.type": name})

    def _is_failure(self, error: BaseException) -> bool:
        """Tell whether an error is the failure of an operation.

        A conflict is an answer to a push, and its command fails only if it raises one. An operation
        that was cancelled, or whose worker was stopped, has not failed.
        """
        ending: str | None = self._operation.results.get("ending")
        if ending is not None:
            return ending != "stopped"
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return False
        return not (self._operation.kind == "push" and isinstance(error, EventAlreadyExistsError))
