"""The numbers that a storage or a channel keeps, as its contract suite declares them."""

from castore_core import Absent, JSONValue
from castore_test_tools._contract import ContractTests
from castore_test_tools._values import find_numbers, find_texts, map_numbers


class JSONContract(ContractTests):
    """The capabilities of a backend that keeps JSON values in a form of its own."""

    integral_floats_stay_floats: bool = True
    """``1.0`` is read as ``1.0``, rather than as ``1``."""

    negative_zero_stays_negative: bool = True
    """``-0.0`` is read as ``-0.0``, rather than as the equal ``0.0``."""

    holds_nul: bool = True
    """A text, or a key, may have the character U+0000.

    Where it may not, a write with one raises a `CastoreError` and writes nothing.
    """

    def holds_number(self, number: float) -> bool:  # noqa: ARG002 for overriders
        """Tell whether the backend holds a number exactly.

        A write with one that it does not hold raises a `CastoreError` and writes nothing.
        """
        return True

    def holds(self, value: JSONValue | Absent) -> bool:
        """Tell whether the backend holds all the numbers and texts of a value."""
        if not self.holds_nul and any("\0" in each for each in find_texts(value)):
            return False
        return all(self.holds_number(each) for each in find_numbers(value))

    def as_read(self, value: JSONValue | Absent) -> JSONValue | Absent:
        """Return a value as it should be read after it was written."""
        if not self.negative_zero_stays_negative:
            value = map_numbers(value, lambda number: 0.0 if str(number) == "-0.0" else number)
        if self.integral_floats_stay_floats:
            return value
        return map_numbers(value, lambda number: int(number) if number == int(number) else number)
