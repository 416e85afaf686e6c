"""Errors are printed and kept without the values in them."""

import gc
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import drop_frames, format_error, name_type

VALUE = "hunter2"


class RefusedError(Exception):
    """An error with a value in its text."""


@dataclass(frozen=True)
class FrozenError(Exception):
    """An error that refuses all assignments."""

    value: str


class Large:
    """A local that should not be kept."""


def catch(function: Callable[[], object]) -> BaseException:
    """Return the error of a function."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 whatever it is
        return error
    raise AssertionError("no error")


def refuse(value: str = VALUE) -> None:
    """Fail, with a value in the text."""
    raise RefusedError(value)


def refuse_because(value: str = VALUE) -> None:
    """Fail because of another failure."""
    try:
        refuse(value)
    except RefusedError as error:
        raise KeyError(value) from error


def refuse_meanwhile(value: str = VALUE) -> None:
    """Fail while another failure is handled."""
    try:
        refuse(value)
    except RefusedError:
        raise KeyError(value)  # noqa: B904 the context is what is tested


def refuse_together(value: str = VALUE) -> None:
    """Fail with several errors at once."""
    errors = [catch(lambda: refuse_because(value)), ValueError(value)]
    nested = BaseExceptionGroup(value, errors)
    raise BaseExceptionGroup(value, [nested, catch(lambda: refuse(value))])


FAILURES = [refuse, refuse_because, refuse_meanwhile, refuse_together]


def test_an_error_shows_its_frames_and_its_type() -> None:
    """The frames are those of Python; the type has its module, and no text follows it."""
    error = catch(refuse)
    frames = "".join(traceback.format_tb(error.__traceback__))
    expected = f"Traceback (most recent call last):\n{frames}{__name__}.RefusedError"
    assert expected == format_error(error)


def test_a_builtin_error_has_no_module() -> None:
    """Types of Python itself are named as Python does."""
    assert ("KeyError", f"{__name__}.RefusedError") == (
        name_type(KeyError()),
        name_type(RefusedError()),
    )


def test_an_error_without_frames_is_its_type() -> None:
    """An error that was never raised has no frames to show."""
    assert "KeyError" == format_error(KeyError(VALUE))


@pytest.mark.parametrize(
    ("function", "connection"),
    [
        (refuse_because, "The error above was the direct cause of the one below:"),
        (refuse_meanwhile, "While the error above was handled, the one below occurred:"),
    ],
)
def test_an_error_shows_those_behind_it(function: Callable[[], None], connection: str) -> None:
    """The cause, or the context, comes first."""
    cause, middle, error = format_error(catch(function)).split("\n\n")
    assert cause.endswith(f"{__name__}.RefusedError")
    assert connection == middle
    assert "in refuse_" in error
    assert error.endswith("\nKeyError")


def test_a_suppressed_context_is_not_shown() -> None:
    """An error that was raised from None stands alone."""

    def fail() -> None:
        try:
            refuse()
        except RefusedError:
            raise KeyError from None

    assert "RefusedError" not in format_error(catch(fail))


def test_a_group_shows_its_members() -> None:
    """Each member of a group is shown, with those behind it, and those of groups in it."""
    lines = format_error(catch(refuse_together)).splitlines()
    assert {"ExceptionGroup", "  | ExceptionGroup"} <= set(lines)
    assert "  |   | KeyError" in lines
    assert "  |   | ValueError" in lines
    assert f"  | {__name__}.RefusedError" in lines


def test_a_long_group_is_cut() -> None:
    """The members after the twentieth are counted."""
    error = ExceptionGroup("", [ValueError() for _ in range(23)])
    assert "  | [3 more]" == format_error(error).splitlines()[-1]


def test_a_long_chain_is_cut() -> None:
    """The errors behind the twentieth are left out."""
    error = first = ValueError()
    for _ in range(2_000):
        error.__context__ = ValueError()
        error = error.__context__
    text = format_error(first)
    assert 20 == text.count("ValueError")
    assert text.startswith("[the errors before it are left out]")


def test_a_circle_of_errors_ends() -> None:
    """Errors that are the causes of each other are shown once."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert 1 == format_error(first).count("ValueError")


def test_deep_frames_are_cut() -> None:
    """Of deep frames, as of an endless recursion, the innermost fifty are shown."""

    def even(depth: int) -> None:
        odd(depth - 1)

    def odd(depth: int) -> None:
        if not depth:
            refuse()
        even(depth - 1)

    text = format_error(catch(lambda: even(401)))
    assert 50 == text.count('  File "')
    assert "in refuse\n" in text


@given(st.text(), st.sampled_from(FAILURES))
def test_no_value_is_shown(value: str, function: Callable[[str], None]) -> None:
    """Neither texts nor notes are shown, wherever they are."""
    error = catch(lambda: function(f"\N{SNOWMAN}{value}"))
    error.add_note(f"\N{SNOWMAN}{value}")
    assert "\N{SNOWMAN}" not in format_error(error)


def test_the_text_of_a_syntax_error_is_not_shown() -> None:
    """A syntax error would show the line that it is about."""
    error = catch(lambda: compile(f"{VALUE} = = 1", "rule", "exec"))
    assert VALUE not in format_error(error)


@pytest.mark.parametrize("function", FAILURES)
def test_dropped_frames_are_gone_everywhere(function: Callable[[], None]) -> None:
    """The frames of all errors go, and their texts stay."""
    error = catch(function)
    text = str(error)
    drop_frames(error)
    assert text == str(error)
    assert "Traceback" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("is_attribute_error", [False, True])
def test_locals_are_freed(is_attribute_error: bool) -> None:
    """An error without frames keeps no local alive, and an AttributeError not its object."""
    kept: list[weakref.ref[Large]] = []

    def fail() -> None:
        large: Any = Large()
        kept.append(weakref.ref(large))
        if is_attribute_error:
            _ = large.missing
        raise RefusedError

    error = catch(fail)
    assert kept[0]() is not None
    drop_frames(error)
    gc.collect()
    assert kept[0]() is None


def test_frames_of_a_frozen_error_are_dropped() -> None:
    """An error that refuses assignments loses its frames, too."""

    def fail() -> None:
        raise FrozenError(VALUE)

    error = catch(fail)
    drop_frames(error)
    assert error.__traceback__ is None


def test_frames_of_a_circle_are_dropped() -> None:
    """Errors that are the causes of each other end."""
    first, second = catch(refuse), catch(refuse_because)
    first.__cause__, second.__cause__ = second, first
    drop_frames(first)
    assert (None, None) == (first.__traceback__, second.__traceback__)
