"""Sizes are those of UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_aws import count_bytes


@given(st.text())
def test_bytes_of_a_text(text: str) -> None:
    """A text has as many bytes as it has when it is sent."""
    assert len(text.encode()) == count_bytes(text)


def test_what_cannot_be_sent_has_no_size() -> None:
    """A lone surrogate is in no UTF-8."""
    with pytest.raises(UnicodeEncodeError):
        count_bytes("\ud800")
