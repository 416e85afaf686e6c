"""The hook of a store that sees each event before it is encoded."""

from collections.abc import Callable
from inspect import iscoroutine

from castore_core._event import E, Event
from castore_core.errors import InvalidEventError


def prepare(prepare_event: Callable[[E], E], event: E) -> E:
    """Return an event as the hook changes it.

    Raises:
        InvalidEventError: it changed the id or the version.
        TypeError: it returned no event of the type, or something that has to be awaited.
    """
    prepared = prepare_event(event)
    if type(prepared) is not type(event):
        raise _refuse(prepared, event)
    for name in ("aggregate_id", "version"):
        if getattr(prepared, name) != getattr(event, name):
            raise InvalidEventError(event.type, name, "was changed by prepare_event")
    return prepared


def _refuse(prepared: object, event: Event) -> TypeError:
    expected = type(event).__qualname__
    if iscoroutine(prepared):
        prepared.close()  # nobody will await it
        return TypeError(f"prepare_event is no plain function: it has to return the {expected}")
    found = type(prepared).__qualname__
    return TypeError(f"prepare_event returned {found}, and not the {expected} that it was given")
