"""Spans and metrics as the SDK of OpenTelemetry recorded them."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Tracer

from castore_opentelemetry import instrument_castore


class Recorded:
    """Providers that keep all that is recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])

    @property
    def tracer(self) -> Tracer:
        """A tracer of the user's own."""
        return self.tracer_provider.get_tracer("own")

    def instrument(self, **options: Any) -> None:
        """Instrument the library with these providers."""
        instrument_castore(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        """The names of the spans that have ended."""
        return [each.name for each in self.spans]

    def find_all(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name."""
        return [each for each in self.spans if each.name == name]

    def find(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = self.find_all(name)
        return span

    def measure(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """Return the points of a metric, by their attributes: a sum, or how often and how much."""
        points: dict[frozenset[tuple[str, Any]], Any] = {}
        for each in self._iter_points(name):
            key = frozenset(each.attributes.items())
            points[key] = each.value if hasattr(each, "value") else (each.count, each.sum)
        return points

    def _iter_points(self, name: str) -> Iterator[Any]:
        data: Any = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        yield from metric.data.data_points


def get_context(span: ReadableSpan) -> SpanContext:
    """Return the context of a span."""
    context: Any = span.context
    assert isinstance(context, SpanContext)
    return context


def get_trace_id(span: ReadableSpan) -> int:
    """Return the trace that a span is of."""
    return get_context(span).trace_id


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Tell whether a span is the child of another one."""
    return span.parent is not None and span.parent.span_id == get_context(parent).span_id


def get_links(span: ReadableSpan) -> set[int]:
    """Return the ids of the spans that a span is linked to."""
    return {each.context.span_id for each in span.links}


def get_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})
