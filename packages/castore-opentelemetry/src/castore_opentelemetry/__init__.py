"""Traces and metrics of castore for OpenTelemetry."""
