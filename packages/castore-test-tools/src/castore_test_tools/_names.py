"""Misspelt names in a suite are refused: a test whose fixture has another name is left out."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_SIMILARITY = 0.8
_PACKAGE = __name__.partition(".")[0]


def check_names(cls: type[object], silenced: Collection[str]) -> None:
    """Refuse the names of a suite that are almost those of a fixture, an attribute or a method.

    Raises:
        TypeError: a name is misspelt.
    """
    bases = cls.__mro__[:-1]
    known = {name for base in bases if _is_ours(base) for name in _find_names(base)}
    for base in bases:
        if not _is_ours(base):
            for name in sorted(_find_names(base).difference(known, silenced)):
                _check_name(base, name, known)


def _check_name(base: type[object], name: str, known: Iterable[str]) -> None:
    if meant := get_close_matches(name, known, n=1, cutoff=_SIMILARITY):
        raise TypeError(
            f"{base.__name__}.{name} is not known to the suite: did you mean {meant[0]!r}? "
            f"If not, declare other_names = [{name!r}]"
        )


def _find_names(base: type[object]) -> set[str]:
    names = {*vars(base), *vars(base).get("__annotations__", {})}
    return {each for each in names if not each.startswith(("_", "test_"))}


def _is_ours(base: type[object]) -> bool:
    return base.__module__.partition(".")[0] == _PACKAGE
