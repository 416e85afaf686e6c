"""Compares the alternatives of two JSON schemas: members of a union, or a list of types."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import cast

from castore_dam._schema_differences import (
    Compare,
    Difference,
    Direction,
    Path,
    allow_all,
    keep_written,
)
from castore_dam._schema_documents import ANYTHING, Alternatives, Schema, to_key
from castore_dam._schema_rules import describe_types, find_types


class UnionComparison:
    """Compares the alternatives of two schemas.

    Args:
        path: leads to the union.
        compare: compares two alternatives, which are flat and no unions.
    """

    def __init__(self, path: Path, compare: Compare) -> None:
        self._path = path
        self._compare = compare

    def run(self, old: Alternatives, new: Alternatives) -> Iterator[Difference]:
        """Yield the differences."""
        yield from self._compare_exclusion(old, new)
        olds, news = _split(old.members), _split(new.members)
        unread = [each for each in olds if not self._is_read(each, news)]
        unknown = [each for each in news if not self._is_known(each, olds)]
        described: list[Schema] = []
        for each in unread:
            partner = _find_partner(each, [*unknown, *news])
            is_unknown = partner is not None and _is_among(partner, unknown)
            described += [partner] if partner is not None and is_unknown else []
            yield from self._describe_unread(each, partner, is_unknown=is_unknown)
        for each in unknown:
            if not _is_among(each, described):
                yield from self._describe_unknown(each, _find_partner(each, olds))

    def _describe_unread(
        self, old: Schema, partner: Schema | None, *, is_unknown: bool
    ) -> Iterator[Difference]:
        if partner is None:
            reason = f"{describe_types(find_types(old))} is no longer allowed"
            yield Difference(
                self._path, "alternative removed", reason, backward=False, forward=True
            )
            return
        differences = self._compare(old, partner, self._path)
        yield from keep_written(differences, backward=True, forward=is_unknown)

    def _describe_unknown(self, new: Schema, partner: Schema | None) -> Iterator[Difference]:
        if partner is None:
            reason = f"{describe_types(find_types(new))} is allowed now"
            yield Difference(self._path, "alternative added", reason, backward=True, forward=False)
            return
        differences = self._compare(partner, new, self._path)
        yield from keep_written(differences, backward=False, forward=True)

    def _compare_exclusion(self, old: Alternatives, new: Alternatives) -> Iterator[Difference]:
        backward = not new.is_exclusive or _exclude_each_other(new.members)
        forward = not old.is_exclusive or _exclude_each_other(old.members)
        if not backward or not forward:
            reason = "the alternatives of oneOf changed, and a value may fit several of them"
            yield Difference(self._path, "unknown", reason, backward, forward)

    def _is_read(self, old: Schema, news: Iterable[Schema]) -> bool:
        return any(self._includes(old, new, "backward") for new in news)

    def _is_known(self, new: Schema, olds: Iterable[Schema]) -> bool:
        return any(self._includes(old, new, "forward") for old in olds)

    def _includes(self, old: Schema, new: Schema, direction: Direction) -> bool:
        return allow_all(self._compare(old, new, self._path), direction)


def _find_partner(schema: Schema, others: Iterable[Schema]) -> Schema | None:
    """Return the first of some schemas that may have a value in common with one."""
    return next((each for each in others if not _excludes(schema, each)), None)


def _exclude_each_other(members: Sequence[Schema]) -> bool:
    return all(_excludes(*pair) for pair in combinations(members, 2))


def _excludes(first: Schema, second: Schema) -> bool:
    """Tell whether no value fits two flat schemas, of whichever side."""
    types = find_types(first) & find_types(second)
    if not types:
        return True
    if "enum" in first and "enum" in second:
        return _have_other_values(first, second)
    return types <= {"object"} and _have_other_tags(first, second)


def _have_other_tags(first: Schema, second: Schema) -> bool:
    """Tell whether a field that both schemas require has other values in each."""
    names = set(first.get("required", ())) & set(second.get("required", ()))
    tags = (
        [side.get("properties", {}).get(name, ANYTHING) for side in (first, second)]
        for name in names
    )
    return any(
        "enum" in one and "enum" in other and _have_other_values(one, other) for one, other in tags
    )


def _have_other_values(first: Schema, second: Schema) -> bool:
    return set(map(to_key, first["enum"])).isdisjoint(map(to_key, second["enum"]))


def _is_among(schema: Schema, schemas: Iterable[Schema]) -> bool:
    return any(schema is each for each in schemas)


def _split(members: Iterable[Schema]) -> list[Schema]:
    """Return one schema for each type of ``{"type": ["string", "null"]}``."""
    found: list[Schema] = []
    for each in members:
        types = each.get("type")
        found += (
            [{**each, "type": one} for one in cast("list[str]", types)]
            if isinstance(types, list)
            else [each]
        )
    return found
