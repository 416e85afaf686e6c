"""Texts of errors without the values that they quote, which may be secret."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel

VALUE: Final = "the value"
"""Stands in a text for a value."""

_SHORTEST: Final = 3
"""How long a value has to be: a shorter one tells little, and may stand anywhere."""

_SCALARS: Final = (str, int, float, Decimal, date, time, timedelta, UUID)


def mask(text: str, value: object) -> str:
    """Return a text that quotes neither a value nor a part of it. Keys are no values."""
    folded = text.casefold()
    found = {each for each in _find_texts(value) if each.casefold() in folded}
    if not found:
        return text
    quoted = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
    return re.sub(rf"(['\"]?)(?:{quoted})\1", VALUE, text, flags=re.IGNORECASE)


def _find_texts(value: object) -> Iterator[str]:
    """Yield what validators quote of a value: its parts, stripped, and escaped as in a repr."""
    for each in _walk(value):
        text = str(each)
        for form in (text, text.strip(), repr(text)[1:-1]):
            if len(form) >= _SHORTEST:
                yield form


def _walk(value: object) -> Iterator[object]:
    """Yield the scalars that a value is made of. It may contain itself."""
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, _SCALARS) and not isinstance(each, bool | Enum):
            yield each
        elif id(each) not in seen:
            seen.add(id(each))
            waiting.extend(_get_parts(each))


def _get_parts(value: Any) -> Iterable[object]:
    if isinstance(value, bytes | bytearray):
        return [value.decode(errors="replace")]
    if isinstance(value, Enum):
        return [value.value]
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    if isinstance(value, list | tuple | set | frozenset):
        return cast("Iterable[object]", value)
    if isinstance(value, BaseModel):
        return [vars(value), value.__pydantic_extra__]
    names = cast("Iterable[str]", getattr(value, "__dataclass_fields__", ()))
    return [getattr(value, name, None) for name in names]
