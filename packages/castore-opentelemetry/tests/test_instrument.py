"""Instrumentation, on and off."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from castore_core import ConnectedEventStore
from castore_core.telemetry import Operation, Origin, installed, use_telemetry
from castore_in_memory import InMemoryEventStorageAdapter, InMemoryMessageQueueAdapter
from castore_opentelemetry import instrument_castore, uninstrument_castore
from notes import Noted, make_notes, make_queue
from recorded import Recorded


class OtherTelemetry:
    """Does nothing."""

    def observe(self, operation: Operation) -> AbstractContextManager[object]:
        """Observe nothing."""
        return nullcontext(operation)

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Note nothing."""

    def get_headers(self, origin: Origin | None = None) -> Mapping[str, str]:
        """Carry nothing."""
        return {} if origin is None else origin.headers

    def get_metadata(self) -> Mapping[str, str]:
        """Add nothing."""
        return {}


async def test_nothing_is_recorded_after_the_end(recorded: Recorded) -> None:
    """Without instrumentation, nothing is recorded, and messages and events are as before."""
    uninstrument_castore()
    uninstrument_castore()
    notes = make_notes(InMemoryEventStorageAdapter())
    queue = make_queue(notes)
    adapter = InMemoryMessageQueueAdapter.attach_to(queue)
    event = Noted("n1", 1, payload="milk")
    pushed = await ConnectedEventStore(notes, queue).push_event(event)
    (pending,) = adapter.pending
    assert event == pushed.event
    assert {} == pending.message.headers
    assert [] == recorded.spans


async def test_twice_is_once(recorded: Recorded) -> None:
    """Instrumenting again records each operation once."""
    recorded.instrument()
    notes = make_notes(InMemoryEventStorageAdapter())
    await notes.push_event(Noted("n1", 1, payload="milk"))
    assert ["push NOTES"] == recorded.names


async def test_the_providers_of_the_process_do_nothing_by_default() -> None:
    """Without providers, all goes on as ever, and no trace is stored."""
    instrument_castore()
    try:
        notes = make_notes(InMemoryEventStorageAdapter())
        event = Noted("n1", 1, payload="milk")
        assert event == (await notes.push_event(event)).event
    finally:
        uninstrument_castore()


def test_another_telemetry_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uninstrumenting leaves what others have installed."""
    monkeypatch.setattr(installed, "telemetry", None)
    other = OtherTelemetry()
    use_telemetry(other)
    uninstrument_castore()
    assert other is installed.telemetry
