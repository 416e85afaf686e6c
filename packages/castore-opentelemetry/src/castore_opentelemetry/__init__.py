"""Traces and metrics of castore, for OpenTelemetry.

from castore_opentelemetry import instrument_castore

instrument_castore()
"""

from castore_opentelemetry._instrument import instrument_castore, uninstrument_castore
from castore_opentelemetry._status import LogProgress, record_projection_status
from castore_opentelemetry._telemetry import OpenTelemetry

__all__ = [
    "LogProgress",
    "OpenTelemetry",
    "instrument_castore",
    "record_projection_status",
    "uninstrument_castore",
]
