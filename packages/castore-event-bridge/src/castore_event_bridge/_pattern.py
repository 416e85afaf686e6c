"""Patterns of rules, which choose the messages that their targets get."""

from collections.abc import Iterable
from typing import Any, Literal

from castore_core import AGGREGATE_EXISTS, REPLAYED, Event


def event_pattern(
    *,
    event_store_id: str,
    event_types: Iterable[type[Event] | str] | None = None,
    replays: bool | Literal["only"] = True,
) -> dict[str, Any]:
    """Return the pattern of a rule that chooses messages of an event store.

    Write it as JSON for ``put_rule`` of a client; tools that create infrastructure take it as it
    is. A replay says only in its body of which type its event is. One whose body went to the claim
    check does not say it at all: every rule gets it that asks for replays of any type.

    Args:
        event_store_id: of the store.
        event_types: the classes of events, or their types, such as ``store.event_types``.
            `AGGREGATE_EXISTS` stands for the messages that an aggregate exists. ``None`` is for
            all messages of the store.
        replays: whether to choose replays as well, or nothing else. Messages that an aggregate
            exists are no replays.

    Raises:
        TypeError: ``event_types`` is one text, of which each letter would be a type.
        ValueError: there are no types, or none of which there are replays where only those are
            wanted.
    """
    if isinstance(event_types, str):
        raise TypeError(f"event_types is not a list of types: {event_types!r:.100}")
    source = {"source": [event_store_id]}
    if event_types is None:
        return {**source, **_choose_all(replays)}
    types = [each if isinstance(each, str) else each.type for each in event_types]
    choices = _choose_types(list(dict.fromkeys(types)), replays)
    if not choices:
        raise ValueError(f"a pattern of these event types would choose nothing: {types}")
    return {**source, "$or": choices} if len(choices) > 1 else {**source, **choices[0]}


def _choose_all(replays: bool | Literal["only"]) -> dict[str, Any]:
    if replays == "only":
        return {"detail-type": [REPLAYED]}
    return {} if replays else {"detail-type": [{"anything-but": [REPLAYED]}]}


def _choose_types(types: list[str], replays: bool | Literal["only"]) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = []
    if types and replays != "only":
        choices.append({"detail-type": types})
    replayed = [each for each in types if each != AGGREGATE_EXISTS]
    if replayed and replays:
        details = {"event": {"type": replayed}}, {"messageUrl": [{"exists": True}]}
        choices += ({"detail-type": [REPLAYED], "detail": each} for each in details)
    return choices
