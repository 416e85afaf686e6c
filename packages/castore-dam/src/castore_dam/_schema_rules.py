"""The rules of JSON schemas that need no look into their parts: types, values, bounds."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from castore_dam._schema_differences import ChangeKind, Difference, Path
from castore_dam._schema_documents import Schema, to_key


class _Bound(NamedTuple):
    keyword: str
    sign: int  # 1: a greater value is stricter
    default: int | None = None


_TYPES: Final[dict[str, set[str]]] = {
    "null": {"null"},
    "boolean": {"boolean"},
    "object": {"object"},
    "array": {"array"},
    "string": {"string"},
    "integer": {"integer"},
    "number": {"integer", "fraction"},
}
ALL_TYPES: Final = frozenset[str]().union(*_TYPES.values())
NUMBERS: Final = frozenset(_TYPES["number"])

STRING_BOUNDS: Final = (_Bound("minLength", 1, 0), _Bound("maxLength", -1))
ARRAY_BOUNDS: Final = (_Bound("minItems", 1, 0), _Bound("maxItems", -1))
OBJECT_BOUNDS: Final = (_Bound("minProperties", 1, 0), _Bound("maxProperties", -1))


def find_types(schema: Schema) -> frozenset[str]:
    """Return the types that a flat schema allows; "fraction" is a number that is no integer."""
    declared: Any = schema.get("type", list(_TYPES))
    names: list[str] = [declared] if isinstance(declared, str) else declared
    types = frozenset[str]().union(*(_TYPES.get(name, {name}) for name in names))
    if "enum" in schema:
        types &= {_get_type(each) for each in schema["enum"]}
    return types


def describe_types(types: frozenset[str]) -> str:
    """Name types for people."""
    if types == ALL_TYPES:
        return "anything"
    names = types - {"fraction"} - (NUMBERS if types >= NUMBERS else frozenset())
    if "fraction" in types:
        names |= {"number"}
    return " or ".join(sorted(names)) or "nothing"


def compare_types(old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
    """Compare the types that two flat schemas allow."""
    before, now = find_types(old), find_types(new)
    if before == now:
        return
    backward, forward = before <= now, now <= before
    kind: ChangeKind = "type changed"
    if backward != forward:
        kind = "type widened" if backward else "type narrowed"
    reason = f"was {describe_types(before)}, is {describe_types(now)}"
    yield Difference(path, kind, reason, backward, forward)


def compare_values(old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
    """Compare ``enum`` and ``const``."""
    if "enum" not in old or "enum" not in new:
        yield from compare_presence(old, new, "enum", "the list of values", path)
        return
    before, now = ({to_key(each): each for each in side["enum"]} for side in (old, new))
    for key in [each for each in before if each not in now]:
        reason = f"the value {before[key]!r} is no longer allowed"
        yield Difference(path, "value removed", reason, backward=False, forward=True)
    for key in [each for each in now if each not in before]:
        reason = f"the value {now[key]!r} is allowed now"
        yield Difference(path, "value added", reason, backward=True, forward=False)


def compare_presence(
    old: Schema, new: Schema, keyword: str, name: str, path: Path
) -> Iterator[Difference]:
    """Compare whether a keyword is there, which makes a schema stricter."""
    if keyword in new and keyword not in old:
        yield Difference(path, "rule added", f"{name} is new", backward=False, forward=True)
    if keyword in old and keyword not in new:
        yield Difference(path, "rule removed", f"{name} is gone", backward=True, forward=False)


def compare_bounds(
    old: Schema, new: Schema, bounds: Sequence[_Bound], path: Path
) -> Iterator[Difference]:
    """Compare bounds such as ``minLength``."""
    for keyword, sign, default in bounds:
        before, now = old.get(keyword, default), new.get(keyword, default)
        limit = None if before is None else (sign * before, 0)
        limit_now = None if now is None else (sign * now, 0)
        yield from _compare_limits(limit, limit_now, f"{keyword} was {before}, is {now}", path)


def compare_numbers(old: Schema, new: Schema, path: Path) -> Iterator[Difference]:
    """Compare the bounds of numbers, and ``multipleOf``."""
    for name, sign in (("inimum", 1), ("aximum", -1)):
        keywords = f"m{name}", f"exclusiveM{name}"
        before, now = _find_limit(old, keywords, sign), _find_limit(new, keywords, sign)
        reason = f"m{name} was {_show(before, sign)}, is {_show(now, sign)}"
        yield from _compare_limits(before, now, reason, path)
    yield from _compare_multiples(old.get("multipleOf"), new.get("multipleOf"), path)


def _find_limit(schema: Schema, keywords: Iterable[str], sign: int) -> tuple[Any, int] | None:
    """Return the strictest of an inclusive (0) and an exclusive (1) bound."""
    limits = [
        (sign * schema[keyword], strictness)
        for strictness, keyword in enumerate(keywords)
        if keyword in schema
    ]
    return max(limits, default=None)


def _show(limit: tuple[Any, int] | None, sign: int) -> str:
    if limit is None:
        return "None"
    return f"{sign * limit[0]}{' (exclusive)' if limit[1] else ''}"


def _compare_limits(
    before: tuple[Any, int] | None, now: tuple[Any, int] | None, reason: str, path: Path
) -> Iterator[Difference]:
    if before == now:
        return
    if now is not None and (before is None or now > before):
        yield Difference(path, "rule tightened", reason, backward=False, forward=True)
    else:
        yield Difference(path, "rule loosened", reason, backward=True, forward=False)


def _compare_multiples(before: Any, now: Any, path: Path) -> Iterator[Difference]:
    if before == now:
        return
    backward, forward = _is_multiple(before, now), _is_multiple(now, before)
    kind: ChangeKind = "rule changed"
    if backward != forward:
        kind = "rule loosened" if backward else "rule tightened"
    yield Difference(path, kind, f"multipleOf was {before}, is {now}", backward, forward)


def _is_multiple(value: Any, divisor: Any) -> bool:
    """Tell whether multiples of a value are those of a divisor; of fractions, nothing is known."""
    if divisor is None:
        return True
    return isinstance(value, int) and isinstance(divisor, int) and value % divisor == 0


def _get_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:  # numbers that are too large for JSON are read as infinity
            return "fraction" if isinstance(value, float) and value % 1 != 0 else "integer"
