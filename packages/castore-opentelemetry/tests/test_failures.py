"""Spans of operations that failed, or were cancelled, and a telemetry that fails itself."""

import asyncio
import logging
from contextvars import copy_context
from typing import Any

import pytest
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from castore_core import EventAlreadyExistsError, NotificationMessage, StorageError, command
from castore_in_memory import (
    InMemoryEventStorageAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)
from notes import SECRET, Noted, NoteStore, make_notes, make_queue
from recorded import Recorded, get_attributes


class FailingStorage(InMemoryEventStorageAdapter):
    """Fails at each push, with a text that has a secret."""

    async def push_event(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise StorageError(SECRET)


class StuckStorage(InMemoryEventStorageAdapter):
    """Answers no push."""

    async def push_event(self, *_: Any, **__: Any) -> None:
        """Wait."""
        await asyncio.Event().wait()


class BrokenPropagator(TraceContextTextMapPropagator):
    """Writes nothing."""

    def inject(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise RuntimeError("no ink")


async def test_a_push_that_failed(recorded: Recorded) -> None:
    """The type of an error is recorded, and its text, which may hold values, is not."""
    notes = make_notes(FailingStorage())
    with pytest.raises(StorageError):
        await notes.push_event(Noted("n1", 1, payload="milk"))
    span = recorded.find("push NOTES")
    (event,) = span.events
    assert not span.status.is_ok
    assert not span.status.is_unset
    assert "castore_core.errors.StorageError" == get_attributes(span)["error.type"]
    assert {"exception.type": "castore_core.errors.StorageError"} == dict(event.attributes or {})
    assert SECRET not in span.to_json()


async def test_texts_of_errors_can_be_recorded(recorded: Recorded) -> None:
    """With ``record_error_texts``, the text and the traceback are recorded too."""
    recorded.instrument(record_error_texts=True)
    with pytest.raises(StorageError):
        await make_notes(FailingStorage()).push_event(Noted("n1", 1, payload="milk"))
    assert SECRET in recorded.find("push NOTES").to_json()


class SpeechlessError(Exception):
    """An error that has no text."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")


class SpeechlessStorage(InMemoryEventStorageAdapter):
    """Fails at each push, with an error that cannot be told."""

    async def push_event(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise SpeechlessError


async def test_an_error_without_a_text(recorded: Recorded) -> None:
    """The span ends, and is counted, also where the text of an error cannot be recorded."""
    recorded.instrument(record_error_texts=True)
    with pytest.raises(SpeechlessError):
        await make_notes(SpeechlessStorage()).push_event(Noted("n1", 1, payload="milk"))
    assert not recorded.find("push NOTES").status.is_ok
    assert 1 == len(recorded.measure("castore.operation.duration"))


async def test_a_conflict_is_an_answer(recorded: Recorded) -> None:
    """A push that meets a conflict has the type of the error, and is none."""
    notes = make_notes(InMemoryEventStorageAdapter())
    for _ in range(2):
        try:
            await notes.push_event(Noted("n1", 1, payload="milk"))
        except EventAlreadyExistsError:
            continue
    _, span = recorded.find_all("push NOTES")
    assert span.status.is_unset
    assert get_attributes(span)["error.type"].endswith("EventAlreadyExistsError")


async def test_a_command_that_gives_up(recorded: Recorded) -> None:
    """A command whose last attempt met a conflict has failed."""
    notes = make_notes(InMemoryEventStorageAdapter())

    @command("NOTE", required_event_stores=(notes,), event_already_exists_retries=0)
    async def note(text: str, stores: tuple[NoteStore]) -> None:
        await stores[0].push_event(Noted("n1", 1, payload=text))

    await note("milk", (notes,))
    with pytest.raises(EventAlreadyExistsError):
        await note("milk", (notes,))
    _, span = recorded.find_all("command NOTE")
    assert 1 == get_attributes(span)["castore.command.attempts"]
    assert not span.status.is_unset


async def test_a_cancelled_push(recorded: Recorded) -> None:
    """A push that is cancelled ends its span, which is no failure."""
    notes = make_notes(StuckStorage())
    task = asyncio.create_task(notes.push_event(Noted("n1", 1, payload="milk")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    span = recorded.find("push NOTES")
    assert span.status.is_unset
    assert "asyncio.exceptions.CancelledError" == get_attributes(span)["error.type"]


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "in another context"])
async def test_a_push_that_is_closed(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, *, is_elsewhere: bool
) -> None:
    """A push that nobody runs any more ends its span, logs nothing, and is no parent of others."""
    push: Any = make_notes(StuckStorage()).push_event(Noted("n1", 1, payload="milk"))
    context = copy_context()
    context.run(push.send, None)
    (copy_context() if is_elsewhere else context).run(push.close)
    assert ["push NOTES"] == recorded.names
    assert [] == caplog.records
    if not is_elsewhere:
        assert not context.run(get_current_span).get_span_context().is_valid


async def test_a_handler_that_fails(recorded: Recorded) -> None:
    """The handling of a message fails with its handler, each time that it is tried."""
    notes = make_notes(InMemoryEventStorageAdapter())
    queue = make_queue(notes)

    async def work(_: object, __: MessageContext) -> None:
        raise ValueError(SECRET)

    adapter = InMemoryMessageQueueAdapter.attach_to(
        queue, worker=work, retry_attempts=1, retry_delay=0
    )
    async with adapter:
        await adapter.publish_message(queue.message_to_record(_tell()))
        await adapter.join()
    spans = recorded.find_all("process NOTE_QUEUE")
    assert [1, 2] == [get_attributes(each)["castore.attempt"] for each in spans]
    assert [False, False] == [each.status.is_unset for each in spans]
    assert SECRET not in "".join(each.to_json() for each in spans)


async def test_a_propagator_that_fails(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """A telemetry that fails is logged, and fails no push."""
    propagator: TextMapPropagator = BrokenPropagator()
    recorded.instrument(propagator=propagator)
    notes = make_notes(InMemoryEventStorageAdapter())
    with caplog.at_level(logging.WARNING, "castore_core"):
        await notes.push_event(Noted("n1", 1, payload="milk"))
    (event,) = await notes.get_events("n1")
    assert event.metadata is None
    assert caplog.records[0].getMessage().startswith("the telemetry failed: RuntimeError")


def _tell() -> Any:
    return NotificationMessage("NOTES", Noted("n1", 1, payload="milk"))
