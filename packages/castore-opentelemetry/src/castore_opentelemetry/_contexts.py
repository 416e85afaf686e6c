"""Trace contexts, as messages and the metadata of events carry them."""

from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

from castore_core.telemetry import Origin


class _HeaderSetter(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key] = value


_setter: Final = _HeaderSetter()


class TraceContexts:
    """Writes and reads trace contexts, with a propagator: W3C's ``traceparent``, by default."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self._propagator = propagator

    def write(self, span_context: SpanContext | None = None) -> Mapping[str, str]:
        """Return headers with a trace context: the current one by default."""
        headers: dict[str, str] = {}
        context = None
        if span_context is not None:
            context = trace.set_span_in_context(NonRecordingSpan(span_context), Context())
        self._propagator.inject(headers, context, _setter)
        return headers

    def find(self, origin: Origin) -> SpanContext | None:
        """Return the trace context of an origin: of its headers, or else of its metadata."""
        for carrier in origin:
            if carrier:
                context = self._propagator.extract(carrier, Context())
                found = trace.get_current_span(context).get_span_context()
                if found.is_valid:
                    return found
        return None

    def find_links(self, origins: Iterable[Origin]) -> list[Link]:
        """Return links to the origins that are of another trace than the current one, each once."""
        current = get_current()
        found = {each.span_id: each for each in map(self.find, origins) if each is not None}
        return [Link(each) for each in found.values() if each.trace_id != current.trace_id]


def get_current() -> SpanContext:
    """Return the trace context of now, which may be none that is valid."""
    return trace.get_current_span().get_span_context()
