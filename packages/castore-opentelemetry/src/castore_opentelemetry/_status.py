"""Gauges of projections and relays: how far they are behind, and what is parked."""

from datetime import timedelta
from typing import Final, Protocol

from opentelemetry.metrics import Meter

from castore_opentelemetry._attributes import PROJECTION, Attributes


class LogProgress(Protocol):
    """The part of a ``ProjectionStatus`` of ``castore-projections`` that is recorded."""

    @property
    def name(self) -> str:
        """The name of the projection, or relay."""
        ...

    @property
    def version(self) -> int:
        """Its version."""
        ...

    @property
    def events_behind(self) -> int:
        """How many events are still to be handled."""
        ...

    @property
    def lag(self) -> timedelta:
        """The age of the oldest event that is not handled."""
        ...

    @property
    def failed(self) -> int:
        """How many parked events wait for a decision."""
        ...

    @property
    def waiting(self) -> int:
        """How many parked events wait behind these."""
        ...


class _Gauges:
    def __init__(self, meter: Meter) -> None:
        gauge = meter.create_gauge
        self.lag = gauge("castore.projection.lag", "s", "Age of the oldest event not handled")
        self.behind = gauge("castore.projection.events_behind", "{event}", "Events not handled")
        self.parked = gauge("castore.projection.parked_events", "{event}", "Events that are parked")


class _Current:
    gauges: _Gauges | None = None


_current: Final = _Current()


def use_meter(meter: Meter | None) -> None:
    """Record with a meter from now on, or not at all."""
    _current.gauges = None if meter is None else _Gauges(meter)


def record_projection_status(status: LogProgress) -> None:
    """Record the status of a projection or a relay as gauges; without instrumentation, nothing.

    Nothing asks for it by itself, because it reads the storages. Call it now and then, from one
    process::

        while True:
            record_projection_status(await pokedex.status())
            await asyncio.sleep(15)
    """
    gauges = _current.gauges
    if gauges is None:
        return
    attributes: Attributes = {PROJECTION: status.name, "castore.projection.version": status.version}
    gauges.lag.set(status.lag.total_seconds(), attributes)
    gauges.behind.set(status.events_behind, attributes)
    for state, count in (("failed", status.failed), ("waiting", status.waiting)):
        gauges.parked.set(count, {**attributes, "castore.parked.state": state})
