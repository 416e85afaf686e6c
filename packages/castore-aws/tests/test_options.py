"""Mistakes in options are told where they are made."""

import pytest

from castore_aws import BatchLimits, RetryPolicy, check_options


@pytest.mark.parametrize("option", [RetryPolicy, BatchLimits])
def test_a_class_is_no_option(option: type) -> None:
    """The error names the option and the class."""
    with pytest.raises(TypeError, match=f"limits is the class {option.__name__}: give an instance"):
        check_options(retries=None, limits=option)


def test_instances_are_fine() -> None:
    """An instance, or `None`, is accepted."""
    check_options(retries=RetryPolicy(), limits=None)
