"""Whether a value that was read is the one that was written, which ``==`` does not tell.

Python calls 1, 1.0, True and Decimal("1.00") equal, and a time in a zone equal to a naive one; a
class may leave fields out of its ``__eq__``, and the ``__eq__`` of a subclass may be its base's.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import EnumType
from math import copysign
from pathlib import PurePath
from typing import Any, Final, NamedTuple, TypeAlias, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from castore_pydantic._fields import get_stored_name, is_left_out


class Change(NamedTuple):
    """Where a value would be read as another one, as keys and indexes, and how."""

    steps: tuple[str | int, ...]
    reason: str


_Fault: TypeAlias = tuple[list[str | int], str]
"""The steps, the innermost first, and the reason."""

_Find: TypeAlias = Callable[[Any, Any], _Fault | None]


class _Gone:
    """The type of what stands for an attribute that is not there."""


_GONE: Final = _Gone()

_CHANGES: Final = "would be read as another value"
_OTHER: Final = f"{_CHANGES}: its type does not read what it writes"
_LOST: Final = f"{_CHANGES}: it would be lost"

_MOMENTS: Final = frozenset({date, datetime, time, timedelta})


def find_change(before: object, after: object) -> Change | None:
    """Return the first place where a value that was read is not what it was before.

    Two values are the same if they are of one class, and so are all of their parts. Of a moment,
    the clock and the difference from UTC count, and the name of the zone does not. Neither does
    the order of a set or of the keys of a dict, nor what a class says is not stored. An `int` may
    come back as an equal `float`, for which it may stand wherever types are checked (PEP 484).
    """
    try:
        fault = _find(before, after)
    except RecursionError:
        return Change((), "is nested too deeply to be compared")
    return None if fault is None else Change(tuple(reversed(fault[0])), fault[1])


# Every push comes through these: what needs no closer look costs few calls.


def _find(before: object, after: object) -> _Fault | None:
    if before is after:
        return None
    kind = type(before)
    if kind is not type(after):
        return _find_in_kinds(before, after)
    if kind in _EXACT:
        return None if before == after else ([], _OTHER)
    find = _FINDERS.get(kind) or _FINDERS.get(type(kind)) or _get_finder(kind)
    return find(before, after)


def _find_in_kinds(before: object, after: object) -> _Fault | None:
    """Compare values of two classes."""
    kind, read = type(before), type(after)
    if kind is int and read is float and before == after:
        return _find_in_text(float(cast("int", before)), after)  # a -0.0 is no 0
    if _get_generic(kind) is _get_generic(read):
        return _find_in_model(cast("BaseModel", before), cast("BaseModel", after))
    if read in _MOMENTS and isinstance(before, read) and not getattr(before, "__dict__", None):
        return _find_in_moment(before, after)
    if after is _GONE:
        return [], _LOST
    hint = ": declare a discriminated union" if issubclass(read, BaseModel) else ""
    return [], f"{_CHANGES}: {read.__name__} in the place of {kind.__name__}{hint}"


def _get_generic(kind: type[Any]) -> type[Any]:
    """Return the model of which a class is one with type arguments, or the class itself."""
    metadata: Mapping[str, Any] = getattr(kind, "__pydantic_generic_metadata__", {})
    origin: type[Any] | None = metadata.get("origin")
    return origin or kind


def _find_in_equality(before: Any, after: Any) -> _Fault | None:
    return None if before == after else ([], _OTHER)


def _find_in_identity(before: Any, after: Any) -> _Fault | None:
    return None if before is after else ([], _OTHER)


def _find_in_text(before: Any, after: Any) -> _Fault | None:
    """Compare what tells more than ``==``: the exponent of a decimal, the case of a path."""
    return None if repr(before) == repr(after) else ([], _OTHER)


def _find_in_float(before: float, after: float) -> _Fault | None:
    if before == after:
        is_same = before != 0 or copysign(1, before) == copysign(1, after)
    else:
        is_same = before != before and after != after  # noqa: PLR0124 which is what a NaN is
    return None if is_same else ([], _OTHER)


def _find_in_moment(before: Any, after: Any) -> _Fault | None:
    """Compare what the clocks say, which ``==`` does not in an hour that they repeat (PEP 495)."""
    if not hasattr(after, "tzinfo"):
        return _find_in_equality(before, after)
    if (before.tzinfo is None) != (after.tzinfo is None):
        return [], f"{_CHANGES}: its time zone would be lost"
    offset = before.utcoffset()
    if offset != after.utcoffset():
        return [], f"{_CHANGES}: its difference from UTC would be another one"
    if offset is None and isinstance(before, datetime) and before.fold != after.fold:
        return [], f"{_CHANGES}: it is naive, and its fold would be lost"
    if before == after:
        return None
    is_same = before.replace(tzinfo=None, fold=0) == after.replace(tzinfo=None, fold=0)
    return None if is_same else ([], _OTHER)


def _find_in_sequence(before: Sequence[Any], after: Sequence[Any]) -> _Fault | None:
    if len(before) != len(after):
        return [], f"{_CHANGES}: it would have another length"
    kinds = [*map(type, before)]
    if _EXACT.issuperset(kinds) and kinds == [*map(type, after)] and before == after:
        return None
    for index, (item, other) in enumerate(zip(before, after, strict=True)):
        fault = _find(item, other)
        if fault is not None:
            fault[0].append(index)
            return fault
    return None


def _find_in_dict(before: dict[Any, Any], after: dict[Any, Any]) -> _Fault | None:
    if len(before) != len(after):
        return _find_in_keys(before, after)
    for (key, item), (twin, other) in zip(before.items(), after.items(), strict=True):
        if _find(key, twin) is not None:  # it may stand elsewhere
            return _find_in_keys(before, after)
        fault = _find(item, other)
        if fault is not None:
            fault[0].append(_to_step(key))
            return fault
    return None


def _find_in_keys(before: dict[Any, Any], after: dict[Any, Any]) -> _Fault | None:
    """Compare dicts whose keys are not in one order, or not the same."""
    twins = {key: key for key in after}
    for key, item in before.items():
        twin = _find_twin(key, twins)
        fault = _find(item, _GONE if twin is _GONE else after[twin])
        if fault is not None:
            fault[0].append(_to_step(key))
            return fault
    return None if len(before) == len(after) else ([], f"{_CHANGES}: it would have more keys")


def _find_in_set(before: AbstractSet[Any], after: AbstractSet[Any]) -> _Fault | None:
    twins = {item: item for item in after}
    is_same = len(before) == len(after) and all(
        _find_twin(item, twins) is not _GONE for item in before
    )
    return None if is_same else ([], f"{_CHANGES}: an item of it would be another one")


def _find_twin(item: Any, twins: Mapping[Any, Any]) -> Any:
    """Return the same item of a set or the same key of a dict, also if it does not equal itself."""
    twin = twins.get(item, _GONE)
    if _find(item, twin) is None:
        return twin
    return next((each for each in twins if _find(item, each) is None), _GONE)


def _find_in_deque(before: deque[Any], after: deque[Any]) -> _Fault | None:
    if before.maxlen != after.maxlen:
        return [], f"{_CHANGES}: its maxlen would be another one"
    return _find_in_sequence(before, after)


def _find_in_default_dict(
    before: defaultdict[Any, Any], after: defaultdict[Any, Any]
) -> _Fault | None:
    if before.default_factory != after.default_factory:
        return [], f"{_CHANGES}: its default_factory would be another one"
    return _find_in_dict(before, after)


def _find_in_model(before: BaseModel, after: BaseModel) -> _Fault | None:
    """Compare the fields and the extra keys; private attributes are not stored."""
    fault = _find_in_attributes(type(before), before.__dict__, after.__dict__)
    return fault or _find(before.__pydantic_extra__, after.__pydantic_extra__)


def _find_in_dataclass(before: object, after: object) -> _Fault | None:
    return _find_in_attributes(type(before), vars(before), vars(after))


def _find_in_slots(before: object, after: object) -> _Fault | None:
    """Compare dataclasses that do not keep all of their fields in a ``__dict__``."""
    return _find_in_attributes(type(before), _get_attributes(before), _get_attributes(after))


def _find_in_attributes(
    owner: type[Any], before: Mapping[str, object], after: Mapping[str, object]
) -> _Fault | None:
    for name, item in before.items():
        other = after.get(name, _GONE)
        kind = type(item)
        if kind in _EXACT and kind is type(other) and item == other:
            continue
        fault = _find(item, other)
        if fault is not None and not is_left_out(owner, name, item):
            fault[0].append(get_stored_name(owner, name))
            return fault
    return None


def _find_in_object(before: object, after: object) -> _Fault | None:
    """Compare objects of a class of which nothing is known, and trust its ``__eq__``."""
    if getattr(type(before), "__eq__") is not object.__eq__:  # noqa: B009 checkers take it for known
        try:
            return _find_in_equality(before, after)
        except Exception as error:  # noqa: BLE001 it is the user's
            return [], f"cannot be compared: its __eq__ raised {type(error).__name__}"
    state = before.__getstate__()
    is_same = state is not None and _find(state, after.__getstate__()) is None
    return None if is_same else ([], _OTHER)


def _get_attributes(value: Any) -> dict[str, Any]:
    names: Iterable[str] = (*value.__dataclass_fields__, *getattr(value, "__dict__", ()))
    return {name: getattr(value, name, _GONE) for name in names}


def _to_step(key: Any) -> str | int:
    return key if isinstance(key, str | int) else str(key)


def _get_finder(kind: type[Any]) -> _Find:
    found = _CHOSEN.get(kind)
    if found is None:
        found = _CHOSEN[kind] = _choose_finder(kind)
    return found


def _choose_finder(kind: type[Any]) -> _Find:
    if is_dataclass(kind):
        has_slots = any(vars(each).get("__slots__") for each in kind.__mro__)
        return _find_in_slots if has_slots else _find_in_dataclass
    bases = (each for each in kind.__mro__ if each in _FINDERS)
    return _FINDERS[next(bases, object)]


_EXACT: Final[frozenset[type]] = frozenset(
    {str, int, bool, type(None), bytes, date, timedelta, UUID}
)
"""Of these classes, equal objects are the same."""

_FINDERS: Final[dict[type, _Find]] = {
    **dict.fromkeys(_EXACT, _find_in_equality),
    **dict.fromkeys((datetime, time), _find_in_moment),
    **dict.fromkeys((Decimal, complex, PurePath), _find_in_text),
    **dict.fromkeys((list, tuple), _find_in_sequence),
    **dict.fromkeys((set, frozenset), _find_in_set),
    float: _find_in_float,
    dict: _find_in_dict,
    deque: _find_in_deque,
    defaultdict: _find_in_default_dict,
    BaseModel: _find_in_model,
    type(BaseModel): _find_in_model,
    EnumType: _find_in_identity,
    object: _find_in_object,
}
"""By the class of the values, or by the class of that class."""

_CHOSEN: Final[WeakKeyDictionary[type[Any], _Find]] = WeakKeyDictionary()
"""Those of other classes, which may be short-lived."""
