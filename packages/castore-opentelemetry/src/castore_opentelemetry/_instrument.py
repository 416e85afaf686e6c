"""Instrumentation: on, and off again."""

from importlib.metadata import version

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from castore_core.telemetry import installed, use_telemetry
from castore_opentelemetry._status import use_meter
from castore_opentelemetry._telemetry import OpenTelemetry, Options

_NAME = "castore_opentelemetry"


def instrument_castore(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    propagator: TextMapPropagator | None = None,
    record_ids: bool = True,
    record_error_texts: bool = False,
    trace_metadata: bool = True,
) -> None:
    """Record spans and metrics of all that the library does in this process, from now on.

    Called again, it replaces what was said before. It takes the place of any other telemetry that
    `castore_core.telemetry.use_telemetry` has installed.

    Args:
        tracer_provider: where the spans go; by default, to the global provider.
        meter_provider: where the metrics go; by default, to the global provider.
        propagator: writes and reads trace contexts; by default W3C's ``traceparent`` and
            ``tracestate``, without baggage.
        record_ids: whether spans have the ids of aggregates. Metrics never have.
        record_error_texts: whether spans have the texts and tracebacks of errors. They may hold
            values of payloads. Without it, the types of errors are recorded.
        trace_metadata: whether a push adds the trace context to the metadata of its events, where
            their types have room for it. It is stored with them, for good.
    """
    tracers = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
    meters = metrics.get_meter_provider() if meter_provider is None else meter_provider
    own_version = version("castore-opentelemetry")
    meter = meters.get_meter(_NAME, own_version)
    options = Options(
        record_ids=record_ids,
        record_error_texts=record_error_texts,
        trace_metadata=trace_metadata,
    )
    propagator = TraceContextTextMapPropagator() if propagator is None else propagator
    use_meter(meter)
    tracer = tracers.get_tracer(_NAME, own_version)
    use_telemetry(OpenTelemetry(tracer, meter, propagator, options))


def uninstrument_castore() -> None:
    """Record nothing any more. Another telemetry stays as it is."""
    if isinstance(installed.telemetry, OpenTelemetry):
        use_telemetry(None)
        use_meter(None)
