"""The contract of event storages, as far as DynamoDB can keep it."""

from decimal import Decimal

from castore_test_tools import EventStorageAdapterTests


class DynamoDBLimits(EventStorageAdapterTests):
    """What DynamoDB cannot do."""

    refuses_gaps = False
    orders_ties_by_aggregate_id = False
    groups_appear_at_once = False  # a query may read in the middle of a transaction
    most_events_of_a_group = 100
    largest_payload = 400_000  # the item has 409,600 bytes; moto takes less
    integral_floats_stay_floats = False

    def holds_number(self, number: float) -> bool:
        """Tell whether a number has at most 38 digits and a magnitude from 1E-130 to 1E+126."""
        integral = number == int(number)
        _, digits, exponent = Decimal(int(number) if integral else repr(number)).as_tuple()
        assert isinstance(exponent, int)
        significant = "".join(map(str, digits)).strip("0")
        return len(significant) <= 38 and -130 <= exponent + len(digits) - 1 < 126
