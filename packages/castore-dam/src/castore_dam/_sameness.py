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
    """Compare two values of any depth, from the outside to the inside."""
    pending = [(first, second)]
    while pending:
        one, other = pending.pop()
        if type(one) is not type(other):
            if not _are_equal_numbers(one, other):
                return False
        elif isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pending += [(each, other[key]) for key, each in one.items()]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif one != other:
            return False
    return True


def _are_equal_numbers(first: JSONValue | Absent, second: JSONValue | Absent) -> bool:
    match first, second:
        case (float(), int()) if second is not True and second is not False:
            return _is_of(second, first)
        case (int(), float()) if first is not True and first is not False:
            return _is_of(first, second)
        case _:
            return False


def _is_of(integer: int, number: float) -> bool:
    """Tell whether an integer stands for a float."""
    return integer == number or (number.is_integer() and integer == int(Decimal(repr(number))))
