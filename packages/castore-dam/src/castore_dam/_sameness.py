"""Whether two stored events are the same, whatever storages they are in.

A float with an integral value may come back as an integer: that of all its digits (DynamoDB), or
that of the shortest text that reads as the float (a JSON column that another program wrote to).
"""

from decimal import Decimal

from castore_core import Absent, EventRecord, JSONValue


def are_equal(first: EventRecord, second: EventRecord) -> bool:
    """Tell whether two events of one aggregate are the same."""
    return (
        first[1:4] == second[1:4]
        and _are_equal(first.payload, second.payload)
        and _are_equal(first.metadata, second.metadata)
    )


def _are_equal(first: JSONValue | Absent, second: JSONValue | Absent) -> bool:
    match first, second:
        case dict(), dict():
            return first.keys() == second.keys() and all(
                _are_equal(item, second[key]) for key, item in first.items()
            )
        case list(), list():
            return len(first) == len(second) and all(map(_are_equal, first, second))
        case (float(), int()) if second is not True and second is not False:
            return _is_of(second, first)
        case (int(), float()) if first is not True and first is not False:
            return _is_of(first, second)
        case _:
            return type(first) is type(second) and first == second


def _is_of(integer: int, number: float) -> bool:
    """Tell whether an integer stands for a float."""
    return integer == number or (number.is_integer() and integer == int(Decimal(repr(number))))
