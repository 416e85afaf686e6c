"""Bounds of options."""


def check_count(name: str, value: object) -> None:
    """Refuse an option that does not count things.

    Raises:
        ValueError: it is no integer of 1 or more.
    """
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is not 1 or more: {value!r}")
