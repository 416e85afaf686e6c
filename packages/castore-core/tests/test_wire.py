"""JSON text as JavaScript writes it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import JSONValue, format_float, format_json


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (2.0, "2"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (0.00001, "0.00001"),
        (-0.000015, "-0.000015"),
        (0.000001, "0.000001"),
        (1e-07, "1e-7"),
        (1.5e-09, "1.5e-9"),
        (5e-324, "5e-324"),
        (123456789.12345679, "123456789.12345679"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e21, "-1.5e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_a_float_is_written_as_javascript_does(number: float, text: str) -> None:
    """The texts are those of ``JSON.stringify``, in Castore's recordings and in Node."""
    assert text == format_float(number)
    assert f'{{"a":[{text}]}}' == format_json({"a": [number]})


def test_an_integer_keeps_its_digits() -> None:
    """An integer is not cut to what JavaScript holds, beside floats neither."""
    assert "[9007199254740993,1e-7]" == format_json([9007199254740993, 1e-7])
    assert "1000000000000000000000000" == format_json(10**24)


def test_a_large_integral_float_keeps_its_digits() -> None:
    """JavaScript would write 402393681778563700, which is another integer."""
    assert "402393681778563712" == format_float(402393681778563712.0)


@pytest.mark.parametrize("number", [1, 1.5])
def test_text_is_written_as_it_is(number: float) -> None:
    """Only what JSON demands is escaped, and there are no spaces."""
    value: JSONValue = {"é ⚡": ['"\\\n\x00', None, True, number], "b": {}}
    assert f'{{"é ⚡":["\\"\\\\\\n\\u0000",null,true,{number}],"b":{{}}}}' == format_json(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back(number: float) -> None:
    """What is written is read as the same number."""
    assert number == json.loads(format_float(number))


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values)
def test_a_value_comes_back(value: JSONValue) -> None:
    """What is written is read as an equal value."""
    assert value == json.loads(format_json(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_alike_everywhere(number: float) -> None:
    """Also where no number of a value needs to be written otherwise than Python does."""
    text = format_float(number)
    assert f'{{"a":[{text}]}}' == format_json({"a": [number]})
    assert f"[{text},2]" == format_json([number, 2.0])
